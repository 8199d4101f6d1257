package finding_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/finding"
)

func TestRender(t *testing.T) {
	at := finding.Place{File: "k.conf", Line: 3, Col: 9}
	tests := []struct {
		name string
		in   finding.Finding
		want string
	}{
		{
			"everything",
			finding.Finding{Severity: finding.Warning, Where: at, What: "odd", Evidence: "included from a:1:1", Fix: "even", Source: "    retry x"},
			"k.conf:3:9: warning: odd\n        retry x\n            ^\n    included from a:1:1\n    fix: even\n",
		},
		{
			"tabs stay tabs",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f", Line: 1, Col: 3}, What: "w", Source: "\t\tx"},
			"f:1:3: error: w\n    \t\tx\n    \t\t^\n",
		},
		{
			"wide characters take two cells",
			finding.Finding{Severity: finding.Note, Where: finding.Place{File: "f", Line: 1, Col: 8}, What: "w", Source: "任意 x"},
			"f:1:8: note: w\n    任意 x\n         ^\n",
		},
		{
			"behind the end",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f", Line: 1, Col: 6}, What: "w", Source: "inter"},
			"f:1:6: error: w\n    inter\n         ^\n",
		},
		{
			"a long line, from its beginning",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f", Line: 1, Col: 2}, What: "w", Source: strings.Repeat("x", 300)},
			"f:1:2: error: w\n    " + strings.Repeat("x", 200) + "…\n     ^\n",
		},
		{
			"a long line, around the column",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f", Line: 1, Col: 301}, What: "w", Source: strings.Repeat("x", 300) + "Y" + strings.Repeat("z", 300)},
			"f:1:301: error: w\n    …" + strings.Repeat("x", 100) + "Y" + strings.Repeat("z", 99) + "…\n    " + strings.Repeat(" ", 101) + "^\n",
		},
		{
			"a long line is cut between characters",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f", Line: 1}, What: "w", Source: strings.Repeat("x", 199) + "äö"},
			"f:1: error: w\n    " + strings.Repeat("x", 199) + "ä…\n",
		},
		{
			"far behind the end",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f", Line: 1, Col: 600}, What: "w", Source: "a"},
			"f:1:600: error: w\n    a\n     ^\n",
		},
		{
			"no column, no caret",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f"}, What: "no such file"},
			"f: error: no such file\n",
		},
		{
			"control characters do not reach the terminal",
			finding.Finding{Severity: finding.Error, Where: finding.Place{File: "f", Line: 1, Col: 1}, What: "w", Source: "a\x1b[2J\u009bb"},
			"f:1:1: error: w\n    a\uFFFD[2J\uFFFDb\n    ^\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, finding.Render(tt.in)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSort(t *testing.T) {
	p := func(file string, line, col int) finding.Finding {
		return finding.Finding{Where: finding.Place{File: file, Line: line, Col: col}}
	}
	fs := []finding.Finding{{What: "host"}, p("b", 1, 1), p("a", 2, 1), p("a", 1, 5), p("a", 1, 2), p("zz", 1, 1)}
	finding.Sort(fs, []string{"a", "b"})
	var got []string
	for _, f := range fs {
		got = append(got, f.Where.String())
	}
	want := []string{"a:1:2", "a:1:5", "a:2:1", "b:1:1", "", "zz:1:1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
