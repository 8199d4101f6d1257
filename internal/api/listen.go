package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// InUseError is returned by Listen when another daemon has the socket.
type InUseError struct {
	Socket string
	PID    int // 0 when unknown
}

// Error says who is there and what to do.
func (e *InUseError) Error() string {
	who := "another kaname"
	if e.PID != 0 {
		who += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return who + " runs here and has the socket " + e.Socket +
		": stop it, or start this one with another --instance NAME"
}

// Listener is the control socket of one instance. It implements net.Listener.
type Listener struct {
	*net.UnixListener
	path string
	lock *os.File
}

// Listen takes the socket at path: it makes the directory if need be, locks
// path.lock, replaces a stale socket and listens with mode 0600. When another
// daemon is there it returns an *InUseError and changes nothing. The lock is
// held until Close, or until the process dies.
func Listen(path string) (*Listener, error) {
	// A path that does not fit sockaddr_un fails in bind with a bare EINVAL.
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket %s: the path is %d bytes long and a socket's may have %d: choose a shorter --run-dir",
			path, len(path), maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	l, err := listenLocked(path, lock)
	if err != nil {
		dropLock(lock)
		return nil, err
	}
	return l, nil
}

// maxSocketPath is what sun_path holds besides the final NUL.
const maxSocketPath = 107

func listenLocked(path string, lock *os.File) (*Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	if err := writePID(lock); err != nil {
		return nil, fmt.Errorf("lock file %s: %w", lock.Name(), err)
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmodErr error
		// The socket file inherits the mode of the socket: set before bind,
		// there is no moment at which others could connect.
		err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmodErr)
	}}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ul, ok := ln.(*net.UnixListener)
	if !ok {
		ln.Close()
		return nil, fmt.Errorf("control socket %s: is a %T", path, ln)
	}
	ul.SetUnlinkOnClose(true)
	return &Listener{UnixListener: ul, path: path, lock: lock}, nil
}

// Path returns the path of the socket.
func (l *Listener) Path() string { return l.path }

// Close removes the socket and the lock file, then gives up the lock.
func (l *Listener) Close() error {
	err := l.UnixListener.Close()
	dropLock(l.lock)
	if errors.Is(err, net.ErrClosed) { // a server closes the socket at its end
		return nil
	}
	return err
}

// takeLock opens and locks path.lock. A file that its owner removed between
// our open and our lock is not the lock any more, hence the second look.
func takeLock(path string) (*os.File, error) {
	name := path + ".lock"
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock file: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			pid := readPID(f)
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, &InUseError{Socket: path, PID: pid}
			}
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if sameFile(f, name) {
			return f, nil
		}
		f.Close()
	}
}

func sameFile(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(name)
	return err == nil && os.SameFile(mine, there)
}

// dropLock removes the lock file while it is still locked, so that nobody can
// hold a removed one without noticing, and closes it.
func dropLock(f *os.File) {
	if f == nil {
		return
	}
	if sameFile(f, f.Name()) {
		os.Remove(f.Name())
	}
	f.Close()
}

// removeStale removes a socket on which nobody answers. A daemon that answers
// without holding the lock (somebody deleted the lock file) still counts, and
// a file that is no socket is not ours to remove.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("control socket %s: there is a %s in its place: remove it, or choose another --run-dir",
			path, kindOf(st.Mode()))
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		pid := peerPID(c)
		c.Close()
		return &InUseError{Socket: path, PID: pid}
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("control socket %s: whether somebody is there cannot be told: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("stale control socket: %w", err)
	}
	return nil
}

func kindOf(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m.IsRegular():
		return "file"
	case m&os.ModeSymlink != 0:
		return "symbolic link"
	}
	return "special file"
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func readPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// peerPID returns the process at the other end of a unix connection, 0 when
// the kernel does not say.
func peerPID(c net.Conn) int {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
