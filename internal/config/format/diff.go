package format

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// context is how many equal lines a diff shows around what differs.
const context = 3

// Diff returns what leads from the old text to the new one as a unified diff,
// "" when they are equal. It goes by lines that occur once in both texts, and
// between them is as short as can be, unless that much is different.
func Diff(oldName, newName, before, after string) string {
	if before == after {
		return ""
	}
	d := differ{a: lines(before), b: lines(after)}
	d.match(0, len(d.a), 0, len(d.b))
	d.pairs = append(d.pairs, pair{len(d.a), len(d.b)}) // the end
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	for _, h := range d.hunks() {
		d.write(&out, h)
	}
	return out.String()
}

// lines cuts a text behind its line feeds.
func lines(s string) []string {
	l := strings.SplitAfter(s, "\n")
	if l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}

// pair is a line of a and one of b that are equal.
type pair struct{ a, b int }

type differ struct {
	a, b  []string
	pairs []pair // ascending
}

// match finds pairs in a[a0:a1] and b[b0:b1], in order.
func (d *differ) match(a0, a1, b0, b1 int) {
	for a0 < a1 && b0 < b1 && d.a[a0] == d.b[b0] {
		d.pairs = append(d.pairs, pair{a0, b0})
		a0, b0 = a0+1, b0+1
	}
	tail := 0
	for a0 < a1-tail && b0 < b1-tail && d.a[a1-tail-1] == d.b[b1-tail-1] {
		tail++
	}
	a1, b1 = a1-tail, b1-tail
	if anchors := d.anchors(a0, a1, b0, b1); len(anchors) > 0 {
		for _, p := range anchors {
			d.match(a0, p.a, b0, p.b)
			d.pairs = append(d.pairs, p)
			a0, b0 = p.a+1, p.b+1
		}
		d.match(a0, a1, b0, b1)
	} else if (a1-a0)*(b1-b0) <= maxTable {
		d.common(a0, a1, b0, b1)
	}
	for i := range tail {
		d.pairs = append(d.pairs, pair{a1 + i, b1 + i})
	}
}

// maxTable bounds what common computes.
const maxTable = 1 << 20

// common pairs the longest common subsequence of the ranges.
func (d *differ) common(a0, a1, b0, b1 int) {
	w := b1 - b0 + 1
	length := make([]int32, (a1-a0+1)*w) // of what begins at (a, b)
	for a := a1 - 1; a >= a0; a-- {
		for b := b1 - 1; b >= b0; b-- {
			i := (a-a0)*w + b - b0
			if d.a[a] == d.b[b] {
				length[i] = length[i+w+1] + 1
			} else {
				length[i] = max(length[i+w], length[i+1])
			}
		}
	}
	for a, b := a0, b0; a < a1 && b < b1; {
		i := (a-a0)*w + b - b0
		switch {
		case d.a[a] == d.b[b]:
			d.pairs = append(d.pairs, pair{a, b})
			a, b = a+1, b+1
		case length[i+w] >= length[i+1]:
			a++
		default:
			b++
		}
	}
}

// anchors returns the longest ascending run of lines that occur once in each
// of the ranges.
func (d *differ) anchors(a0, a1, b0, b1 int) []pair {
	type count struct{ inA, inB, a int }
	seen := map[string]*count{}
	for i := a0; i < a1; i++ {
		c := seen[d.a[i]]
		if c == nil {
			c = &count{}
			seen[d.a[i]] = c
		}
		c.inA++
		c.a = i
	}
	for j := b0; j < b1; j++ {
		if c := seen[d.b[j]]; c != nil {
			c.inB++
		}
	}
	var found []pair // ascending in b
	for j := b0; j < b1; j++ {
		if c := seen[d.b[j]]; c != nil && c.inA == 1 && c.inB == 1 {
			found = append(found, pair{c.a, j})
		}
	}
	return ascending(found)
}

// ascending returns the longest subsequence of pairs that ascends in a too.
func ascending(pairs []pair) []pair {
	var ends []int // ends[n] is the pair with the least a that ends a run of n+1
	before := make([]int, len(pairs))
	for i, p := range pairs {
		n := sort.Search(len(ends), func(n int) bool { return pairs[ends[n]].a >= p.a })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	if len(ends) == 0 {
		return nil
	}
	var out []pair
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		out = append(out, pairs[i])
	}
	slices.Reverse(out)
	return out
}

// hunk is a stretch of both texts that is shown.
type hunk struct{ a0, a1, b0, b1 int }

// hunks returns the stretches that differ, with context, joined where they
// touch.
func (d *differ) hunks() []hunk {
	var out []hunk
	a, b := 0, 0
	for _, p := range d.pairs {
		if p.a > a || p.b > b {
			lead := min(context, a, b)
			h := hunk{a - lead, min(p.a+context, len(d.a)), b - lead, min(p.b+context, len(d.b))}
			if n := len(out); n > 0 && h.a0 <= out[n-1].a1 {
				out[n-1].a1, out[n-1].b1 = h.a1, h.b1
			} else {
				out = append(out, h)
			}
		}
		a, b = p.a+1, p.b+1
	}
	return out
}

// write prints a hunk.
func (d *differ) write(out *strings.Builder, h hunk) {
	fmt.Fprintf(out, "@@ -%s +%s @@\n", extent(h.a0, h.a1), extent(h.b0, h.b1))
	a, b := h.a0, h.b0
	i := sort.Search(len(d.pairs), func(i int) bool { return d.pairs[i].a >= a && d.pairs[i].b >= b })
	for a < h.a1 || b < h.b1 {
		p := d.pairs[i]
		for ; a < min(p.a, h.a1); a++ {
			show(out, '-', d.a[a])
		}
		for ; b < min(p.b, h.b1); b++ {
			show(out, '+', d.b[b])
		}
		if a < h.a1 && b < h.b1 {
			show(out, ' ', d.a[a])
		}
		a, b, i = a+1, b+1, i+1
	}
}

// extent is a stretch of lines as a hunk's head has it.
func extent(from, to int) string {
	switch n := to - from; n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	default:
		return fmt.Sprintf("%d,%d", from+1, n)
	}
}

func show(out *strings.Builder, mark byte, line string) {
	out.WriteByte(mark)
	out.WriteString(line)
	if !strings.HasSuffix(line, "\n") {
		out.WriteString("\n\\ No newline at end of file\n")
	}
}
