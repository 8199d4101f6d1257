package syntax

import "strings"

// Source is one file as it is written: nothing expanded, comments kept. It is
// what a formatter works on.
type Source struct {
	Name  string
	Items []Item
}

// ItemKind says what an Item is.
type ItemKind uint8

// Kinds of items.
const (
	Blank   ItemKind = iota // an empty line
	Comment                 // a comment alone on its line
	Text                    // a statement, with the brace that follows it if any
	Close                   // a closing brace
	Raw                     // a line that is kept whole: @id, ~SEQ, $NAME=, include, lines with $NAME or \\#
	Cont                    // a further line of a definition, kept to the byte
)

// Item is a statement, brace or comment of a Source. Line and Col are where it
// begins. Depth is the number of blocks around it.
type Item struct {
	Kind      ItemKind
	Text      string
	Comment   string
	Opens     bool // Text is followed by {
	Line, Col int
	Depth     int
}

// ParseSource cuts the text of one file into items. It never fails: what makes
// no sense is kept as it is.
func ParseSource(name, content string) *Source {
	c := cutter{src: &Source{Name: name}}
	for i, l := range splitLines(content) {
		c.line(l, i+1)
	}
	return c.src
}

type cutter struct {
	src   *Source
	depth int
	cont  bool // the line continues a definition
	// markLine is the last line of an @id that opened or closed blocks, and
	// marked by how many.
	markLine, marked int
}

func (c *cutter) add(it Item) { c.src.Items = append(c.src.Items, it) }

