// Package desired says what should be on this host: Compute takes the
// configuration, the VRRP states, the verdicts of the health checks and a few
// facts of the host, and returns one State. Start, reload, failover and the
// flip of a probe all take this path; there is no second way to decide what is
// programmed.
//
// Compute is total and deterministic: the same inputs give an equal State,
// sorted, whatever order maps have. It neither looks at what is there nor
// remembers what was (that is reconcile), and it is pure.
package desired
