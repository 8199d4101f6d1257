package format_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config/format"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// TestKeepalived asks keepalived what it makes of a file: formatted, it has the
// same to say about it, whatever the line; modernised, nothing new.
func TestKeepalived(t *testing.T) {
	program, err := exec.LookPath("keepalived")
	if err != nil {
		t.Skip("keepalived is not installed; make test installs it")
	}
	var files []string
	for _, pattern := range []string{"testdata/format/*.txt", "testdata/modern/*.txt", "../testdata/seeds/*.conf"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("nothing matches %s: %v", pattern, err)
		}
		files = append(files, names...)
	}
	messages := 0
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		in, _, _ := strings.Cut(string(b), separator)
		before := says(t, program, in)
		messages += len(before)
		if after := says(t, program, format.Format("f", in)); !slices.Equal(before, after) {
			t.Errorf("%s: keepalived says\n%s\nand about the formatted file\n%s", name, strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
		r := format.Modern(syntax.MapFiles{"f": in}, "f", in, options)
		if after := says(t, program, r.Text); len(after) > len(before) {
			t.Errorf("%s: keepalived says\n%s\nand about the modernised file\n%s", name, strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
	}
	if messages < len(files) {
		t.Errorf("keepalived says only %d things about %d files", messages, len(files))
	}
}

var lineNumber = regexp.MustCompile(`\(.*Line \d+\)`)

// says returns the messages of keepalived -t about a text, without the lines'
// numbers and with single blanks.
func says(t *testing.T, program, text string) []string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "f.conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Its exit status follows from the messages.
	out, _ := exec.CommandContext(t.Context(), program, "-t", "-i", "me", "-f", name).CombinedOutput()
	var said []string
	for l := range strings.Lines(lineNumber.ReplaceAllString(string(out), "")) {
		said = append(said, strings.Join(strings.Fields(l), " "))
	}
	return said
}
