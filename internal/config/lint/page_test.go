package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

// TestPages wants of each page that its rule speaks in the bad examples at the
// places that the page names, with its severity, and is silent in the good ones.
func TestPages(t *testing.T) {
	seen := map[string]string{}
	for p := range Pages() {
		t.Run(p.ID, func(t *testing.T) {
			if !regexp.MustCompile(`^K\d{3}$`).MatchString(p.ID) || p.Rule == "" || p.Summary == "" || p.Keepalived == "" || p.Severity == 0 || !strings.Contains(p.Text, "Fix: ") {
				t.Errorf("the page lacks something: %+v", p)
			}
			for _, name := range []string{p.ID, p.Rule} {
				if seen[name] != "" {
					t.Errorf("%s is used by %s too", name, seen[name])
				}
				seen[name] = p.ID
			}
			if bad, good := examples(t, p); bad == 0 || good == 0 {
				t.Errorf("%d bad and %d good examples; want one of each at least", bad, good)
			}
		})
	}
}

// examples checks the examples of a page and counts them.
func examples(t *testing.T, p *Page) (bad, good int) {
	t.Helper()
	for _, f := range p.Files {
		kind := strings.TrimRight(strings.TrimSuffix(f.Name, ".conf"), "0123456789")
		switch strings.TrimSuffix(kind, "-") {
		case "bad":
			bad++
			finds, ok := p.File("finds" + strings.TrimPrefix(strings.TrimSuffix(f.Name, ".conf"), "bad"))
			if !ok {
				t.Errorf("%s has no finds", f.Name)
			}
			speaks(t, p, []string{f.Name}, finds)
		case "bad-a":
			bad++
			finds, _ := p.File("finds")
			speaks(t, p, []string{"bad-a.conf", "bad-b.conf"}, finds)
		case "good":
			good++
			speaks(t, p, []string{f.Name}, "")
		case "good-a":
			good++
			speaks(t, p, []string{"good-a.conf", "good-b.conf"}, "")
		}
	}
	return bad, good
}

// speaks wants the page's rule at exactly the places named, one a line.
func speaks(t *testing.T, p *Page, names []string, finds string) {
	t.Helper()
	var got []string
	for _, f := range allFindings(p, names) {
		if f.Rule != p.Rule {
			continue
		}
		got = append(got, f.Where.String())
		if f.Severity != p.Severity {
			t.Errorf("%s: the page says %s", f, p.Severity)
		}
		if f.Where.Line > 0 && f.Source == "" {
			t.Errorf("%s has no source line", f)
		}
		if f.Fix == "" && f.Severity > finding.Note && f.Rule != "not-supported" {
			t.Errorf("%s has no fix", f)
		}
	}
	want := strings.Fields(finds)
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s: places (-want +got):\n%s%s", names, d, listed(allFindings(p, names)))
	}
}

func listed(fs []finding.Finding) string {
	s := "all findings:\n"
	for _, f := range fs {
		s += fmt.Sprintf("  %s [%s]\n", f, f.Rule)
	}
	return s
}

// allFindings are those of the language and of all rules.
func allFindings(p *Page, names []string) []finding.Finding {
	files := exampleFilesOf(p)
	var all []finding.Finding
	var nodes []Node
	for i, name := range names {
		id := []string{"lb1", "lb2"}[i]
		cfg, tree, fs := config.Load(files, name, config.Options{ConfigID: id})
		all = append(all, fs...)
		all = append(all, Check(cfg, tree)...)
		if text := hostOf(p, name); text != "" {
			host, err := ParseHost(text)
			if err != nil {
				panic(fmt.Sprintf("%s: the host of %s: %v", p.ID, name, err))
			}
			all = append(all, CheckHost(cfg, tree, host)...)
		}
		nodes = append(nodes, Node{Name: id, Config: cfg, Tree: tree})
	}
	if len(nodes) == 2 {
		all = append(all, CheckPair(nodes[0], nodes[1])...)
	}
	return all
}

// hostOf is the host that an example is checked against, "" for none.
func hostOf(p *Page, example string) string {
	text, _ := p.File("host.txt")
	if good, ok := p.File("host-good.txt"); ok && strings.HasPrefix(example, "good") {
		return good
	}
	return text
}

// TestEveryTrap wants a page for each of keepalived's 113 traps.
func TestEveryTrap(t *testing.T) {
	have := map[string]bool{}
	for p := range Pages() {
		for _, trap := range p.Traps {
			have[trap] = true
		}
	}
	for n := 1; n <= 113; n++ {
		if id := fmt.Sprintf("T%02d", n); !have[id] {
			t.Errorf("no page for %s", id)
		}
	}
}
