package format

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// noEffect are the keywords that do nothing in any keepalived, by their paths.
// Where they stand in the typed configuration does not count.
var noEffect = map[string]string{
	"virtual_server/hashed": "it has no effect",
	"vrrp_instance/debug":   "it has no effect",
	"vrrp_script/init_fail": "it has no effect, the first result decides alone",
}

// withoutEffect are their last words.
var withoutEffect = []string{"hashed", "debug", "init_fail"}

// proof compares what a file's text means, old and new.
type proof struct {
	files  syntax.Files
	name   string
	o      config.Options
	mains  []Main
	ids    []string
	before []loaded
}

// loaded is a main file, loaded for one config id.
type loaded struct {
	main     Main
	id       string
	cfg      *config.Config
	tree     *syntax.Tree
	findings []finding.Finding
}

func newProof(files syntax.Files, name, content string, o Options) *proof {
	p := &proof{files: files, name: name, o: o.Load, mains: o.Mains, ids: []string{o.Load.ConfigID}}
	if len(p.mains) == 0 {
		p.mains = []Main{{name, name}}
	}
	p.before = p.load(content)
	if ids := p.marks(content); len(ids) > 1 {
		p.ids = ids
		p.before = p.load(content)
	}
	return p
}

// marks returns the config ids that make a difference: those of the @id lines
// in all files, the one asked for, and one that no line has.
func (p *proof) marks(content string) []string {
	ids := map[string]bool{}
	read := map[string]bool{}
	for _, l := range p.before {
		for _, name := range l.tree.Files {
			if text, ok := p.source(l.main, name, content); ok && !read[name] {
				read[name] = true
				addMarks(ids, text)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	delete(ids, p.o.ConfigID)
	other := "-"
	for ids[other] || other == p.o.ConfigID {
		other += "-"
	}
	ids[other] = true
	out := make([]string, 0, len(ids))
	for id := range ids {
		out = append(out, id)
	}
	slices.Sort(out)
	return append([]string{p.o.ConfigID}, out...)
}

// source returns the text of a file that a main file reads.
func (p *proof) source(m Main, name, content string) (string, bool) {
	b, _, err := (&overlay{p.files, m.As, content}).Read(name)
	return string(b), err == nil
}

// addMarks collects the ids of a text's @id lines, which may also begin behind
// a brace, in a definition or in a sequence's template.
func addMarks(ids map[string]bool, text string) {
	before := byte('\n')
	for i := range len(text) {
		if text[i] == '@' && strings.IndexByte(blanks+"\n{}=)", before) >= 0 {
			id := strings.TrimPrefix(text[i+1:], "^")
			if n := strings.IndexAny(id, blanks+"\n"); n > 0 {
				ids[id[:n]] = true
			}
		}
		before = text[i]
	}
}

// load loads every main file for every config id, with text in place of the
// file.
func (p *proof) load(text string) []loaded {
	var out []loaded
	for _, m := range p.mains {
		for _, id := range p.ids {
			o := p.o
			o.ConfigID = id
			l := loaded{main: m, id: id}
			l.cfg, l.tree, l.findings = config.Load(&overlay{p.files, m.As, text}, m.File, o)
			out = append(out, l)
		}
	}
	return out
}

// difference says what another text of the file would make different, "" when
// nothing.
func (p *proof) difference(text string) string {
	for i, now := range p.load(text) {
		old := p.before[i]
		d := config.Same(old.cfg, now.cfg, withoutEffect...)
		if d != "" {
			d += " would differ"
		} else if f := complaint(old.findings, now.findings); f != nil {
			d = "this would be found: " + f.What
		} else {
			continue
		}
		if now.main.File != p.name {
			d += " in " + now.main.File
		}
		if len(p.ids) > 1 && now.id != p.o.ConfigID {
			d += " for the config id " + now.id
		}
		return d
	}
	return ""
}

// complaint returns a finding that is new, nil when there is none. The places of
// findings change, so that they are counted by their rules.
func complaint(before, after []finding.Finding) *finding.Finding {
	known := map[string]int{}
	for _, f := range before {
		known[f.Rule]++
	}
	for i, f := range after {
		if known[f.Rule]--; known[f.Rule] < 0 {
			return &after[i]
		}
	}
	return nil
}

// overlay shows another text for one of the files.
type overlay struct {
	syntax.Files
	name, content string
}

// Read returns the overlay's text for its file.
func (o *overlay) Read(name string) ([]byte, fs.FileMode, error) {
	if path.Clean(name) != path.Clean(o.name) {
		return o.Files.Read(name)
	}
	if _, m, err := o.Files.Read(name); err == nil {
		return []byte(o.content), m, nil
	}
	return []byte(o.content), 0o644, nil
}
