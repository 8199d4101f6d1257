package finding

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Render returns f as a compiler would print it: the finding's line, the
// source line with a caret below the column, then evidence and fix, each line
// ended by a newline.
func Render(f Finding) string {
	var b strings.Builder
	b.WriteString(Clean(f.String()))
	b.WriteByte('\n')
	if f.Source != "" {
		source, col := window(f.Source, f.Where.Col)
		b.WriteString("    " + Clean(source) + "\n")
		if col > 0 {
			b.WriteString("    " + caretIndent(source, col-1) + "^\n")
		}
	}
	if f.Evidence != "" {
		b.WriteString("    " + Clean(f.Evidence) + "\n")
	}
	if f.Fix != "" {
		b.WriteString("    fix: " + Clean(f.Fix) + "\n")
	}
	return b.String()
}

// widest is how many bytes of a source line are shown.
const widest = 200

// window returns the part of a long source line around a column (1 is the first
// byte, 0 none), and the column in it.
func window(source string, col int) (string, int) {
	if len(source) <= widest {
		return source, col
	}
	from := min(max(0, col-1-widest/2), len(source)-widest)
	to := from + widest
	for from > 0 && !utf8.RuneStart(source[from]) {
		from--
	}
	for to < len(source) && !utf8.RuneStart(source[to]) {
		to++
	}
	part := source[from:to]
	if to < len(source) {
		part += "…"
	}
	if from > 0 {
		return "…" + part, col - from + len("…")
	}
	return part, col
}

// Clean replaces control characters, so that a hostile file cannot drive the
// terminal it is shown on.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0)) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// caretIndent returns white space as wide as the first n bytes of line. Tabs
// stay tabs, because nobody knows how wide a terminal shows them.
func caretIndent(line string, n int) string {
	var b strings.Builder
	for i, r := range line {
		switch {
		case i >= n:
			return b.String()
		case r == '\t':
			b.WriteByte('\t')
		case isWide(r):
			b.WriteString("  ")
		default:
			b.WriteByte(' ')
		}
	}
	return b.String() // the column is behind the line's end
}

// isWide reports whether terminals give r two cells (the East Asian blocks
// that occur in comments and mail addresses; not the full Unicode table).
func isWide(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf ||
		r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 ||
		r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd
}

// Sort orders findings by file, in the order of files, then line and column.
// Findings of the same place keep their order; those without a file, or with
// one that is not listed, come last.
func Sort(fs []Finding, files []string) {
	rank := make(map[string]int, len(files))
	for i, f := range files {
		if _, seen := rank[f]; !seen {
			rank[f] = i
		}
	}
	of := func(f Finding) int {
		if r, ok := rank[f.Where.File]; ok {
			return r
		}
		return len(files)
	}
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(of(a), of(b)),
			cmp.Compare(a.Where.File, b.Where.File),
			cmp.Compare(a.Where.Line, b.Where.Line),
			cmp.Compare(a.Where.Col, b.Where.Col))
	})
}
