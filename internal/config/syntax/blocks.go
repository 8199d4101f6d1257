package syntax

import (
	"fmt"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// frame is an open block.
type frame struct {
	stmt *Statement // nil at root and for a stray brace
	path string
	kind Kind // Block, ValueBlock, or Unknown when nobody knows the keyword
	body *[]*Statement
	// last is the statement that a brace on the next line would belong to.
	last *Statement
	// waits is set when last is a block keyword that has no brace yet.
	waits bool
}

func (p *parser) top() *frame { return &p.frames[len(p.frames)-1] }

func (p *parser) kind(path, word string) Kind {
	if p.o.Grammar == nil {
		return Unknown
	}
	return p.o.Grammar.Kind(path, word)
}

func isBlock(k Kind) bool { return k == Block || k == ValueBlock }

// kindIn is what word is inside frame f. Every word of a block of values is a
// value, whatever it is elsewhere.
func (p *parser) kindIn(f *frame, word string) Kind {
	switch f.kind {
	case ValueBlock:
		return Plain
	case Unknown:
		if p.o.Grammar != nil {
			return Plain
		}
	}
	return p.kind(f.path, word)
}

// statements cuts a line at its braces. What follows a brace counts as the
// next line, so it may be a definition, a sequence or an include again.
func (p *parser) statements(t text, depth int) {
	for {
		i, c := brace(t.s)
		p.statement(t.slice(0, i).trim())
		if c == 0 {
			return
		}
		at := t.pos(i)
		t = t.slice(i+1, len(t.s))
		if c == '{' {
			p.open(at)
		} else {
			p.close(at)
		}
		if t = t.trim(); t.s == "" || p.stopped {
			return
		}
		if special(t.s) {
			if t, ok := p.condition(t); ok {
				p.line(t, depth+1)
			}
			return
		}
	}
}

// special reports whether a line is more than words and braces.
func special(s string) bool {
	if strings.IndexByte("@~$", s[0]) >= 0 {
		return true
	}
	if n := strings.IndexAny(s, blanks); n >= 0 {
		s = s[:n]
	}
	_, include := includeMode(s)
	return include
}

// brace finds the next brace outside double quotes and returns it, or 0 and
// the text's length. The braces of a ${NAME} that nothing defines, which has
// been reported, are none.
func brace(s string) (int, byte) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '$' && strings.HasPrefix(s[i:], "${"):
			if n := braced(s[i:]); n > 0 {
				i += n - 1
			}
		case c == '{' || c == '}':
			return i, c
		}
	}
	return len(s), 0
}

// braced returns the length of the ${...} that s begins with, 0 when it is
// none.
func braced(s string) int {
	n := strings.IndexAny(s[2:], "{}\"")
	if n < 0 || s[2+n] != '}' || nameLen(s[2:]) == 0 {
		return 0
	}
	return n + 3
}

