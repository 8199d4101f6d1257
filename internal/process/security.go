package process

import "fmt"

// InsecureError says which element of a command's path somebody other than
// root can write to.
type InsecureError struct {
	Path    string // the command
	Element string // the directory, link or file at fault
	Why     string // "is owned by uid 1000", "is writable by group 100"
}

// Error implements error.
func (e *InsecureError) Error() string {
	return fmt.Sprintf("command %s is unsafe: %s %s", e.Path, e.Element, e.Why)
}

// Resolve returns the absolute path of the command's program, as Run would
// find it: a path as it is, a bare name by PATH. The error says what is wrong
// with it (not found, a directory, not executable).
func Resolve(name string) (string, error) { panic("being written") }

// CheckSecurity is enable_script_security's test of one absolute path: nobody
// but root may be able to write to the file or to any directory or symbolic
// link that leads to it. The error is an *InsecureError, or that of the file
// that could not be looked at.
func CheckSecurity(path string) error { panic("being written") }
