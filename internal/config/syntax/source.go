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
	Raw                     // a line that cannot be cut at braces: @id, ~SEQ, $NAME=, include, lines with $NAME
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
	case special(t.s) || strings.Contains(t.s, "$") || strings.Contains(l, "\x00"):
		c.raw(t.s, note, n, col)
	default:
		c.cut(t.s, note, n, col)
	}
}

// raw keeps a line in one piece and counts its braces.
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
	for rest := s; ; {
		i, b := brace(rest)
		switch b {
		case 0:
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
		switch b {
		case '{':
			it.Opens = true
			c.depth++
			c.add(it)
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
		rest := strings.TrimLeft(s[i+1:], blanks)
		col += len(s) - len(rest)
		s = rest
		if s != "" && special(s) {
			c.raw(s, note, n, col)
			return
		}
	}
	c.src.Items[len(c.src.Items)-1].Comment = note
}

// String prints the source: one statement a line, four blanks per block,
// braces at the end of their keyword's line, the text of statements and
// comments as written. Printing what ParseSource makes of the result gives the
// same text again.
func (s *Source) String() string {
	var b strings.Builder
	for i, it := range s.Items {
		// A brace on a line of its own joins the statement right before it.
		joined := it.Kind == Text && it.Text == "" && i > 0 && joinable(s.Items[i-1])
		if i > 0 && !joined {
			b.WriteByte('\n')
		}
		if !joined && it.Kind != Blank && it.Kind != Cont {
			b.WriteString(strings.Repeat("    ", it.Depth))
		}
		switch it.Kind {
		case Blank:
		case Close:
			b.WriteByte('}')
		default:
			b.WriteString(it.Text)
		}
		if it.Opens {
			if it.Text != "" || joined {
				b.WriteByte(' ')
			}
			b.WriteByte('{')
		}
		if it.Comment != "" {
			if it.Kind != Comment {
				b.WriteByte(' ')
			}
			b.WriteString(it.Comment)
		}
	}
	if len(s.Items) > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// joinable reports whether a brace can be printed behind the item.
func joinable(it Item) bool {
	return it.Kind == Text && it.Text != "" && !it.Opens && it.Comment == "" && strings.Count(it.Text, `"`)%2 == 0
}
