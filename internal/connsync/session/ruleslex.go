package session

import (
	"errors"
	"strings"
)

type tokenKind uint8

const (
	tokenEOF tokenKind = iota
	tokenEnd           // of a statement: a semicolon or the end of a line
	tokenWord
	tokenString
	tokenOpen
	tokenClose
	tokenComma
	tokenCompare
	tokenBad // a string without end
)

// token is a piece of a rules file. Line and col count from 1.
type token struct {
	kind      tokenKind
	text      string
	line, col int
}

func (t token) is(word string) bool { return t.kind == tokenWord && t.text == word }

// String is the token in a message.
func (t token) String() string {
	switch {
	case t.kind == tokenEOF:
		return "the end of the file"
	case t.kind == tokenEnd && t.text == "\n":
		return "the end of the line"
	case t.kind == tokenBad:
		return "a string without its closing quote"
	}
	return `"` + t.text + `"`
}

// lexer cuts a rules file into tokens.
type lexer struct {
	text      string
	at        int
	line      int // from 0
	lineStart int
}

func (l *lexer) next() token {
	for l.at < len(l.text) && (strings.IndexByte(" \t\r", l.text[l.at]) >= 0 || l.text[l.at] == '#') {
		if l.text[l.at] == '#' {
			n := strings.IndexByte(l.text[l.at:], '\n')
			if n < 0 {
				n = len(l.text) - l.at
			}
			l.at += n
			continue
		}
		l.at++
	}
	t := token{line: l.line + 1, col: l.at - l.lineStart + 1}
	if l.at >= len(l.text) {
		return t
	}
	rest := l.text[l.at:]
	n := 1
	switch rest[0] {
	case '\n':
		t.kind = tokenEnd
		l.line++
		l.lineStart = l.at + 1
	case ';':
		t.kind = tokenEnd
	case '{':
		t.kind = tokenOpen
	case '}':
		t.kind = tokenClose
	case ',':
		t.kind = tokenComma
	case '<', '>':
		if t.kind = tokenCompare; len(rest) > 1 && rest[1] == '=' {
			n = 2
		}
	case '"':
		t.kind, t.text, n = quoted(rest)
		l.at += n
		return t
	default:
		t.kind = tokenWord
		if n = strings.IndexAny(rest, " \t\r\n;{},<>\""); n < 0 {
			n = len(rest)
		}
	}
	t.text = rest[:n]
	l.at += n
	return t
}

// quoted reads a string: a backslash takes the next character as it is. It ends
// on its line.
func quoted(s string) (kind tokenKind, text string, n int) {
	var b strings.Builder
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		switch {
		case s[i] == '"':
			return tokenString, b.String(), i + 1
		case s[i] == '\\' && i+1 < len(s) && s[i+1] != '\n':
			i++
		}
		b.WriteByte(s[i])
	}
	n = strings.IndexByte(s, '\n')
	if n < 0 {
		n = len(s)
	}
	return tokenBad, s[:n], n
}

func lineOf(text string, line int) string {
	for range line - 1 {
		_, text, _ = strings.Cut(text, "\n")
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimSuffix(text, "\r")
}

// checkTimeless says whether a trigger may use the filter.
func (f *Filter) checkTimeless() error {
	if f.timed {
		return errors.New("age, idle and expire change without a message: a trigger cannot use them")
	}
	return nil
}

// filterError reports a mistake in a filter, at its place if the string has no
// backslashes.
func (p *rulesParser) filterError(t token, err error) {
	what := err.Error()
	if e, ok := errors.AsType[*FilterError](err); ok {
		what = e.Msg
		if t.col += e.Offset; t.kind == tokenString {
			t.col++
		}
	}
	p.at(t, "filter: %s", what)
}
