package parity

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
)

// difference is something that kaname judges otherwise on purpose.
type difference struct {
	reason string   // what differs, as docs/differences.md has it
	refuse bool     // kaname refuses these files, keepalived accepts them; else the reverse
	files  []string // names of files; one that ends in * is the beginning of names
	newer  bool     // the uses of keywords that 2.2.7 does not know
}

// findDifference returns the reason that covers x and what in its entry does;
// both empty when there is none.
func findDifference(x *sample) (reason, by string) {
	for _, d := range differences {
		if d.refuse != (x.ours.exit != 0) {
			continue
		}
		if by := d.covers(x); by != "" {
			return d.reason, by
		}
	}
	return "", ""
}

// covers returns the name in d that covers x.
func (d *difference) covers(x *sample) string {
	if d.newer && x.newer() {
		return "newer"
	}
	i := slices.IndexFunc(d.files, func(f string) bool {
		start, open := strings.CutSuffix(f, "*")
		return f == x.name || open && strings.HasPrefix(x.name, start)
	})
	if i < 0 {
		return ""
	}
	return d.files[i]
}

// newer reports whether the file uses a keyword that came after 2.2.7.
func (x *sample) newer() bool {
	f := strings.SplitN(x.name, " ", 3)
	k := config.Lookup(strings.TrimPrefix(f[0], "-"), f[1])
	return k != nil && !k.In227
}

// TestDifferencesAreDocumented: a difference without its line in the user's
// table is a surprise.
func TestDifferencesAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(b), "\n## `keepalived -t`\n")
	if !ok {
		t.Fatal("docs/differences.md has no section `keepalived -t`")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, d := range differences {
		if !strings.Contains(section, "| "+d.reason+" |") {
			t.Errorf("docs/differences.md has no row %q", d.reason)
		}
	}
}
