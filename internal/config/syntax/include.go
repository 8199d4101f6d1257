package syntax

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// strictness says which include problems are errors.
type strictness uint8

const (
	strictRead     strictness = 1 << iota // unreadable, directory, executable
	strictMatch                           // no such file, no wildcard used
	strictWildcard                        // a wildcard matches nothing
	strictBrace                           // a brace alternative matches nothing
	strictAll      = strictRead | strictMatch | strictWildcard | strictBrace
)

// includeMode recognises include and its stricter forms.
func includeMode(word string) (strictness, bool) {
	if !strings.HasPrefix(word, "include") {
		return 0, false
	}
	switch word[len("include"):] {
	case "":
		return 0, true
	case "r":
		return strictRead, true
	case "m":
		return strictMatch, true
	case "w":
		return strictWildcard, true
	case "b":
		return strictBrace, true
	case "a":
		return strictAll, true
	}
	return 0, false
}

// checkWords changes the strictness as the words of include_check say.
func (p *parser) checkWords(st *Statement) {
	if len(st.Words) == 1 {
		p.strict = strictAll
		return
	}
	names := map[string]strictness{"read": strictRead, "match": strictMatch, "wildcard_match": strictWildcard, "brace_match": strictBrace}
	var set strictness
	relative := false
	for _, w := range st.Args() {
		name, sign := w.Text, byte(0)
		if name != "" && (name[0] == '+' || name[0] == '-') {
			name, sign = name[1:], name[0]
		}
		bit, ok := names[name]
		switch {
		case !ok:
			p.report(finding.Warning, "unknown-value", w.Pos, "include_check knows no "+w.Text, "read, match, wildcard_match or brace_match")
		case sign == '-':
			p.strict &^= bit
			relative = true
		case sign == '+':
			p.strict |= bit
			relative = true
		default:
			set |= bit
		}
	}
	if !relative || set != 0 {
		p.strict = set
	}
}

// mainFile reads the file that was asked for; keepalived allows a pattern.
func (p *parser) mainFile(name string) {
	if hasMeta(name) {
		if _, _, err := p.files.Read(name); err != nil {
			names := p.alternatives(text{s: name}, name, strictAll)
			for _, n := range names {
				p.readFile(n, Pos{}, strictAll, 0)
			}
			return
		}
	}
	p.readFile(name, Pos{}, strictAll, 0)
}

// include reads the files that a pattern names. Quotes belong to the pattern.
func (p *parser) include(pattern text, mode strictness, depth int) {
	mode |= p.strict
	name := pattern.s
	if name[0] == '"' || name[0] == '\'' {
		p.report(severity(mode&strictMatch), "include-skipped", pattern.pos(0),
			"the quotes are part of the file name here, and nothing is included", "include "+strings.Trim(name, `"'`))
		return
	}
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(p.file), name)
	}
	if !hasMeta(name) {
		p.readFile(name, pattern.pos(0), mode, depth)
		return
	}
	for _, n := range p.alternatives(pattern, name, mode) {
		p.readFile(n, pattern.pos(0), mode, depth)
	}
}

// alternatives returns the files that a pattern with wildcards or braces
// matches, one alternative after the other.
func (p *parser) alternatives(at text, pattern string, mode strictness) []string {
	alts := expandBraces(pattern, 256)
	var all []string
	for _, a := range alts {
		names, err := p.files.Glob(a)
		if err != nil {
			p.report(severity(mode&strictRead), "include-skipped", at.pos(0), fmt.Sprintf("pattern %s: %v", a, err), "")
			continue
		}
		if len(names) == 0 && (len(alts) > 1 && mode&strictBrace != 0) {
			p.report(finding.Error, "include-skipped", at.pos(0), "nothing matches "+a, "")
		}
		all = append(all, names...)
	}
	if len(all) == 0 {
		f := strictWildcard
		if !at.at.IsValid() && at.segs == nil {
			f = strictAll
		}
		p.report(severity(mode&f), "include-skipped", at.pos(0), "no file matches "+pattern, "")
	}
	return all
}

func severity(strict strictness) finding.Severity {
	if strict != 0 {
		return finding.Error
	}
	return finding.Warning
}

func hasMeta(s string) bool { return strings.ContainsAny(s, "*?[{") }

