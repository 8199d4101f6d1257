package syntax

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// definition is the value of a $NAME. A definition of several lines is
// replayed line by line where it is used.
type definition struct {
	lines []text
}

func (d *definition) multi() bool { return len(d.lines) > 1 }

// assignment recognises $NAME=value and returns the name and where the value
// begins.
func assignment(s string) (name string, value int, ok bool) {
	if s == "" || s[0] != '$' {
		return "", 0, false
	}
	n := nameLen(s[1:])
	if n == 0 || 1+n >= len(s) || s[1+n] != '=' {
		return "", 0, false
	}
	return s[1 : 1+n], n + 2, true
}

// nameLen returns how much of s is a definition's name.
func nameLen(s string) int {
	i := 0
	for i < len(s) && (s[i] == '_' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || i > 0 && s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return i
}

// ends reports whether $NAME ends properly before s: keepalived replaces the
// form without braces only there.
func ends(s string) bool { return s == "" || isBlank(s[0]) || s[0] == ',' || s[0] == ')' }

// reference is a use of a definition found in a line.
type reference struct {
	from, to int    // bytes of the line
	name     string // may have arguments: "_RANDOM 1 6"
	braced   bool
}

// nextReference finds the first possible use at or after off: $NAME properly
// ended, or ${...}. ill is set instead for a $NAME that does not end properly.
func nextReference(s string, off int) (ref reference, ill, ok bool) {
	for i := off; i+1 < len(s); i++ {
		if s[i] != '$' {
			continue
		}
		if s[i+1] == '{' {
			if n := braced(s[i:]); n > 0 {
				return reference{i, i + n, s[i+2 : i+n-1], true}, false, true
			}
			continue
		}
		if n := nameLen(s[i+1:]); n > 0 {
			return reference{i, i + 1 + n, s[i+1 : i+1+n], false}, !ends(s[i+1+n:]), true
		}
	}
	return reference{}, false, false
}

// expand replaces the uses of definitions in t. A use of a definition of
// several lines ends the line: rest are the lines to replay after it, in which
// nothing is replaced yet.
func (p *parser) expand(t text) (out text, rest []text) {
	budget := p.lim.LineLength // of replacements, so that $A=$A ends
	for off := 0; ; {
		ref, ill, ok := nextReference(t.s, off)
		if !ok {
			return t, rest
		}
		if ill {
			p.illReference(t, ref)
			off = ref.to
			continue
		}
		if d := p.defs[ref.name]; d != nil && d.multi() {
			if budget -= 1024; budget < 0 {
				p.loop(t, ref)
				return text{}, nil
			}
			var more []text
			t, more = p.replay(t, ref, d)
			rest = append(more, rest...)
			off = ref.from
			continue
		}
		v, ok := p.value(t, ref)
		if !ok {
			p.undefined(t, ref)
			off = ref.to
			continue
		}
		if budget -= len(v) + 16; budget < 0 || len(t.s)+len(v) > p.lim.LineLength {
			p.loop(t, ref)
			return text{}, nil
		}
		// Replacing costs what it copies, so that a short text cannot keep the
		// parser busy for long.
		if p.bytes += len(t.s) + len(v); p.bytes > p.lim.Bytes {
			p.stop(t.pos(ref.from), "replacing definitions makes the configuration too long; the rest is not read")
			return text{}, nil
		}
		t = t.splice(ref.from, ref.to, v)
		off = ref.from
	}
}

func (p *parser) loop(t text, ref reference) {
	p.report(finding.Error, "definition-loop", t.pos(ref.from),
		fmt.Sprintf("$%s is defined by itself, or gives a line longer than %d bytes; the line is left out", ref.name, p.lim.LineLength),
		"define $"+ref.name+" without using itself")
}

// replay returns the line up to the use of a definition of several lines,
// joined with the definition's first line, and the others.
func (p *parser) replay(t text, ref reference, d *definition) (text, []text) {
	if strings.TrimSpace(t.s[ref.to:]) != "" {
		p.report(finding.Warning, "definition-not-alone", t.pos(ref.to),
			"text after $"+ref.name+", which has several lines, is left out",
			"put it on a line of its own")
	}
	use := t.pos(ref.from)
	o := &origin{via: use, how: "in $" + ref.name + ", used at"}
	if q := d.lines[0].pos(0).from; q != nil {
		o.file, o.lines = q.file, q.lines
	}
	lines := make([]text, len(d.lines))
	for i, l := range d.lines {
		lines[i] = l.via(o)
	}
	return t.slice(0, ref.from).join(lines[0]), lines[1:len(lines):len(lines)]
}

// value returns what a name stands for. The user's definitions come first:
// keepalived lets the predefined ones be redefined.
func (p *parser) value(t text, ref reference) (string, bool) {
	if d := p.defs[ref.name]; d != nil {
		if len(d.lines) == 0 {
			return "", true
		}
		return d.lines[0].s, true
	}
	f := strings.Fields(ref.name)
	switch {
	case len(f) == 0:
	case f[0] == "_PWD" && len(f) == 1:
		return path.Dir(p.file), true
	case f[0] == "_INSTANCE" && len(f) == 1:
		return p.o.ConfigID, true
	case f[0] == "_HASH" && len(f) == 1:
		return "#", true
	case f[0] == "_BANG" && len(f) == 1:
		return "!", true
	case f[0] == "_RANDOM":
		return p.random(t.pos(ref.from), f[1:])
	case f[0] == "_ENV" && len(f) == 2:
		if p.o.Env != nil {
			if v, ok := p.o.Env(f[1]); ok {
				return v, true
			}
		}
		p.report(finding.Warning, "undefined-environment", t.pos(ref.from),
			"the environment has no "+f[1]+"; ${_ENV "+f[1]+"} is empty", "set it before the start")
		return "", true
	}
	return "", false
}

// random is ${_RANDOM [min [max]]}.
func (p *parser) random(at Pos, args []string) (string, bool) {
	lo, hi := int64(0), int64(32767)
	var err error
	for i, a := range args {
		var v int64
		if v, err = strconv.ParseInt(a, 10, 32); err != nil || i > 1 {
			return "", false
		}
		if i == 0 {
			lo = v
		} else {
			hi = v
		}
	}
	if hi < lo {
		p.report(finding.Warning, "random-range", at, fmt.Sprintf("_RANDOM from %d to %d is no range; %d is used", lo, hi, lo), "minimum first, then maximum")
		return strconv.FormatInt(lo, 10), true
	}
	if p.rnd == nil {
		p.rnd = rand.New(rand.NewPCG(p.o.Seed, p.o.Seed))
	}
	return strconv.FormatInt(lo+p.rnd.Int64N(hi-lo+1), 10), true
}

// illReference reports a defined name that is not replaced because of what
// follows it.
func (p *parser) illReference(t text, ref reference) {
	if p.defs[ref.name] == nil {
		return
	}
	p.report(finding.Warning, "name-not-replaced", t.pos(ref.from),
		fmt.Sprintf("$%s is not replaced here, since a blank, comma, closing parenthesis or the end of the line must follow it", ref.name),
		"write ${"+ref.name+"}")
}

// undefined reports a use of a name that nothing defines. Inside quotes it may
// well be meant for a shell, so only text outside is reported.
func (p *parser) undefined(t text, ref reference) {
	if len(p.findings) > p.lim.Findings {
		return
	}
	if strings.Count(t.s[:ref.from], `"`)%2 == 1 {
		return
	}
	if ref.braced {
		p.report(finding.Error, "undefined-name", t.pos(ref.from),
			fmt.Sprintf("${%s} is not defined here (keepalived would take its braces for a block's and lose what follows)", ref.name),
			"define $"+ref.name+"=... on a line before")
		return
	}
	p.report(finding.Warning, "undefined-name", t.pos(ref.from),
		fmt.Sprintf("$%s is not defined here; it stays as text", ref.name), "define $"+ref.name+"=... on a line before")
}
