package syntax

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"

	"github.com/kaname-lb/kaname/internal/finding"
)

// Parse reads the named file with everything it includes. The tree is never
// nil and holds whatever could be read; all problems are in the findings.
func Parse(files Files, path string, o Options) (*Tree, []finding.Finding) {
	p := &parser{files: files, o: o, lim: o.Limits.withDefaults(), defs: map[string]*definition{}, marked: map[string]bool{}, tree: &Tree{lines: map[string][]string{}}}
	p.frames = []frame{{body: &p.tree.Body, kind: Block}}
	if o.StrictIncludes {
		p.strict = strictAll
	}
	p.mainFile(path)
	p.finish()
	return p.tree, p.findings
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Lines, MaxLines)
	set(&l.Bytes, 256<<20)
	set(&l.LineLength, 1<<16)
	set(&l.IncludeDepth, 32)
	set(&l.BlockDepth, 64)
	set(&l.Findings, 1000)
	return l
}

// MaxLines is how many lines a configuration may have.
const MaxLines = 2_000_000

type parser struct {
	files    Files
	o        Options
	lim      Limits
	defs     map[string]*definition
	rnd      *rand.Rand
	tree     *Tree
	findings []finding.Finding

	file   string   // being read
	stack  []string // files being read, outermost first
	strict strictness
	marked map[string]bool // ids of @ID lines
	frames []frame
	// seen are the blocks of text that the work so far has cost.
	lines, bytes int
	read         int // bytes of files
	stopped      bool

	pool    pool
	scratch []Word
}

// report adds a finding at a position.
func (p *parser) report(sev finding.Severity, rule string, at Pos, what, fix string) {
	switch {
	case len(p.findings) > p.lim.Findings:
		return
	case len(p.findings) == p.lim.Findings:
		// An Error, because one may be among those that are not shown.
		sev, rule, what, fix = finding.Error, "too-many-findings", fmt.Sprintf("more than %d problems; the rest is not shown", p.lim.Findings), "repair the first ones and check again"
	}
	p.findings = append(p.findings, finding.Finding{
		Severity: sev, Rule: rule, Where: at.Place(), What: what, Evidence: at.Chain(), Fix: fix, Source: at.Source(),
	})
}

// run reads the physical lines of a file, with the definitions that go over
// several of them.
func (p *parser) run(o *origin, depth int) {
	var def *definition
	for i, s := range o.lines {
		if p.stopped {
			return
		}
		if strings.Trim(s, blanks) == "" {
			def = nil // an empty line ends a definition, a comment does not
			continue
		}
		t, ok := p.physical(lineText(s, o, i+1))
		if !ok {
			continue
		}
		if t, ok = p.condition(t); !ok {
			continue
		}
		if def != nil {
			if !def.more(t) {
				def = nil
			}
			continue
		}
		if name, at, ok := assignment(t.s); ok {
			d := &definition{}
			p.defs[name] = d
			if d.more(t.slice(at, len(t.s))) {
				def = d
			}
			continue
		}
		p.line(t, depth)
	}
}

// more adds a line to the value and reports whether another one follows.
func (d *definition) more(t text) bool {
	t = t.trim()
	cont := strings.HasSuffix(t.s, `\`)
	if cont {
		t = t.slice(0, len(t.s)-1).trim()
	}
	if t.s != "" {
		d.lines = append(d.lines, t)
	}
	return cont
}

// physical takes comment and surrounding blanks off a line as it stands in a
// file and reports what a file's bytes can do wrong.
func (p *parser) physical(t text) (text, bool) {
	if len(t.s) > 1022 {
		if len(t.s) > p.lim.LineLength {
			p.report(finding.Error, "line-too-long", t.pos(0), fmt.Sprintf("line of %d bytes is left out; the limit is %d", len(t.s), p.lim.LineLength), "split the line")
			return text{}, false
		}
		p.report(finding.Warning, "long-line", t.pos(0), fmt.Sprintf("line of %d bytes: keepalived cuts a line at 1023, kaname reads it whole", len(t.s)), "split the line")
	}
	if i := strings.IndexByte(t.s, 0); i >= 0 {
		p.report(finding.Warning, "nul-byte", t.pos(i), "the line holds a NUL byte and is left out", "remove the byte; is this a text file?")
		return text{}, false
	}
	end, open := comment(t.s)
	t = t.slice(0, end).trim()
	if open >= 0 {
		p.report(finding.Warning, "unterminated-quote", t.pos(max(0, len(t.s)-1)), "a double quote is never closed; what follows it on the line is lost", `close the quote with "`)
	}
	if t.s == "" {
		return t, false
	}
	p.lookalikes(t)
	return t, true
}

// lookalikes reports the first character of a line, outside quotes, that is not
// what it looks like.
func (p *parser) lookalikes(t text) {
	quoted := false
	for i, r := range t.s {
		if r == '"' {
			quoted = !quoted
		}
		if r < 0x80 || quoted {
			continue
		}
		if r == utf8.RuneError && !strings.HasPrefix(t.s[i:], string(utf8.RuneError)) {
			p.report(finding.Note, "not-utf-8", t.pos(i), fmt.Sprintf("the byte 0x%02X is not valid UTF-8; it stays as it is", t.s[i]), "save the file as UTF-8")
			return
		}
		if what := lookalike(r); what != "" {
			p.report(finding.Warning, "lookalike-character", t.pos(i), what, "use the ASCII character")
			return
		}
	}
}

