// Package keepalived is the face of keepalived 2.2.7: its command line, the
// exit codes and messages of `keepalived -t`, and the log lines that people
// look for, so that units, scripts and monitoring written for it go on working.
//
// Parse turns arguments into a Request; it touches nothing. What is said by
// the request is done by package cli.
package keepalived
