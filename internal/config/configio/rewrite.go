package configio

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Rewrite puts content in place of a regular file's, at once: whoever opens the
// file sees the old text or the new one. Mode and owner stay. Of a symbolic
// link, the file that it leads to is rewritten and the link stays; other hard
// links keep the old text. It is an error, and nothing is written, when the
// file no longer holds old.
func Rewrite(name string, old, content []byte) error {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	st, err := os.Lstat(target)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("write %s: not a regular file", name)
	}
	tmp, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if at := (*os.PathError)(nil); errors.As(err, &at) {
		return fmt.Errorf("write %s: no new file can be made beside it: %w: see who may write to its directory", name, at.Err)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := errors.Join(fill(tmp, st, content), tmp.Close()); err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	if now, err := os.ReadFile(target); err != nil || !bytes.Equal(now, old) {
		os.Remove(tmp.Name())
		return fmt.Errorf("write %s: the file has changed since it was read, nothing is written: try again", name)
	}
	if err := os.Rename(tmp.Name(), target); err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// fill makes tmp a file like st with the content, on the disk. The owner comes
// first, because a change of owner takes bits off the mode.
func fill(tmp *os.File, st os.FileInfo, content []byte) error {
	own, err := tmp.Stat()
	if err != nil {
		return err
	}
	is, was := own.Sys().(*syscall.Stat_t), st.Sys().(*syscall.Stat_t)
	if is.Uid != was.Uid || is.Gid != was.Gid {
		if err := tmp.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return fmt.Errorf("keep the owner: %w", err)
		}
	}
	if err := tmp.Chmod(st.Mode()); err != nil {
		return err
	}
	if _, err := tmp.Write(content); err != nil {
		return err
	}
	return tmp.Sync()
}

// SameFile reports whether two names lead to one file.
func SameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
