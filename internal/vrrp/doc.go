// Package vrrp decides who is active: the VRRP codec (RFC 3768 packets, the
// AH of RFC 2338 as keepalived speaks it) and the election state machine of
// all instances and sync groups of one director.
//
// It is pure: packets, results and the time go in, actions come out. The
// sockets and timers are in vrrpio; addresses on interfaces follow from
// director/desired.
package vrrp
