package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks bounds the symbolic links followed in one path, as the kernel does.
const maxLinks = 40

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
func Resolve(name string) (string, error) {
	if name == "" {
		return "", ErrNoCommand
	}
	path, err := exec.LookPath(name)
	if execErr, ok := errors.AsType[*exec.Error](err); ok {
		return "", fmt.Errorf("command %s: %w", name, execErr.Err)
	}
	if err != nil {
		return "", fmt.Errorf("command %s: %w", name, err)
	}
	return filepath.Abs(path)
}

// CheckSecurity is enable_script_security's test of one absolute path: nobody
// but root may be able to write to the file or to any directory or symbolic
// link that leads to it. The error is an *InsecureError, or that of the file
// that could not be looked at.
func CheckSecurity(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("command %s: not an absolute path", path)
	}
	c := check{path: path}
	return c.element("/", strings.Split(path, "/"))
}

// check walks one command's path.
type check struct {
	path  string
	links int
}

// element checks dir, then goes on to the rest of the way from there. The way
// is walked as the kernel walks it: ".." after a link is the parent of what
// the link leads to.
func (c *check) element(dir string, rest []string) error {
	if err := c.mode(dir); err != nil {
		return err
	}
	for i, name := range rest {
		if name == "" || name == "." {
			continue
		}
		next := filepath.Join(dir, name)
		if name == ".." {
			dir = next
			continue
		}
		target, err := os.Readlink(next)
		if errors.Is(err, syscall.EINVAL) { // not a link
			if err := c.mode(next); err != nil {
				return err
			}
			dir = next
			continue
		}
		if err != nil {
			return fmt.Errorf("command %s: %w", c.path, err)
		}
		return c.follow(dir, next, target, rest[i+1:])
	}
	return nil
}

// follow goes on behind a symbolic link. A link's own mode says nothing, its
// owner can replace it only where the directory lets him.
func (c *check) follow(dir, link, target string, rest []string) error {
	if c.links++; c.links > maxLinks {
		return fmt.Errorf("command %s: %s: %w", c.path, link, syscall.ELOOP)
	}
	if filepath.IsAbs(target) {
		dir = "/"
	}
	return c.element(dir, append(strings.Split(target, "/"), rest...))
}

// mode checks the owner and permissions of one existing element.
func (c *check) mode(element string) error {
	info, err := os.Lstat(element)
	if err != nil {
		return fmt.Errorf("command %s: %w", c.path, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("command %s: %s: no owner known", c.path, element)
	}
	if why := writable(st.Uid, st.Gid, info.Mode()); why != "" {
		return &InsecureError{Path: c.path, Element: element, Why: why}
	}
	return nil
}

// writable says by whom other than root something can be written to. A sticky
// directory does not help: a name that is not there yet can be put in by anybody.
func writable(uid, gid uint32, mode fs.FileMode) string {
	switch perm := mode.Perm(); {
	case uid != 0:
		return fmt.Sprintf("is owned by uid %d", uid)
	case perm&0o020 != 0 && gid != 0:
		return fmt.Sprintf("is writable by group %d", gid)
	case perm&0o002 != 0:
		return "is writable by everybody"
	}
	return ""
}
