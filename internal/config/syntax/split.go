package syntax

import (
	"errors"
	"fmt"
	"strings"
)

// words is the normal splitter: blanks separate, "..." makes one word, there
// is no escape, and a quote in the middle of a word starts a new word. Words
// before a quote that is never closed are kept, the rest is dropped. They are
// appended to out.
func words(out []Word, t text) []Word {
	for i := 0; i < len(t.s); {
		switch {
		case isBlank(t.s[i]):
			i++
		case t.s[i] == '"':
			n := strings.IndexByte(t.s[i+1:], '"')
			if n < 0 {
				return out
			}
			out = append(out, Word{Text: t.s[i+1 : i+1+n], Pos: t.pos(i), Quoted: true})
			i += n + 2
		default:
			j := i
			for j < len(t.s) && !isBlank(t.s[j]) && t.s[j] != '"' {
				j++
			}
			out = append(out, Word{Text: t.s[i:j], Pos: t.pos(i)})
			i = j
		}
	}
	return out
}

// QuotedWords splits the statement again with the splitter that keepalived
// uses for commands: '...' and "..." both quote, parts that touch join into
// one word, and nothing escapes. The first word is the keyword.
func (s *Statement) QuotedWords() ([]Word, error) {
	t := text{s: s.text, at: s.Pos(), segs: s.segs}
	var out []Word
	for i := 0; i < len(t.s); {
		if isBlank(t.s[i]) {
			i++
			continue
		}
		w := Word{Pos: t.pos(i)}
		var b strings.Builder
		for i < len(t.s) && !isBlank(t.s[i]) {
			c := t.s[i]
			if c != '"' && c != '\'' {
				b.WriteByte(c)
				i++
				continue
			}
			w.Quoted = true
			n := strings.IndexByte(t.s[i+1:], c)
			if n < 0 {
				return out, fmt.Errorf("quote %c is never closed", c)
			}
			b.WriteString(t.s[i+1 : i+1+n])
			i += n + 2
		}
		w.Text = b.String()
		out = append(out, w)
	}
	return out, nil
}

// EscapedWords splits the statement again as SplitCommand splits a command:
// what a keyword needs whose value may hold escapes. The first is the keyword.
func (s *Statement) EscapedWords() ([]string, error) { return SplitCommand(s.text) }

var errQuote = errors.New("a quote is never closed")

// SplitCommand splits a command into its arguments: '...' and "..." quote and
// join with what touches them, and a backslash escapes: \a \b \E \f \n \r \t
// \v, \NNN octal, \xHH, \cX, anything else stands for itself. There is no
// shell.
func SplitCommand(s string) ([]string, error) {
	var out []string
	for i := 0; i < len(s); {
		if isBlank(s[i]) || s[i] == '\n' {
			i++
			continue
		}
		var b strings.Builder
		quote := byte(0)
	word:
		for i < len(s) {
			c := s[i]
			switch {
			case c == '\\' && i+1 < len(s):
				v, n := escape(s[i+1:])
				b.WriteByte(v)
				i += 1 + n
				continue
			case quote != 0 && c == quote:
				quote = 0
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote == 0 && (isBlank(c) || c == '\n'):
				break word
			default:
				b.WriteByte(c)
			}
			i++
		}
		if quote != 0 {
			return out, errQuote
		}
		out = append(out, b.String())
	}
	return out, nil
}

// escape reads what follows a backslash and returns the byte and how much was
// read. s is not empty.
func escape(s string) (byte, int) {
	const letters = "abEfnrtv"
	if i := strings.IndexByte(letters, s[0]); i >= 0 {
		return "\a\b\x1b\f\n\r\t\v"[i], 1
	}
	switch {
	case s[0] >= '0' && s[0] <= '7':
		return digits(s, 8, 3)
	case s[0] == 'x' && len(s) > 1 && hexVal(s[1]) < 16:
		v, n := digits(s[1:], 16, 2)
		return v, n + 1
	case s[0] == 'c' && len(s) > 1:
		return s[1] & 0x1f, 2
	}
	return s[0], 1
}

// digits reads up to limit digits of the base.
func digits(s string, base, limit int) (byte, int) {
	v, n := 0, 0
	for n < len(s) && n < limit && hexVal(s[n]) < base {
		v = v*base + hexVal(s[n])
		n++
	}
	return byte(v), n
}

func hexVal(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}
