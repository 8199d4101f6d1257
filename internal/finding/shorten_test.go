package finding_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/finding"
)

func TestShorten(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name     string
		in, want finding.Finding
	}{
		{
			"a sane finding stays",
			finding.Finding{What: long(100) + " is odd", Fix: "even", Source: long(300), Where: finding.Place{Col: 290}},
			finding.Finding{What: long(100) + " is odd", Fix: "even", Source: long(300), Where: finding.Place{Col: 290}},
		},
		{
			"a long word is cut, what follows stays",
			finding.Finding{What: "name " + long(9000) + " has 9000 bytes"},
			finding.Finding{What: "name " + long(150) + "… has 9000 bytes"},
		},
		{
			"a character is not cut in two",
			finding.Finding{What: strings.Repeat("漢", 100)},
			finding.Finding{What: strings.Repeat("漢", 50) + "…"},
		},
		{
			"many words are cut",
			finding.Finding{Evidence: strings.Repeat("word ", 5000)},
			finding.Finding{Evidence: strings.Repeat("word ", 241) + "…"},
		},
		{
			"a source line is cut behind the place",
			finding.Finding{Source: long(5000), Where: finding.Place{Col: 12}},
			finding.Finding{Source: long(400) + "…", Where: finding.Place{Col: 12}},
		},
		{
			"a place far out has no source line",
			finding.Finding{Source: long(5000), Where: finding.Place{Col: 3000}},
			finding.Finding{Where: finding.Place{Col: 3000}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fs := []finding.Finding{tt.in}
			finding.Shorten(fs)
			if d := cmp.Diff(tt.want, fs[0]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
