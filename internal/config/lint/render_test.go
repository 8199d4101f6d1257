package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// TestDocs wants docs/lint.md to be what the pages say, and to promise for the
// seeds exactly what is found in them; -update writes it.
func TestDocs(t *testing.T) {
	const name = "../../../docs/lint.md"
	want := Markdown() + seedFindings(t)
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(got), want); d != "" {
		t.Errorf("docs/lint.md is not generated from these pages; run go test ./internal/config/lint -run TestDocs -update\n%s", d)
	}
}

func TestExplain(t *testing.T) {
	for _, name := range []string{"K062", "k062", "overridden-synonym"} {
		if p := Explain(name); p == nil || p.ID != "K062" {
			t.Errorf("Explain(%q) = %+v", name, p)
		}
	}
	if p := Explain("K999"); p != nil {
		t.Errorf("K999: %+v", p)
	}
}

// seedFindings lists everything that check finds in the configurations that the
// product's first five reports print (one prints none).
func seedFindings(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../testdata/seeds/*.conf")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d seeds, %v; want 4", len(files), err)
	}
	var b strings.Builder
	b.WriteString("\n## In real files\n\nThe reports that kaname was made after print four configurations (internal/config/testdata/seeds). This is all\nthat `kaname check` finds in them.\n")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		cfg, tree, fs := config.Load(syntax.MapFiles{name: string(text)}, name, config.Options{})
		fs = append(fs, Check(cfg, tree)...)
		Number(fs)
		finding.Sort(fs, tree.Files)
		fmt.Fprintf(&b, "\n### %s\n\n", name)
		for _, f := range fs {
			if f.ID == "" {
				t.Errorf("%s: %s has no page", name, f)
			}
			f.Where.File = ""
			fmt.Fprintf(&b, "- %d:%d %s [%s](#%s): %s\n", f.Where.Line, f.Where.Col, f.Severity, f.ID, strings.ToLower(f.ID), f.What)
		}
	}
	return b.String()
}
