// Package process runs the commands that an operator configured: tracking
// scripts, notify scripts, MISC_CHECK programs. It knows how such a command
// has to be run and how to get rid of one that hangs; what its result means
// is its caller's business.
//
// A command runs in its own process group, as the user that was configured,
// with nothing but /dev/null for its standard files, and with a signal set for
// the death of this process. On time-out or cancellation its whole group gets
// SIGTERM, two seconds later SIGKILL, and SIGKILL again every ten seconds.
//
// The checks of enable_script_security are here as well: CheckSecurity.
package process
