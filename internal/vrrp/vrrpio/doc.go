// Package vrrpio drives the election: it owns one vrrp.Machine in one
// goroutine and is its sockets, its timer and its counters.
//
//	        ┌────────────── Driver.Run, one thread ──────────────┐
//	Send ──▶│ commands ─┐                                        │──▶ Events
//	sockets │ packets  ─┼─▶ Machine.Step ─▶ actions ─▶ sockets   │
//	        │ deadline ─┘                              announcer │──▶ Status
//	        └────────────────────────────────────────────────────┘
//
// The loop waits in one place, Transport.Receive, which ends with a packet, at
// the deadline, or by Wake. A packet that is there is always taken before an
// expired timer: a master that was heard in time must not be declared dead
// because this process was late. That is also why the goroutine keeps its
// thread and asks for a real-time priority.
//
// Tap looks at the wire on its own, before any packet filter, to tell what the
// sockets should have heard.
package vrrpio