// statement adds a logical line to the block that is open.
func (p *parser) statement(t text) {
	if t.s == "" {
		return
	}
	plain, first := unescape(t)
	if first >= 0 {
		p.report(finding.Note, "escaped-mark", t.pos(first), "the escaped mark is read as itself; keepalived before 2.3 starts a comment here", "put the word in double quotes")
	}
	p.scratch = words(p.scratch[:0], plain)
	if len(p.scratch) == 0 {
		return
	}
	st := p.pool.statement(p.scratch, plain)
	ws := st.Words
	if p.top().waits {
		p.missingOpen(ws[0].Text)
	}
	if w := ws[len(ws)-1]; !w.Quoted && strings.HasSuffix(w.Text, `\`) {
		p.report(finding.Warning, "no-continuation", w.Pos, "a backslash continues no line here; it becomes part of the word", "write the statement on one line")
	}
	f := p.top()
	if f.path == "global_defs" && ws[0].Text == "include_check" {
		p.checkWords(st)
	}
	*f.body = append(*f.body, st)
	f.last = st
	f.waits = isBlock(p.kindIn(f, ws[0].Text))
}

// missingOpen decides what a block keyword without a brace means, given the
// next line's first word, empty at the end of the file: a block that begins here,
// or an empty one.
func (p *parser) missingOpen(next string) {
	f := p.top()
	st := f.last
	f.waits = false
	word := st.Keyword()
	inner := join(f.path, word)
	kind := p.kind(f.path, word)
	begins := kind == ValueBlock && next != "" && next != "}" && p.kind(f.path, next) == Unknown ||
		kind == Block && p.kind(inner, next) != Unknown
	if !begins {
		rule := "missing-open-brace"
		if next == "" || next == "}" && kind == ValueBlock {
			rule = "empty-block" // which keepalived reads the same way
		}
		p.report(finding.Warning, rule, st.Pos(), fmt.Sprintf("%s has no {; it is read as %s { }", word, word), word+" { }")
		st.Block = &BlockBody{}
		f.last = nil
		return
	}
	p.report(finding.Warning, "missing-open-brace", st.Pos(), fmt.Sprintf("%s has no {; the lines up to the next } are read as its block", word), word+" {")
	p.push(st, kind, Pos{})
}

// open handles a `{`: it belongs to the last statement.
func (p *parser) open(at Pos) {
	if len(p.frames) > p.lim.BlockDepth {
		p.stop(at, fmt.Sprintf("blocks are nested deeper than %d; the rest is not read", p.lim.BlockDepth))
		return
	}
	f := p.top()
	st := f.last
	if st == nil {
		p.report(finding.Warning, "stray-brace", at, "this { belongs to no keyword; it and its } are ignored", "remove it")
		p.frames = append(p.frames, frame{path: f.path, kind: f.kind, body: f.body})
		return
	}
	f.waits = false
	kind := p.kind(f.path, st.Keyword())
	if f.kind == ValueBlock {
		kind = Unknown
	}
	if !isBlock(kind) && f.kind != Unknown && p.o.Grammar != nil {
		if n := p.outer(st.Keyword()); n > 0 {
			p.missingClose(st, n)
			f = p.top()
			kind = p.kind(f.path, st.Keyword())
		}
	}
	p.push(st, kind, at)
}

// outer returns how many blocks would have to be closed for word to be a
// keyword that opens a block, 0 when it is none in any of the open ones.
func (p *parser) outer(word string) int {
	for i := len(p.frames) - 2; i >= 0; i-- {
		if f := p.frames[i]; f.kind == Block && isBlock(p.kind(f.path, word)) {
			return len(p.frames) - 1 - i
		}
	}
	return 0
}

// missingClose closes the n inner blocks because st begins a block that
// belongs further out.
func (p *parser) missingClose(st *Statement, n int) {
	f := p.top()
	*f.body = (*f.body)[:len(*f.body)-1]
	inner := f.stmt
	p.frames = p.frames[:len(p.frames)-n]
	f = p.top()
	*f.body = append(*f.body, st)
	f.last = st
	if inner == nil {
		return
	}
	p.report(finding.Error, "missing-brace", st.Pos(),
		fmt.Sprintf("%s cannot stand in %s: the block opened at %s is not closed", st.Keyword(), inner.Keyword(), inner.Pos().Place()),
		"add a } before this line")
}

func (p *parser) push(st *Statement, kind Kind, at Pos) {
	if !isBlock(kind) {
		kind = Unknown
	}
	f := p.top()
	st.Block = &BlockBody{Open: at}
	f.last = nil
	p.frames = append(p.frames, frame{stmt: st, path: join(f.path, st.Keyword()), kind: kind, body: &st.Block.Body})
}

func join(path, word string) string {
	if path == "" {
		return word
	}
	return path + "/" + word
}

// close handles a `}`.
func (p *parser) close(at Pos) {
	if p.top().waits {
		p.missingOpen("}")
	}
	if len(p.frames) == 1 {
		p.report(finding.Warning, "extra-brace", at, "this } closes nothing; it is ignored", "remove it, or look for the { that is missing before it")
		p.top().last = nil
		return
	}
	f := p.top()
	if f.stmt != nil {
		f.stmt.Block.Close = at
	}
	p.frames = p.frames[:len(p.frames)-1]
	p.top().last = nil
}

// finish reports what is still open at the end of the last file.
func (p *parser) finish() {
	if p.top().waits && !p.stopped {
		p.missingOpen("")
	}
	for len(p.frames) > 1 {
		f := p.top()
		if f.stmt != nil && !p.stopped {
			p.report(finding.Error, "missing-brace", f.stmt.Pos(), f.stmt.Keyword()+" is never closed", "add the missing }")
		}
		p.frames = p.frames[:len(p.frames)-1]
	}
}
