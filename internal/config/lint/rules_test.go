package lint

import (
	"flag"
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

var update = flag.Bool("update", false, "rewrite the golden files")

const separator = "----------\n"

// TestRules reads testdata/*.txt: a configuration, a line of dashes, and the
// findings of all rules. That each rule speaks and is silent where it should is
// TestPages.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(b), separator)
			cfg, tree, _ := config.Load(syntax.MapFiles{"t.conf": input}, "t.conf", config.Options{})
			got := ""
			for _, f := range Check(cfg, tree) {
				got += fmt.Sprintf("%s [%s]\n", f, f.Rule)
				if f.Evidence != "" {
					got += "    " + f.Evidence + "\n"
				}
				if f.Fix != "" {
					got += "    fix: " + f.Fix + "\n"
				}
				if f.Severity == finding.Error {
					t.Errorf("%s is an error; rules only warn", f)
				}
				if f.Source == "" {
					t.Errorf("%s has no source line", f)
				}
			}
			if *update {
				if err := os.WriteFile(name, []byte(input+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestSeedOverride pins what the seeds' troubles look like: the line that overrides
// and the line that is overridden.
func TestSeedOverride(t *testing.T) {
	b, err := os.ReadFile("../testdata/seeds/000.conf")
	if err != nil {
		t.Fatal(err)
	}
	cfg, tree, _ := config.Load(syntax.MapFiles{"keepalived.conf": string(b)}, "keepalived.conf", config.Options{})
	for _, f := range Check(cfg, tree) {
		if f.Rule != "overridden-synonym" {
			continue
		}
		if f.Where.Line != 21 || !strings.Contains(f.What, "lb_algo lc overrides lvs_sched rr at keepalived.conf:19:3") {
			t.Errorf("got %s", f)
		}
		if f.Source != "  lb_algo lc" {
			t.Errorf("source %q", f.Source)
		}
		return
	}
	t.Error("the override was not found")
}
