package syntax

import (
	"sort"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// Pos is a position in a file: line and column count from 1, columns in
// bytes. It knows the include or definition through which it was reached.
type Pos struct {
	from      *origin
	line, col int32
}

// origin is a file, or a definition's text in it, as reached one way.
type origin struct {
	file  string
	lines []string
	via   Pos    // the include line or the use of a definition, zero for the main file
	how   string // "included from", "in $NAME, used at"
}

// IsValid reports whether p is a position at all.
func (p Pos) IsValid() bool { return p.from != nil }

// Place returns file, line and column.
func (p Pos) Place() finding.Place {
	if p.from == nil {
		return finding.Place{}
	}
	return finding.Place{File: p.from.file, Line: int(p.line), Col: int(p.col)}
}

// Source returns the text of the physical line, "" when unknown.
func (p Pos) Source() string {
	if p.from == nil || p.line < 1 || int(p.line) > len(p.from.lines) {
		return ""
	}
	return p.from.lines[p.line-1]
}

// Chain says how the position was reached: "included from a.conf:3:1", one
// step after another, "" for the main file.
func (p Pos) Chain() string {
	var steps []string
	for o := p.from; o != nil && o.via.from != nil; o = o.via.from {
		steps = append(steps, o.how+" "+o.via.Place().String())
	}
	return strings.Join(steps, ", ")
}

// segment says where the bytes of a logical line come from, from offset off
// on: one by one from pos when linear, all of them pos when not (the value of
// a definition stands where the definition is used).
type segment struct {
	off    int
	pos    Pos
	linear bool
}

// at returns the position of byte off.
func at(segs []segment, off int) Pos {
	i := sort.Search(len(segs), func(i int) bool { return segs[i].off > off }) - 1
	if i < 0 {
		return Pos{}
	}
	p := segs[i].pos
	if segs[i].linear {
		p.col += int32(off - segs[i].off)
	}
	return p
}
