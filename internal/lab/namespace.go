package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// enterNew puts the calling thread into a new network namespace and names it.
// The name keeps the namespace alive.
func enterNew(path string) error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return fmt.Errorf("namespace directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	f.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return errors.Join(fmt.Errorf("new network namespace (needs root): %w", err), os.Remove(path))
	}
	if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("name the namespace %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// removeNamed takes the name away; the namespace goes with its last process.
func removeNamed(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("namespace: %w", err)
	}
	return nil
}

// inode identifies a namespace: two files are the same namespace when device
// and inode agree.
type inode struct{ dev, ino uint64 }

func inodeOf(path string) (inode, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return inode{}, fmt.Errorf("%s: %w", path, err)
	}
	return inode{dev: st.Dev, ino: st.Ino}, nil
}

// killInside kills every process of the named network namespace, whoever
// started it, and waits until they are gone.
func killInside(path string) error {
	ns, err := inodeOf(path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	return killAll(ns)
}

// killAll repeats until a scan finds nothing (a process may fork while it is
// being looked for) and all that was killed is gone, with its files and locks.
func killAll(ns inode) error {
	deadline := time.Now().Add(10 * time.Second)
	dying := map[int]bool{}
	for {
		pids, err := processesIn(ns)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			dying[pid] = true
			// Gone meanwhile is what we want.
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		maps.DeleteFunc(dying, func(pid int, _ bool) bool { return isGone(pid) })
		if len(pids) == 0 && len(dying) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not die", slices.Sorted(maps.Keys(dying)))
		}
		time.Sleep(time.Millisecond)
	}
}

// isGone reports whether nothing of a process is left but, perhaps, a zombie.
// Its first thread leaves the namespace early, while others may still be
// giving back memory and files.
func isGone(pid int) bool {
	if _, err := startTime(pid); err == nil {
		return false
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err != nil || len(threads) <= 1
}

// processesIn lists the living processes of a network namespace, our own
// excepted.
func processesIn(ns inode) ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A zombie has no namespace any more: the link cannot be followed.
		if in, err := inodeOf(filepath.Join("/proc", name, "ns/net")); err == nil && in == ns {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
