package lint

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocs wants docs/lint.md to be what the pages say; -update writes it.
func TestDocs(t *testing.T) {
	const name = "../../../docs/lint.md"
	want := Markdown()
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
