// Package watch is the observer: it listens to the sync multicast of a segment,
// or reads a capture, keeps the session table, shows it, and acts on it.
//
//	sockets -> queue -> session.Table -> events -> Follower, session.Machine
//	                         |                              |
//	               Walk, Report, pages              Runner -> command, webhook
//
// Who reads the sockets waits for nobody: not for a look at a large table (the
// queue is between), not for a terminal (Follower leaves out and counts), not
// for what triggers do (Runner merges, drops and counts). Of a recording nothing
// is left out: its reader waits instead.
package watch