// expandBraces expands {a,b} as a shell does, up to limit alternatives.
func expandBraces(s string, limit int) []string {
	open := strings.IndexByte(s, '{')
	if open < 0 {
		return []string{s}
	}
	level, from, last := 0, open+1, -1
	var parts []string
	for i := open; i < len(s) && last < 0; i++ {
		switch {
		case s[i] == '{':
			level++
		case s[i] == '}' && level == 1:
			parts = append(parts, s[from:i])
			last = i
		case s[i] == '}':
			level--
		case s[i] == ',' && level == 1:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	if last < 0 {
		return []string{s}
	}
	var out []string
	for _, part := range parts {
		for _, e := range expandBraces(s[:open]+part+s[last+1:], limit-len(out)) {
			if len(out) >= limit {
				return out
			}
			out = append(out, e)
		}
	}
	return out
}

// readFile reads one file in place of the line at use.
func (p *parser) readFile(name string, use Pos, mode strictness, depth int) {
	isMain := use.from == nil
	fail := func(flag strictness, what, fix string) {
		if isMain {
			p.findings = append(p.findings, finding.Finding{
				Severity: finding.Error, Rule: "unreadable-file",
				Where: finding.Place{File: name}, What: what, Fix: "name a file that can be read",
			})
			return
		}
		p.report(severity(mode&flag), "include-skipped", use, name+": "+what+"; nothing is included", fix)
	}
	if slices.Contains(p.stack, path.Clean(name)) {
		p.report(finding.Error, "include-loop", use, name+" includes itself", "remove the include")
		return
	}
	if len(p.stack) >= p.lim.IncludeDepth {
		p.stop(use, fmt.Sprintf("includes are nested deeper than %d files; the rest is not read", p.lim.IncludeDepth))
		return
	}
	b, m, err := p.files.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fail(strictMatch, "no such file", "check the name (relative names start at the including file's directory)")
		return
	case err != nil:
		fail(strictRead, "cannot be read: "+reason(err), "")
		return
	case !m.IsRegular():
		fail(strictRead, "not a regular file", "")
		return
	case m.Perm()&0o111 != 0 && !isMain:
		fail(strictRead, "the file is executable, which keepalived refuses", "chmod a-x "+name)
		return
	}
	o := p.text(name, string(b), use)
	if isMain && m.Perm()&0o111 != 0 {
		p.report(finding.Warning, "executable-file", Pos{o, 1, 1}, "the file is executable; keepalived refuses to read it, kaname goes on", "chmod a-x "+name)
	}
	file, strict := p.file, p.strict
	p.stack, p.file = append(p.stack, path.Clean(name)), name
	p.run(o, depth)
	p.stack, p.file, p.strict = p.stack[:len(p.stack)-1], file, strict
}

// reason is what went wrong, without the file's name.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// text splits a file's content and notes the file in the tree.
func (p *parser) text(name, content string, use Pos) *origin {
	if _, seen := p.tree.lines[name]; !seen {
		p.tree.Files = append(p.tree.Files, name)
	}
	bare, bom := strings.CutPrefix(content, "\ufeff")
	o := &origin{file: name, via: use, how: "included from"}
	p.tree.lines[name] = nil
	if p.readable(o, bare) {
		o.lines = splitLines(bare)
		p.tree.lines[name] = o.lines
	}
	if len(o.lines) == 1 && strings.Contains(o.lines[0], "\r") {
		p.report(finding.Warning, "carriage-returns", Pos{o, 1, 1}, "the lines end with a carriage return alone, which ends none: the whole file is one line", "end the lines with a line feed")
	}
	if bom {
		p.report(finding.Warning, "byte-order-mark", Pos{o, 1, 1}, "the file starts with a byte order mark; keepalived loses the first block over it, kaname goes on", "save the file as UTF-8 without BOM")
	}
	return o
}

// readable refuses what would cost too much, and what is no text of bytes.
func (p *parser) readable(o *origin, content string) bool {
	start := Pos{o, 1, 1}
	p.read += len(content)
	switch {
	case p.read > p.lim.Bytes:
		return p.stop(start, fmt.Sprintf("the files hold more than %d MiB; the rest is not read", p.lim.Bytes>>20))
	case strings.Count(content, "\n") > p.lim.Lines:
		return p.stop(start, fmt.Sprintf("the file has more than %d lines; the rest is not read", p.lim.Lines))
	case strings.HasPrefix(content, "\xff\xfe"), strings.HasPrefix(content, "\xfe\xff"):
		p.report(finding.Error, "not-utf-8", start, "the file is UTF-16, of which nothing can be read", "save it as UTF-8 without BOM")
		return false
	}
	return true
}
