package finding

import (
	"strings"
	"unicode/utf8"
)

// What a finding may hold of a file's text, in bytes. A sane line is shorter
// than all of it.
const (
	maxWord = 160
	maxText = 1200
	maxLine = 400 // of a source line
)

// Shorten cuts what findings repeat of a file: words that are longer than any
// sane one, then whole texts, lose their rest to an ellipsis. A source line is
// cut behind the place of the finding, and left out where that is far out.
func Shorten(fs []Finding) {
	for i := range fs {
		f := &fs[i]
		f.What, f.Evidence, f.Fix = shortText(f.What), shortText(f.Evidence), shortText(f.Fix)
		if len(f.Source) > maxLine {
			if f.Where.Col > maxLine/2 {
				f.Source = ""
				continue
			}
			f.Source = cut(f.Source, maxLine)
		}
	}
}

func shortText(s string) string {
	if len(s) <= maxWord {
		return s
	}
	var b strings.Builder
	for s != "" && b.Len() <= maxText {
		word, rest, more := strings.Cut(s, " ")
		if len(word) > maxWord {
			word = cut(word, maxWord-10)
		}
		b.WriteString(word)
		if more {
			b.WriteByte(' ')
		}
		s = rest
	}
	if s != "" {
		return b.String() + "…"
	}
	return b.String()
}

// cut returns at most n bytes of s, which is longer, and an ellipsis.
func cut(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
