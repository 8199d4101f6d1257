package format

import (
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// BOM is the byte order mark, as UTF-8 has it. keepalived loses the first
// block of a file that begins with one, so that Format, which changes no
// meaning, keeps it.
const BOM = "\ufeff"

// Format returns the content of one file in canonical layout: one statement a
// line, four blanks of indent a block, a brace behind its keyword, one blank
// between words, no blank at a line's end, at most one empty line and none at
// the inner side of a brace or the ends of the file, every line ended by \n.
// Words, their order and comments stay. Formatting the result gives the same
// text again. A text of more than syntax.MaxLines lines, which no configuration
// may have, stays as it is.
func Format(name, content string) string {
	if tooLong(content) {
		return content
	}
	bare, marked := strings.CutPrefix(content, BOM)
	text, _ := layout(name, bare)
	if marked {
		return BOM + text
	}
	return text
}

func tooLong(content string) bool { return strings.Count(content, "\n") > syntax.MaxLines }

// layout formats a text without byte order mark, and returns for each line the
// line that it came from.
func layout(name, content string) (text string, from []int) {
	src := syntax.ParseSource(name, content)
	src.Items = thin(src.Items)
	for i := range src.Items {
		it := &src.Items[i]
		it.Text = squeeze(it.Text, plainPart(*it))
	}
	return src.Print()
}

// thin drops empty lines.
func thin(items []syntax.Item) []syntax.Item {
	var out []syntax.Item
	for i, it := range items {
		if it.Kind == syntax.Blank && !keepBlank(out, items[i+1:]) {
			continue
		}
		out = append(out, it)
	}
	return out
}

// keepBlank decides on an empty line between what has been kept and the rest.
func keepBlank(before, rest []syntax.Item) bool {
	if len(before) == 0 {
		return false
	}
	prev := before[len(before)-1]
	if prev.Kind == syntax.Cont || prev.Kind == syntax.Raw && strings.HasSuffix(prev.Text, `\`) {
		return true // it ends the definition
	}
	n := slices.IndexFunc(rest, func(it syntax.Item) bool { return it.Kind != syntax.Blank })
	return prev.Kind != syntax.Blank && !prev.Opens && n >= 0 && rest[n].Kind != syntax.Close
}

// plainPart returns how much of an item's text is nothing but words and
// quotes, to whoever reads it.
func plainPart(it syntax.Item) int {
	switch it.Kind {
	case syntax.Text:
		return len(it.Text)
	case syntax.Raw:
		// What a definition stands for may open a quote, and 2.2.7 sees a
		// comment behind an escaped mark.
		if strings.ContainsAny(it.Text[:1], "@~$") || strings.HasPrefix(it.Text, "include") || strings.Contains(it.Text, "\x00") {
			return 0
		}
		if n := strings.IndexAny(it.Text, `$\`); n >= 0 {
			return n
		}
	default:
	}
	return 0
}

// blanks are what separates words.
const blanks = " \t\f\v\r"

// squeeze puts one space for each run of blanks in the first n bytes of s.
// Within quotes of either kind nothing changes: only commands know single
// quotes, but which words are a command is not known here. Nor does anything
// change behind a backslash, which may escape the blank.
func squeeze(s string, n int) string {
	var b strings.Builder
	quote := byte(0)
	double := false // as the splitter sees it that knows double quotes only
	for i := 0; i < n; i++ {
		c := s[i]
		if c == '"' {
			double = !double
		}
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.IndexByte(blanks, c) >= 0 && !double && (i == 0 || s[i-1] != '\\'):
			for i+1 < n && strings.IndexByte(blanks, s[i+1]) >= 0 {
				i++
			}
			c = ' '
		}
		b.WriteByte(c)
	}
	return b.String() + s[n:]
}

// Same reports whether two texts of one file hold the same statements in the
// same blocks: words, quotes and braces, whatever the layout.
func Same(name, a, b string, o syntax.Options) bool {
	return slices.Equal(outline(name, a, o), outline(name, b, o))
}

// outline lists what the statements of a text are made of.
func outline(name, content string, o syntax.Options) []string {
	tree, _ := syntax.Parse(syntax.MapFiles{name: content}, name, o)
	var out []string
	var walk func([]*syntax.Statement)
	walk = func(body []*syntax.Statement) {
		for _, st := range body {
			for _, w := range st.Words {
				out = append(out, w.Text)
			}
			commands, err := st.QuotedWords()
			for _, w := range commands {
				out = append(out, "'"+w.Text)
			}
			if err != nil {
				out = append(out, "error")
			}
			if st.Block != nil {
				out = append(out, "{")
				walk(st.Block.Body)
				out = append(out, "}")
			}
			out = append(out, "\n")
		}
	}
	walk(tree.Body)
	return out
}
