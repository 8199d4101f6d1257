package lint

import (
	"embed"
	"fmt"
	"iter"
	"strings"
	"sync"

	"github.com/kaname-lb/kaname/internal/finding"
)

//go:embed pages/*.txt
var pageFiles embed.FS

// Page explains one rule, and proves it: a page is documentation, and its
// examples are a test.
//
// A page is a file pages/ID.txt:
//
//	K062 overridden-synonym
//	severity: warning
//	traps: T62
//	keepalived: accepts it, silent
//	summary: one line
//
//	What happens, why, how to see it. Paragraphs of plain text.
//
//	Fix: what to do.
//	-- bad.conf --
//	-- finds --
//	bad.conf:7:5
//	-- good.conf --
//
// finds lists where the rule speaks in bad.conf: each position once, and no
// other. Further examples are bad-2.conf with finds-2, and so on; another file
// belongs to the archive and can be included; an empty one is a file that is
// missing, and one that begins with #! is executable. <NUL>, <CR> and <FF> are
// those bytes, and <x*2000> stands for 2000 times x. Rules about two nodes have
// bad-a.conf and bad-b.conf instead, and good-a.conf and good-b.conf; those
// about the host have a host.txt (see ParseHost) that the examples are checked
// against; where a host-good.txt is, the good ones are checked against that.
type Page struct {
	ID, Rule   string
	Severity   finding.Severity
	Traps      []string // of the list of keepalived's traps: "T62"
	Keepalived string   // what keepalived does and says
	Summary    string
	Text       string
	Files      []File
}

// File is one example of a page.
type File struct{ Name, Text string }

// File returns the text of the named example, and false when there is none.
func (p *Page) File(name string) (string, bool) {
	for _, f := range p.Files {
		if f.Name == name {
			return f.Text, true
		}
	}
	return "", false
}

var pages = sync.OnceValue(func() []*Page {
	entries, err := pageFiles.ReadDir("pages")
	if err != nil {
		panic(err) // the directory is embedded
	}
	var all []*Page
	for _, e := range entries {
		b, err := pageFiles.ReadFile("pages/" + e.Name())
		if err != nil {
			panic(err)
		}
		p, err := parsePage(string(b))
		if err != nil {
			panic(fmt.Sprintf("pages/%s: %v", e.Name(), err)) // the tests parse them all
		}
		all = append(all, p)
	}
	return all
})

// Pages yields every page, by ID.
func Pages() iter.Seq[*Page] {
	return func(yield func(*Page) bool) {
		for _, p := range pages() {
			if !yield(p) {
				return
			}
		}
	}
}

// Explain returns the page of a rule by its ID (any case) or its name, nil when
// there is none.
func Explain(rule string) *Page {
	for p := range Pages() {
		if strings.EqualFold(p.ID, rule) || p.Rule == rule {
			return p
		}
	}
	return nil
}

var ids = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for p := range Pages() {
		m[p.Rule] = p.ID
	}
	return m
})

// Number gives every finding the ID of its rule.
func Number(fs []finding.Finding) {
	for i := range fs {
		fs[i].ID = ids()[fs[i].Rule]
	}
}

// parsePage reads a page.
func parsePage(s string) (*Page, error) {
	p := &Page{}
	head, rest, ok := strings.Cut(s, "\n\n")
	if !ok {
		return nil, fmt.Errorf("no empty line ends the head")
	}
	for i, l := range strings.Split(head, "\n") {
		key, value, _ := strings.Cut(l, ": ")
		switch {
		case i == 0:
			p.ID, p.Rule, ok = strings.Cut(l, " ")
			if !ok {
				return nil, fmt.Errorf("the first line is ID and rule, not %q", l)
			}
		case key == "severity":
			if err := p.Severity.UnmarshalText([]byte(value)); err != nil {
				return nil, err
			}
		case key == "traps":
			p.Traps = strings.Fields(value)
		case key == "keepalived":
			p.Keepalived = value
		case key == "summary":
			p.Summary = value
		default:
			return nil, fmt.Errorf("a page has no %q", key)
		}
	}
	p.read(rest)
	return p, nil
}

// read takes the text and the examples apart.
func (p *Page) read(s string) {
	var text strings.Builder
	for l := range strings.Lines(s) {
		if name, ok := strings.CutPrefix(l, "-- "); ok && strings.HasSuffix(name, " --\n") {
			p.Files = append(p.Files, File{Name: strings.TrimSuffix(name, " --\n")})
			continue
		}
		if n := len(p.Files); n > 0 {
			p.Files[n-1].Text += l
		} else {
			text.WriteString(l)
		}
	}
	p.Text = strings.TrimSpace(text.String())
}
