package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// furnish gives the calling thread, and so every program started from it, a
// host name and a view of the file system of its own: /sys shows this host's
// interfaces, /sys/fs/bpf is its own, and the files of the spec are there.
func (h *Host) furnish() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := forgetNamespaces(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(h.spec.Name)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("own /sys: %w", err)
	}
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("own /sys/fs/bpf (the kernel needs CONFIG_BPF_SYSCALL): %w", err)
	}
	return h.placeFiles()
}

// forgetNamespaces drops this mount namespace's copies of the named network
// namespaces: they would keep other labs' hosts alive after their end.
func forgetNamespaces() error {
	names, err := filepath.Glob(filepath.Join(netnsDir, "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := unix.Unmount(name, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount copy of %s: %w", name, err)
		}
	}
	return nil
}

// placeFiles puts the spec's files in place without touching the machine's
// file system: the directory they need is covered by a mirror of itself.
func (h *Host) placeFiles() error {
	var paths []string
	for p := range h.spec.Files {
		paths = append(paths, p)
	}
	slices.Sort(paths) // one order, one result
	mirrored := map[string]bool{}
	for _, p := range paths {
		top := existingAncestor(p)
		if top == "/" {
			top = "/" + strings.SplitN(p[1:], "/", 2)[0]
			return fmt.Errorf("file %s: the machine has no %s to cover", p, top)
		}
		if !mirrored[top] && !coveredBy(mirrored, top) {
			if err := mirror(top); err != nil {
				return fmt.Errorf("file %s: cover %s: %w", p, top, err)
			}
			mirrored[top] = true
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return fmt.Errorf("file %s: %w", p, err)
		}
		if err := os.WriteFile(p, []byte(h.spec.Files[p]), 0o755); err != nil {
			return fmt.Errorf("file %s: %w", p, err)
		}
	}
	return nil
}

// existingAncestor is the deepest directory above p that exists.
func existingAncestor(p string) string {
	for d := filepath.Dir(p); ; d = filepath.Dir(d) {
		if st, err := os.Stat(d); err == nil && st.IsDir() || d == "/" {
			return d
		}
	}
}

// coveredBy reports whether dir was made inside a mirror: it is ours already.
func coveredBy(mirrored map[string]bool, dir string) bool {
	for m := range mirrored {
		if !strings.HasPrefix(dir, m+"/") {
			continue
		}
		var inside, cover unix.Stat_t
		if unix.Stat(dir, &inside) == nil && unix.Stat(m, &cover) == nil && inside.Dev == cover.Dev {
			return true
		}
	}
	return false
}

// mirror covers dir with a memory file system that shows dir's own entries,
// so that entries can be added. A file that is then written to replaces only
// the view: entries are bound read-only.
func mirror(dir string) error {
	under, err := os.Open(dir) // the way to its entries once it is covered
	if err != nil {
		return err
	}
	defer under.Close()
	entries, err := under.ReadDir(-1)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for _, e := range entries {
		from, to := fmt.Sprintf("/proc/thread-self/fd/%d/%s", under.Fd(), e.Name()), filepath.Join(dir, e.Name())
		if err := mirrorEntry(e, from, to); err != nil {
			return err
		}
	}
	return nil
}

func mirrorEntry(e os.DirEntry, from, to string) error {
	switch {
	case e.Type()&os.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case e.IsDir():
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
	default:
		f, err := os.Create(to)
		if err != nil {
			return err
		}
		f.Close()
	}
	return unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, "")
}
