package syntax

import (
	"slices"
	"strings"
)

// text is a piece of a logical line that remembers where each byte was written.
type text struct {
	s string
	// at is where s begins when it was written in one piece, as nearly always;
	// segs is nil then.
	at   Pos
	segs []segment
}

func lineText(s string, o *origin, line int) text {
	return text{s: s, at: Pos{from: o, line: int32(line), col: 1}}
}

func (t text) pos(off int) Pos {
	if t.segs != nil {
		return at(t.segs, off)
	}
	t.at.col += int32(off)
	return t.at
}

// segments returns where the pieces of t come from.
func (t text) segments() []segment {
	if t.segs != nil {
		return t.segs
	}
	return []segment{{pos: t.at, linear: true}}
}

// slice returns t[a:b].
func (t text) slice(a, b int) text {
	out := text{s: t.s[a:b]}
	if t.segs == nil {
		out.at = t.pos(a)
		return out
	}
	for i, g := range t.segs {
		if i+1 < len(t.segs) && t.segs[i+1].off <= a || g.off > b {
			continue
		}
		if g.off < a {
			if g.linear {
				g.pos.col += int32(a - g.off)
			}
			g.off = a
		}
		g.off -= a
		out.segs = append(out.segs, g)
	}
	if len(out.segs) == 1 && out.segs[0].linear {
		return text{s: out.s, at: out.segs[0].pos}
	}
	return out
}

// trim drops blanks at both ends.
func (t text) trim() text {
	a := 0
	for a < len(t.s) && isBlank(t.s[a]) {
		a++
	}
	b := len(t.s)
	for b > a && isBlank(t.s[b-1]) {
		b--
	}
	if a == 0 && b == len(t.s) {
		return t
	}
	return t.slice(a, b)
}

// splice returns t with t[a:b] replaced by s, all of it at the position of a.
func (t text) splice(a, b int, s string) text {
	at := t.pos(a)
	head, tail := t.slice(0, a), t.slice(b, len(t.s))
	out := text{s: head.s + s + tail.s, segs: make([]segment, 0, len(t.segs)+3)}
	if a > 0 {
		out.segs = append(out.segs, head.segments()...)
	}
	out.segs = append(out.segs, segment{off: a, pos: at})
	for _, g := range tail.segments() {
		g.off += a + len(s)
		out.segs = append(out.segs, g)
	}
	return out
}

// join returns t followed by u.
func (t text) join(u text) text {
	if t.s == "" {
		return u
	}
	out := text{s: t.s + u.s, segs: slices.Clone(t.segments())}
	for _, g := range u.segments() {
		g.off += len(t.s)
		out.segs = append(out.segs, g)
	}
	return out
}

// via returns t as reached through the use of a definition.
func (t text) via(o *origin) text {
	if t.segs == nil {
		t.at.from = o
		return t
	}
	segs := make([]segment, len(t.segs))
	for i, g := range t.segs {
		g.pos.from = o
		segs[i] = g
	}
	return text{s: t.s, segs: segs}
}

// blanks separate words. A carriage return in the middle of a line is one too.
const blanks = " \t\f\v\r"

func isBlank(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }

// comment returns where the comment of a line begins, len(s) when there is
// none, and where a double quote that is never closed begins, -1 when all are.
// Only double quotes protect; an escaped mark outside quotes is none.
func comment(s string) (end, open int) {
	open = -1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if open < 0 {
				open = i
			} else {
				open = -1
			}
		case open >= 0:
		case c == '\\' && i+1 < len(s) && (s[i+1] == '#' || s[i+1] == '!'):
			i++
		case c == '#' || c == '!':
			return i, -1
		}
	}
	return len(s), open
}

// unescape turns `\#` and `\!` outside quotes into the mark itself and returns
// where the first one stood, -1 when there was none.
func unescape(t text) (text, int) {
	first, quoted := -1, false
	for i := 0; i+1 < len(t.s); i++ {
		switch {
		case t.s[i] == '"':
			quoted = !quoted
		case !quoted && t.s[i] == '\\' && (t.s[i+1] == '#' || t.s[i+1] == '!'):
			if first < 0 {
				first = i
			}
			head, tail := t.slice(0, i), t.slice(i+1, len(t.s))
			t = head.join(tail)
		}
	}
	return t, first
}

// splitLines splits a file at \n; a \r before it is dropped.
func splitLines(s string) []string {
	lines := strings.Split(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, "\r")
	}
	return lines
}
