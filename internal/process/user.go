package process

import (
	"fmt"
	"math"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// dropped are the variables that a command does not inherit: those that change
// what a program runs, as keepalived drops them, and those by which systemd
// and the daemon talk to each other.
var dropped = []string{
	"IFS", "LD_PRELOAD", "LD_LIBRARY_PATH",
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
}

// environment is this process's, without the dropped variables, and extra.
func environment(extra []string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(dropped, name)
	})
	return append(env, extra...)
}

// Credential finds the ids of a user and group, each a name or a number.
// It is nil when they are those of this process already, which then need not
// be privileged. A group without a user keeps this process's user.
func Credential(userName, groupName string) (*syscall.Credential, error) {
	if userName == "" && groupName == "" {
		return nil, nil
	}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	if userName != "" {
		var err error
		if uid, gid, err = lookupUser(userName); err != nil {
			return nil, err
		}
	}
	if groupName != "" {
		var err error
		if gid, err = lookupGroup(groupName); err != nil {
			return nil, err
		}
	}
	if uid == uint32(os.Geteuid()) && gid == uint32(os.Getegid()) {
		return nil, nil
	}
	return &syscall.Credential{Uid: uid, Gid: gid}, nil
}

func lookupUser(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		n, nerr := number(name)
		if nerr != nil {
			return 0, 0, fmt.Errorf("user %q does not exist: %w", name, err)
		}
		if u, err = user.LookupId(name); err != nil {
			// A number needs no entry; its group has the same number then.
			return n, n, nil
		}
	}
	if uid, err = number(u.Uid); err != nil {
		return 0, 0, fmt.Errorf("user %q: %w", name, err)
	}
	if gid, err = number(u.Gid); err != nil {
		return 0, 0, fmt.Errorf("user %q: %w", name, err)
	}
	return uid, gid, nil
}

func lookupGroup(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		n, nerr := number(name)
		if nerr != nil {
			return 0, fmt.Errorf("group %q does not exist: %w", name, err)
		}
		return n, nil
	}
	return number(g.Gid)
}

// number parses a user or group id. 2^32-1 means "unchanged" to the kernel.
func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("id %q: %w", s, err)
	}
	if n == math.MaxUint32 {
		return 0, fmt.Errorf("id %q is reserved", s)
	}
	return uint32(n), nil
}