// lookalike says what a character is not, "" for most.
func lookalike(r rune) string {
	switch {
	case r == 0x3000, r == 0xa0, r >= 0x2000 && r <= 0x200a, r == 0x202f, r == 0x205f:
		return fmt.Sprintf("U+%04X looks like a space but separates no words", r)
	case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x2069, r == 0xfeff, r == 0xad, r == 0x61c:
		return fmt.Sprintf("U+%04X is invisible and becomes part of the word", r)
	case r == 0x85, r == 0x2028, r == 0x2029:
		return fmt.Sprintf("U+%04X ends no line here; it becomes part of the word", r)
	case strings.ContainsRune("“”„‟＂‘’‚‛＇«»", r):
		return fmt.Sprintf("%c is no quote here; it becomes part of the word", r)
	case r == '｛', r == '｝':
		return fmt.Sprintf("%c is no brace here; it becomes part of the word", r)
	case r >= '０' && r <= '９', r >= 0x660 && r <= 0x669, r >= 0x6f0 && r <= 0x6f9:
		return fmt.Sprintf("%c is no digit here; it becomes part of the word", r)
	case r > '！' && r <= '～':
		return fmt.Sprintf("%c is not the ASCII %c; it becomes part of the word", r, r-'！'+'!')
	}
	return ""
}

// condition handles a line that starts with @: it returns what is left of the
// line, or false when the line is not for this configuration id. kaname keeps
// @kaname lines whatever its id is, and drops @^kaname lines, so that one file
// serves it and keepalived.
func (p *parser) condition(t text) (text, bool) {
	if t.s[0] != '@' {
		return t, true
	}
	n := strings.IndexAny(t.s, blanks)
	if n < 0 {
		return t, false
	}
	id, negated := t.s[1:n], false
	if strings.HasPrefix(id, "^") {
		id, negated = id[1:], true
	} else {
		p.mark(id, t)
	}
	if (id == "kaname" || id == p.o.ConfigID) == negated {
		return t, false
	}
	t = t.slice(n, len(t.s)).trim()
	if t.s[0] == '@' {
		p.report(finding.Warning, "second-mark", t.pos(0), "a line has only one @ mark; the second one is read as a keyword", "one mark per line")
	}
	return t, true
}

// mark notes the id of a conditional line.
func (p *parser) mark(id string, t text) {
	if id != "kaname" && !p.marked[id] {
		p.marked[id] = true
		p.tree.Marks = append(p.tree.Marks, Mark{ID: id, Kept: id == p.o.ConfigID, Where: t.pos(0).Place()})
	}
}

// line handles one line without its comment: sequences, definitions, includes,
// and at last statements. It returns false when reading has to stop.
func (p *parser) line(t text, depth int) bool {
	p.lines++
	p.bytes += len(t.s)
	switch {
	case p.stopped:
		return false
	case p.lines > p.lim.Lines || p.bytes > p.lim.Bytes:
		return p.stop(t.pos(0), fmt.Sprintf("the configuration grows beyond %d lines or %d MiB; the rest is not read", p.lim.Lines, p.lim.Bytes>>20))
	case depth > maxExpansionDepth:
		return p.stop(t.pos(0), "definitions and sequences are nested too deep, probably in a loop; the rest is not read")
	case t.s == "":
		return true
	case t.s[0] == '~':
		p.sequence(t, depth)
		return !p.stopped
	}
	if name, at, ok := assignment(t.s); ok {
		d := &definition{}
		d.more(t.slice(at, len(t.s)))
		p.defs[name] = d
		return true
	}
	if p.spacedAssignment(t) {
		return true
	}
	before := t
	t, rest := p.expand(t)
	if t.s != before.s {
		// The value may hold a comment, a mark or another definition.
		end, _ := comment(t.s)
		t = t.slice(0, end).trim()
	}
	if t.s != "" && t.s != before.s {
		if t, ok := p.condition(t); ok {
			p.expanded(t, depth)
		}
	} else if t.s != "" {
		p.expanded(t, depth)
	}
	p.replayLines(rest, depth)
	return !p.stopped
}

// replayLines reads the further lines of a definition, which may define names
// over several lines themselves.
func (p *parser) replayLines(rest []text, depth int) {
	for _, l := range rest {
		l, ok := p.condition(l)
		if !ok {
			continue
		}
		if !p.line(l, depth+1) {
			return
		}
	}
}

const maxExpansionDepth = 40

func (p *parser) stop(at Pos, what string) bool {
	if !p.stopped {
		p.stopped = true
		p.report(finding.Error, "limit", at, what, "look for a definition, sequence or include that repeats itself")
	}
	return false
}

// expanded handles a line in which every definition has been replaced.
func (p *parser) expanded(t text, depth int) {
	if t.s[0] == '~' {
		p.sequence(t, depth)
		return
	}
	if n := strings.IndexAny(t.s, blanks); n > 0 {
		if mode, ok := includeMode(t.s[:n]); ok {
			p.include(t.slice(n, len(t.s)).trim(), mode, depth)
			return
		}
	} else if _, ok := includeMode(t.s); ok {
		p.report(finding.Warning, "include-nothing", t.pos(0), t.s+" names no file", t.s+" PATTERN")
		return
	}
	p.statements(t, depth)
}

// spacedAssignment reports `$NAME = value`, which is no definition.
func (p *parser) spacedAssignment(t text) bool {
	if t.s[0] != '$' {
		return false
	}
	n := nameLen(t.s[1:])
	rest := strings.TrimLeft(t.s[1+n:], " \t")
	if n == 0 || !strings.HasPrefix(rest, "=") {
		return false
	}
	p.report(finding.Warning, "definition-space", t.pos(0), "$"+t.s[1:1+n]+" is not defined by this line, since a blank stands before the =; the line is left out",
		"$"+t.s[1:1+n]+"="+strings.TrimSpace(rest[1:]))
	return true
}
