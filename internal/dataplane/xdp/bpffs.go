package xdp

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const bpffsRoot = "/sys/fs/bpf"

// pinLock is the right to use one pin directory, held by an exclusive flock on
// a directory beside it. The kernel gives it back when the process dies,
// however it dies, and it says nothing about what is pinned.
type pinLock struct {
	dir string // the lock directory
	fd  int
}

// takePins makes sure that dir lies in a bpffs and takes its lock.
func takePins(dir string, log *slog.Logger) (*pinLock, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("pin directory %q: not an absolute path", dir)
	}
	parent, name := filepath.Split(filepath.Clean(dir))
	if strings.Contains(name, ".") {
		return nil, fmt.Errorf("pin directory %s: a bpffs allows no dots in names", dir)
	}
	if err := inBPFFS(dir, log); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("pin directory %s: %w", dir, err)
	}
	return lockDir(filepath.Join(parent, name+"-lock"), dir)
}

func lockDir(lock, dir string) (*pinLock, error) {
	// The last owner may remove the directory between our open and our flock;
	// then the lock is on nothing and the next round makes a new one.
	for range 10 {
		if err := os.Mkdir(lock, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("lock of pin directory %s: %w", dir, err)
		}
		fd, err := unix.Open(lock, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("lock of pin directory %s: %w", dir, err)
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			holder := lockHolder(fd)
			_ = unix.Close(fd)
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("pin directory %s: %w%s; stop it, or give this one another instance name", dir, ErrInUse, holder)
			}
			return nil, fmt.Errorf("lock of pin directory %s: %w", dir, err)
		}
		var ours, named unix.Stat_t
		if unix.Fstat(fd, &ours) == nil && unix.Stat(lock, &named) == nil && ours.Ino == named.Ino {
			return &pinLock{dir: lock, fd: fd}, nil
		}
		_ = unix.Close(fd)
	}
	return nil, fmt.Errorf("lock of pin directory %s: it keeps vanishing, another process is starting and stopping", dir)
}

// release gives the lock back; remove also removes its directory, for an
// instance that leaves nothing.
func (l *pinLock) release(remove bool) error {
	if l.fd < 0 {
		return nil
	}
	var err error
	if remove {
		// Ours until the close, so nobody can be holding it.
		if e := os.Remove(l.dir); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = fmt.Errorf("lock directory %s: %w", l.dir, e)
		}
	}
	fd := l.fd
	l.fd = -1
	return errors.Join(err, unix.Close(fd))
}

// lockHolder names the process that holds the flock of fd's file, as far as
// /proc/locks tells: " (process 123)".
func lockHolder(fd int) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return ""
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	inode := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for s := bufio.NewScanner(f); s.Scan(); {
		// "1: FLOCK  ADVISORY  WRITE 1234 00:20:56 0 EOF"
		w := strings.Fields(s.Text())
		if len(w) < 6 || w[1] != "FLOCK" || w[5] != inode {
			continue
		}
		if pid, err := strconv.Atoi(w[4]); err == nil && pid > 0 {
			return fmt.Sprintf(" (process %d)", pid)
		}
	}
	return ""
}

// inBPFFS checks that dir is below a bpffs, and mounts one at /sys/fs/bpf when
// that is where dir is and nothing is mounted yet.
func inBPFFS(dir string, log *slog.Logger) error {
	is, err := isBPFFS(dir)
	if err != nil || is {
		return err
	}
	if dir != bpffsRoot && !strings.HasPrefix(dir, bpffsRoot+"/") {
		return fmt.Errorf("pin directory %s: not in a bpffs; mount one there (mount -t bpf bpf DIR) or use a directory below %s", dir, bpffsRoot)
	}
	if err := unix.Mount("bpf", bpffsRoot, "bpf", 0, "mode=0700"); err != nil {
		if errors.Is(err, unix.ENODEV) { // no such file system: a kernel without BPF
			err = lackError{err}
		}
		return fmt.Errorf("pin directory %s: no bpffs at %s and mounting one: %w; mount it first (mount -t bpf bpf %s)", dir, bpffsRoot, err, bpffsRoot)
	}
	log.Info("bpffs mounted", "dir", bpffsRoot)
	return nil
}

// isBPFFS looks at dir, or at its nearest ancestor that exists.
func isBPFFS(dir string) (bool, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			return uint32(st.Type) == uint32(unix.BPF_FS_MAGIC), nil
		}
		if !errors.Is(err, unix.ENOENT) || dir == "/" {
			return false, fmt.Errorf("pin directory %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
}

// pinName is the file under which an interface's link is pinned; a bpffs
// allows no dots in names, interface names do.
func pinName(iface string, m Mode) string {
	return strings.ReplaceAll(iface, ".", "%2e") + "@" + string(m)
}

// parsePinName is the inverse of pinName.
func parsePinName(name string) (iface string, m Mode, ok bool) {
	i := strings.LastIndexByte(name, '@')
	if i <= 0 {
		return "", "", false
	}
	m = Mode(name[i+1:])
	if m != Native && m != TC && m != Generic {
		return "", "", false
	}
	return strings.ReplaceAll(name[:i], "%2e", "."), m, true
}