func (c *cutter) line(l string, n int) {
	end, _ := comment(l)
	note := strings.TrimRight(l[end:], blanks)
	t := lineText(l, nil, n).slice(0, end).trim()
	col := int(t.pos(0).col)
	if c.cont && t.s+note != "" {
		// As in the parser: an empty line ends a definition, a comment or a
		// line with a mark alone does not.
		c.cont = t.s == "" || t.s[0] == '@' || strings.HasSuffix(t.s, `\`)
		c.add(Item{Kind: Cont, Text: strings.TrimRight(l, blanks), Line: n, Col: 1})
		return
	}
	c.cont = false
	switch {
	case t.s == "" && note == "":
		c.add(Item{Kind: Blank, Line: n, Col: 1, Depth: c.depth})
	case t.s == "":
		c.add(Item{Kind: Comment, Comment: note, Line: n, Col: end + 1, Depth: c.depth})
	case special(t.s) || strings.Contains(t.s, "$") || strings.Contains(l, "\x00") || escapes(t):
		c.raw(t.s, note, n, col)
	default:
		c.cut(t.s, note, n, col)
	}
}

// escapes reports whether the line has a mark behind a backslash. To
// keepalived before 2.3 a comment begins there: cut at braces, the line would
// show it what was hidden.
func escapes(t text) bool {
	_, first := unescape(t)
	return first >= 0
}

// raw keeps a line in one piece and counts its braces, but for those of an
// include, which belong to the file's name.
func (c *cutter) raw(s, note string, n, col int) {
	it := Item{Kind: Raw, Text: s, Comment: note, Line: n, Col: col, Depth: c.depth}
	mark := s
	if s[0] == '@' {
		if n := strings.IndexAny(s, blanks); n > 0 {
			mark = strings.TrimLeft(s[n:], blanks)
		}
	}
	if _, _, ok := assignment(mark); ok {
		c.cont = strings.HasSuffix(s, `\`)
		c.add(it)
		return
	}
	if _, include := includeMode(word(mark)); include && word(mark) != mark {
		c.add(it)
		return
	}
	before := c.depth
	for rest := s; ; {
		i, b := brace(rest)
		switch b {
		case 0:
			if s[0] == '@' {
				c.alternative(&it, before, n)
			}
			c.add(it)
			return
		case '{':
			c.depth++
		case '}':
			c.depth = max(0, c.depth-1)
			it.Depth = min(it.Depth, c.depth)
		}
		rest = rest[i+1:]
	}
}

// alternative counts the block that lines with different marks open, one
// below the other, once: at most one of them is read.
func (c *cutter) alternative(it *Item, before, n int) {
	by := c.depth - before
	prev := len(c.src.Items) - 1
	if by != 0 && by == c.marked && n == c.markLine+1 && word(c.src.Items[prev].Text) != word(it.Text) {
		c.depth = before
		it.Depth = c.src.Items[prev].Depth
	}
	c.marked, c.markLine = by, n
}

// word returns what stands before the first blank.
func word(s string) string {
	if n := strings.IndexAny(s, blanks); n >= 0 {
		return s[:n]
	}
	return s
}

// cut makes one item of each statement and closing brace. The line's comment
// goes with the last.
func (c *cutter) cut(s, note string, n, col int) {
	for s != "" {
		i, b := brace(s)
		t := strings.TrimRight(s[:i], blanks)
		if t != "" && special(t) {
			// `include{` is a statement, but printed as `include {` it is not.
			c.raw(s, note, n, col)
			return
		}
		it := Item{Kind: Text, Text: t, Line: n, Col: col, Depth: c.depth}
		rest := ""
		if b != 0 {
			rest = strings.TrimLeft(s[i+1:], blanks)
		}
		switch b {
		case '{':
			it.Opens = true
			c.depth++
			if t != "" || !c.join(rest == "" && note != "") {
				c.add(it)
			}
		case '}':
			if t != "" {
				c.add(it)
			}
			c.depth = max(0, c.depth-1)
			c.add(Item{Kind: Close, Line: n, Col: col + i, Depth: c.depth})
		default:
			c.add(it)
			s = ""
			continue
		}
		col += len(s) - len(rest)
		s = rest
		if s != "" && special(s) {
			c.raw(s, note, n, col)
			return
		}
	}
	if note != "" {
		c.src.Items[len(c.src.Items)-1].Comment = note
	}
}

// join puts a brace that begins a line behind the statement before it, when
// nothing but empty lines stands between. A comment can follow only one of
// them: noted says that one follows the brace.
func (c *cutter) join(noted bool) bool {
	last := len(c.src.Items) - 1
	for last >= 0 && c.src.Items[last].Kind == Blank {
		last--
	}
	if last < 0 {
		return false
	}
	it := &c.src.Items[last]
	if it.Kind != Text || it.Text == "" || it.Opens || strings.Count(it.Text, `"`)%2 != 0 || noted && it.Comment != "" ||
		len(it.Text)+len(it.Comment)+len(" { ") > maxLine {
		return false
	}
	it.Opens = true
	c.src.Items = c.src.Items[:last+1]
	return true
}

// String prints the source: one statement a line, four blanks per block,
// braces at the end of their keyword's line, the text of statements and
// comments as written. Printing what ParseSource makes of the result gives the
// same text again.
func (s *Source) String() string {
	text, _ := s.Print()
	return text
}

// Print is String, and returns for each line the Item.Line of what it shows.
func (s *Source) Print() (text string, from []int) {
	var b strings.Builder
	for _, it := range s.Items {
		it.print(&b)
		b.WriteByte('\n')
		from = append(from, it.Line)
	}
	return b.String(), from
}

// maxLine is how many bytes of a line keepalived reads: it takes the rest for
// another line.
const maxLine = 1022

// print writes the item's line, with less indent where keepalived would
// otherwise cut it.
func (it Item) print(b *strings.Builder) {
	l := it.Text
	if it.Opens && l != "" {
		l += " "
	}
	if it.Opens {
		l += "{"
	}
	if it.Kind == Close {
		l = "}"
	}
	if it.Comment != "" {
		if l != "" && len(l)+len(it.Comment) < maxLine {
			l += " "
		}
		l += it.Comment
	}
	if it.Kind != Blank && it.Kind != Cont {
		b.WriteString(strings.Repeat(" ", max(0, min(4*it.Depth, maxLine-len(l)))))
	}
	b.WriteString(l)
}
