package syntax

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// sequence handles a line that starts with ~SEQ, ~SEQx or ~LST: the rest of
// the line is a template, replayed with the variables defined.
func (p *parser) sequence(t text, depth int) {
	open := strings.IndexByte(t.s, '(')
	word := t.s
	if open >= 0 {
		word = strings.TrimRight(t.s[:open], " \t")
	}
	end := strings.IndexByte(t.s, ')')
	if open < 0 || end < open || word != "~SEQ" && word != "~SEQx" && word != "~LST" {
		p.report(finding.Warning, "bad-sequence", t.pos(0), "this is no ~SEQ(...), ~SEQx(...) or ~LST(...); the line is left out",
			"~SEQ(NAME, FIRST, LAST) TEMPLATE")
		return
	}
	// The closing parenthesis goes along because it ends a $NAME.
	inner, rest := p.expand(t.slice(open+1, end+1))
	if len(rest) > 0 || !strings.HasSuffix(inner.s, ")") {
		p.report(finding.Warning, "bad-sequence", t.pos(open), "the parameters use a definition that does not fit here; the line is left out", "")
		return
	}
	params := strings.TrimSuffix(inner.s, ")")
	template := t.slice(end+1, len(t.s)).trim()
	if word == "~LST" {
		p.list(t, params, template, depth)
		return
	}
	p.numbers(t, params, template, word == "~SEQx", depth)
}

// numbers is ~SEQ(var, [first, [step,]] last).
func (p *parser) numbers(t text, params string, template text, hex bool, depth int) {
	f := splitTrim(params)
	bad := func(what string) {
		p.report(finding.Warning, "bad-sequence", t.pos(0), what+"; the line is left out", "~SEQ(NAME, FIRST, STEP, LAST) with a step that leads from first to last")
	}
	if len(f) < 2 || len(f) > 4 || nameLen(f[0]) == 0 || nameLen(f[0]) != len(f[0]) {
		bad("~SEQ takes a name and one to three numbers")
		return
	}
	var n []int64
	for _, s := range f[1:] {
		v, err := strconv.ParseInt(s, 0, 64)
		if err != nil || v > math.MaxInt32 || v < math.MinInt32 {
			bad(fmt.Sprintf("%q is no number", s))
			return
		}
		n = append(n, v)
	}
	first, step, last := bounds(n)
	switch {
	case step == 0 || step > 0 && first > last || step < 0 && first < last:
		bad(fmt.Sprintf("no step of %d leads from %d to %d", step, first, last))
		return
	case hex && (first < 0 || last < 0):
		bad("~SEQx counts no negative numbers")
		return
	}
	base := 10
	if hex {
		base = 16
	}
	restore := p.save(f[0])
	defer restore()
	for v := first; step > 0 && v <= last || step < 0 && v >= last; v += step {
		p.define(f[0], strconv.FormatInt(v, base))
		if !p.line(template, depth+1) {
			return
		}
	}
}

func bounds(n []int64) (first, step, last int64) {
	last = n[len(n)-1]
	switch len(n) {
	case 1:
		first = 1
		if last < 0 {
			first = -1
		}
	default:
		first = n[0]
	}
	switch {
	case len(n) == 3:
		step = n[1]
	case first > last:
		step = -1
	default:
		step = 1
	}
	return first, step, last
}

// list is ~LST(var, v1, v2, ...) or ~LST({a,b}, {1,2}, {3,4}).
func (p *parser) list(t text, params string, template text, depth int) {
	groups := splitGroups(params)
	bad := func(what string) {
		p.report(finding.Warning, "bad-sequence", t.pos(0), what+"; the line is left out", "~LST(NAME, VALUE, ...) or ~LST({A,B}, {1,2}, ...)")
	}
	if len(groups) < 2 {
		bad("~LST takes a name and values")
		return
	}
	names := groups[0]
	for _, n := range names {
		if nameLen(n) == 0 || nameLen(n) != len(n) {
			bad(fmt.Sprintf("%q is no name", n))
			return
		}
		defer p.save(n)()
	}
	for _, g := range groups[1:] {
		if len(g) > len(names) {
			bad(fmt.Sprintf("{%s} has more values than there are names", strings.Join(g, ",")))
			return
		}
	}
	for _, g := range groups[1:] {
		for i, n := range names {
			v := ""
			if i < len(g) {
				v = g[i]
			}
			p.define(n, v)
		}
		if !p.line(template, depth+1) {
			return
		}
	}
}

// define gives a name a value of one line.
func (p *parser) define(name, value string) {
	p.defs[name] = &definition{lines: []text{{s: value}}}
}

// save returns a function that gives name back the value it has now.
func (p *parser) save(name string) (restore func()) {
	old, had := p.defs[name]
	return func() {
		if had {
			p.defs[name] = old
		} else {
			delete(p.defs, name)
		}
	}
}

func splitTrim(s string) []string {
	f := strings.Split(s, ",")
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	return f
}

// splitGroups splits at commas outside braces; a braced group gives its parts.
func splitGroups(s string) [][]string {
	var out [][]string
	for s = strings.TrimSpace(s); s != ""; {
		if s[0] == '{' {
			if n := strings.IndexByte(s, '}'); n > 0 {
				out = append(out, splitTrim(s[1:n]))
				s = strings.TrimSpace(s[n+1:])
				s = strings.TrimSpace(strings.TrimPrefix(s, ","))
				continue
			}
		}
		v, rest, more := strings.Cut(s, ",")
		out = append(out, []string{strings.TrimSpace(v)})
		s = strings.TrimSpace(rest)
		if more && s == "" {
			out = append(out, []string{""})
		}
	}
	return out
}
