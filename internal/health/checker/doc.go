// Package checker holds the probes of real servers, one file each, and the
// Runner that executes them. A probe does I/O and knows nothing of history:
// whether a server is up is decided by package health from the results.
//
// A Runner has one goroutine for each probe that is running and none for a
// checker that waits for its period, so that ten thousand idle checkers cost
// nothing here.
package checker
