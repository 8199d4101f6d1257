// Package keeper keeps a director process alive. Two processes of one binary
// watch each other over a socket pair: the keeper in the foreground, the
// director beneath it.
//
//	keeper ──starts──▶ director        director killed: the keeper starts the
//	   ▲                  │            next one, told to resume
//	   └─────starts───────┘            keeper killed: the director starts a new
//	                                   keeper and goes on undisturbed
//
// The socket pair is the lifeline: every descriptor on it is close-on-exec, so
// end of file on one side means exactly that the process on the other side is
// gone, whatever killed it. An orderly end is announced first (bye).
//
// So one kill -9 of either process leaves no address behind and stops nothing.
// When both die at once nobody is left to clean up; the next start does.
package keeper
