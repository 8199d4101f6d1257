package format_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config/format"
)

func TestDiff(t *testing.T) {
	abc := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n"
	tests := []struct{ name, a, b, want string }{
		{"equal", abc, abc, ""},
		{"empty", "", "", ""},
		{"all new", "", "a\n", "@@ -0,0 +1 @@\n+a\n"},
		{"all gone", "a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n"},
		{"one line", abc, strings.Replace(abc, "f", "x", 1), "@@ -3,7 +3,7 @@\n c\n d\n e\n-f\n+x\n g\n h\n i\n"},
		{"at the ends", abc, strings.NewReplacer("a\n", "", "k", "x").Replace(abc), "@@ -1,4 +1,3 @@\n-a\n b\n c\n d\n@@ -8,4 +7,4 @@\n h\n i\n j\n-k\n+x\n"},
		{"near", abc, strings.NewReplacer("c", "x", "i", "y").Replace(abc), "@@ -1,11 +1,11 @@\n a\n b\n-c\n+x\n d\n e\n f\n g\n h\n-i\n+y\n j\n k\n"},
		{"no line feed", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		{"repeated lines", "x\n}\n}\ny\n", "x\n}\nz\n}\ny\n", "@@ -1,4 +1,5 @@\n x\n }\n+z\n }\n y\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want != "" {
				want = "--- old\n+++ new\n" + want
			}
			if d := cmp.Diff(want, format.Diff("old", "new", tt.a, tt.b)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestDiffApplies has patch(1) make the new text of the old one.
func TestDiffApplies(t *testing.T) {
	patch, err := exec.LookPath("patch")
	if err != nil {
		t.Log("patch is not installed: the diffs are applied by apply alone")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range rnd.IntN(40) {
			fmt.Fprintf(&b, "%c\n", 'a'+rune(rnd.IntN(12)))
		}
		return strings.TrimSuffix(b.String(), []string{"", "\n"}[rnd.IntN(2)])
	}
	for i := range 300 {
		a, b := text(), text()
		diff := format.Diff("f", "f", a, b)
		if got := apply(t, a, diff); got != b {
			t.Fatalf("a %q\nb %q\ndiff\n%sgives %q", a, b, diff, got)
		}
		if patch == "" || i >= 30 || a == b {
			continue
		}
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, []byte(a), 0o600); err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), patch, "-s", name)
		c.Stdin = strings.NewReader(diff)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("patch: %v %s\na %q\nb %q\ndiff\n%s", err, out, a, b, diff)
		}
		got, err := os.ReadFile(name)
		if err != nil && b != "" {
			t.Fatal(err)
		}
		if string(got) != b {
			t.Fatalf("a %q\nb %q\ndiff\n%sgives %q", a, b, diff, got)
		}
	}
}

// apply makes of a what the diff says, and wants that its heads and its
// unchanged lines are true.
func apply(t *testing.T, a, diff string) string {
	t.Helper()
	old := strings.SplitAfter(a, "\n")
	var out strings.Builder
	at := 0
	diff = strings.ReplaceAll(diff, "\n\\ No newline at end of file\n", "\x00\n")
	for l := range strings.Lines(diff) {
		if strings.HasPrefix(l, "---") || strings.HasPrefix(l, "+++") {
			continue
		}
		if strings.HasPrefix(l, "@@") {
			var from int
			if _, err := fmt.Sscanf(l, "@@ -%d", &from); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Fields(l)[1], ",0") {
				from--
			}
			for ; at < from; at++ {
				out.WriteString(old[at])
			}
			continue
		}
		text := strings.Replace(l[1:], "\x00\n", "", 1)
		if l[0] != '+' {
			if old[at] != text {
				t.Fatalf("line %d of %q is not %q", at+1, a, text)
			}
			at++
		}
		if l[0] != '-' {
			out.WriteString(text)
		}
	}
	for ; at < len(old); at++ {
		out.WriteString(old[at])
	}
	return out.String()
}
