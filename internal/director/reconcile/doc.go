// Package reconcile makes a desired.State so. A Reconciler compares what the
// host has with what should be, and carries out the difference through two
// interfaces that it declares: Network for addresses, Dataplane for services.
//
//	desired.State ─┐
//	               ├─ Diff → []Op ─ Apply → Report (done, failed: retry)
//	Network says ──┤
//	what was done ─┘
//
// Addresses come first in both directions: a director that takes over answers
// for them at once, and one that releases is rid of them before anything else
// can go wrong. Additions come before deletions. An error stops nothing: the
// rest is still done, and what failed stays different, so that the next Set
// tries it again. A second Set with the same State does nothing at all.
//
// It touches only what its Network calls ours. It is pure: effects are those
// of the interfaces, and when to retry is the director's business.
package reconcile
