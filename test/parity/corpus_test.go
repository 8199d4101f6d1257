package parity

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// handWritten is a file of corpus/.
type handWritten struct {
	name   string // without directory
	expect string // exit code of keepalived 2.2.7, or ?
}

// expectation is the line of a hand-written file that says what it shows.
var expectation = regexp.MustCompile(`(?m)^! expect (\d+|\?): .`)

func readCorpus(t *testing.T) []handWritten {
	t.Helper()
	paths, err := filepath.Glob("corpus/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	var hs []handWritten
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		m := expectation.FindSubmatch(b)
		if m == nil {
			t.Fatalf(`%s has no line "! expect CODE: what it shows"`, p)
		}
		hs = append(hs, handWritten{filepath.Base(p), string(m[1])})
	}
	return hs
}

// writeExpectations notes in each file what keepalived says of it.
func writeExpectations(t *testing.T, hs []handWritten) {
	t.Helper()
	for _, h := range hs {
		p := filepath.Join("corpus", h.name)
		old, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		at := expectation.FindSubmatchIndex(old)
		b := append(append(append([]byte{}, old[:at[2]]...), h.expect...), old[at[3]:]...)
		if bytes.Equal(b, old) {
			continue
		}
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// copyCorpus puts corpus/ with what its files include onto the stage.
func (s *stage) copyCorpus(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("corpus", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel("corpus", p)
		to := filepath.Join(s.dir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if info, err := d.Info(); err == nil {
			mode = info.Mode()
		}
		return os.WriteFile(to, b, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
}
