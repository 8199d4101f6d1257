// Package sched is the reference of LVS's schedulers: for every scheduler
// that the dataplane has, a model that picks a destination exactly as the
// kernel's ip_vs does, and the tables that let the BPF code pick the same one
// without thinking (rr's and wrr's ring, sh's and mh's lookup table).
//
// Destinations are given in LVS's list order, which is newest first: the
// kernel puts an added server at the head of its list, so a configuration
// that names a, b, c is walked c, b, a. ListOrder turns one into the other.
//
// It is pure: integers in, an index out.
package sched
