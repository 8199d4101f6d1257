package configio

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxFile is the largest file that is read, in bytes.
const MaxFile = 64 << 20

// OS implements syntax.Files on the host's file system. Relative names are
// relative to the process's working directory.
type OS struct{}

// Read returns a regular file's content and the mode of whatever is there.
func (OS) Read(name string) ([]byte, fs.FileMode, error) {
	// Stat before open: opening a FIFO would wait for a writer.
	st, err := os.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() {
		return nil, st.Mode(), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, st.Mode(), err
	}
	defer f.Close()
	// The size is known: io.ReadAll would copy a big file several times.
	var b bytes.Buffer
	b.Grow(int(min(st.Size(), MaxFile)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(f, MaxFile+1)); err != nil {
		return nil, st.Mode(), err
	}
	if b.Len() > MaxFile {
		return nil, st.Mode(), &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d MiB", MaxFile>>20)}
	}
	return b.Bytes(), st.Mode(), nil
}

// Glob returns the names that match pattern, sorted.
func (OS) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }
