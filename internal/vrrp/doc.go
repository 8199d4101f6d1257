// Package vrrp decides who is active: the VRRP codec (RFC 3768 packets, the
// AH of RFC 2338 as keepalived speaks it) and the election state machine of
// all instances and sync groups of one director.
//
// It is pure: packets, results and the time go in, actions come out. The
// sockets and timers are in vrrpio; addresses on interfaces follow from
// director/desired. vrrptest plays elections of several machines.
//
//	                 Start, and the host is fit
//	Initialize ──────────────────────────────────▶ Backup ◀──────────────┐
//	    │  ╲                                        │   ▲                │
//	    │   ╲ Start{Resume}      no advert heard    │   │ higher priority│
//	    │    ╲                   (all of the group) ▼   │ heard, address │
//	    │     ╲───────────────────────────────────▶ Active lost, failover│
//	    │                                           │                    │
//	    └──────▶ Fault ◀── a tracked thing is down ─┴─ (from Backup too) │
//	               │                                                     │
//	               └──────────── all of the group is fit again ──────────┘
//
// Any of them goes to Stopped. Members of a sync group share one state after
// every step. An instance that leaves Active of its own accord sends priority
// 0 once; one that yields to a higher priority does not.
//
// Where keepalived 2.2.7 and the RFC differ the machine does as keepalived
// does; what it does otherwise is marked "Compat:" at the place, and is:
// a dropped advert does not put our own next one off; of two routers with
// priority 255 the lower address yields and the other does not lower itself; a
// new member of an Active sync group joins it as Active.
package vrrp
