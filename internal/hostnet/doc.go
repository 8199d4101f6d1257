// Package hostnet is this host's network as the director needs it: the
// addresses that it puts on interfaces and takes away again, the state of
// links, the primary address of an interface, and where a destination is
// routed. All of it is for the network namespace in which Open was called.
//
// It only removes what it is told to, and what is ours can be told from what
// is not: addresses carry an address protocol (IFA_PROTO, kernel 5.18 and
// later) of our own, so that even the ones left by a power loss are found by
// the next start.
//
//	rtnetlink ──dump──▶ table ──diff──▶ []Change ──▶ Monitor's channel
//	    └─────notify────▶┘   (after an overrun: dumped again)
//
// It decides nothing: when an address is wanted follows from desired.Compute.
// Neighbours belong to the dataplane.
package hostnet
