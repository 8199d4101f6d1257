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

// findDifference returns the entry that covers x, or -1.
func findDifference(x *sample) int {
	return slices.IndexFunc(differences, func(d difference) bool {
		return d.refuse == (x.ours.exit != 0) && d.covers(x)
	})
}

func (d *difference) covers(x *sample) bool {
	if d.newer && x.newer() {
		return true
	}
	return slices.ContainsFunc(d.files, func(f string) bool {
		start, open := strings.CutSuffix(f, "*")
		return f == x.name || open && strings.HasPrefix(x.name, start)
	})
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
