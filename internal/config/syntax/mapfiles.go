package syntax

import (
	"io/fs"
	"path"
	"slices"
)

// MapFiles is a set of files in memory, by name; it implements Files.
type MapFiles map[string]string

// Read returns the named text as a regular file of mode 0644.
func (m MapFiles) Read(name string) ([]byte, fs.FileMode, error) {
	s, ok := m[name]
	if !ok {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(s), 0o644, nil
}

// Glob matches the names with path.Match.
func (m MapFiles) Glob(pattern string) ([]string, error) {
	var out []string
	for name := range m {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}
