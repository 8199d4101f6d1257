// Package health decides who can serve: results of probes go in, real servers
// go up and down, virtual services gain and lose their quorum.
//
// It is pure: the time and the results are arguments, probes to start are
// actions, and the next moment at which the machine wants to be called is
// Deadline. The probes themselves are in health/checker. What follows from a
// server being up (its entry in the table, the sorry server, weight 0 by
// inhibit_on_failure) is computed by director/desired.
//
//	Start ──> wait 0..warmup ──> Probe ──> Result ─ ok ────────> wait delay_loop ─┐
//	                              ^  ^        │                                   │
//	                              │  │        ├ failed, tries left ─> wait ───────┤
//	                              │  │        │                delay_before_retry │
//	                              │  │        └ failed, none left ─> down         │
//	                              │  └───────────────── wait delay_loop <─┘       │
//	                              └───────────────────────────────────────────────┘
//
// Invariants: a checker never has two probes running; a server is up exactly
// while all its checkers are up; every period is counted from the end of a
// check.
package health
