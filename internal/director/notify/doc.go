// Package notify runs the notify scripts of a configuration when something
// happens on the director: an instance or sync group changes state, a real
// server or a quorum comes or goes.
//
// Scripts run in parallel and nothing waits for them, except at the end:
// Close gives them up to a second. The specific script of a change is started
// before the generic one. FIFOs and mail are not built yet.
package notify
