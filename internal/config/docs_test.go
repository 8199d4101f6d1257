package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Every configuration that the documentation shows (a block fenced as
// "keepalived") loads without an error or a warning.
func TestExamplesOfTheDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, page := range append(pages, "../../README.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(b), "```keepalived\n")[1:] {
			examples++
			text, _, _ := strings.Cut(part, "```")
			_, _, fs := config.Load(syntax.MapFiles{"example.conf": text}, "example.conf", config.Options{ConfigID: "docs"})
			if finding.Worst(fs) > finding.Note {
				t.Errorf("%s, example %d:\n%v", page, i+1, fs)
			}
		}
	}
	if examples == 0 {
		t.Fatal("no example found")
	}
}
