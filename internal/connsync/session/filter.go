package session

import (
	"fmt"
	"strings"
	"time"
)

// Filter chooses sessions. The nil Filter chooses all.
type Filter struct {
	text  string
	match predicate
	timed bool // the answer changes without a message
}

type predicate func(s *Session, now time.Time) bool

// Match reports whether the filter chooses s at now.
func (f *Filter) Match(s *Session, now time.Time) bool {
	return f == nil || f.match(s, now)
}

// String returns the filter as it was written.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// FilterError says what is wrong with a filter, and where.
type FilterError struct {
	Text   string // the filter
	Offset int    // in bytes
	Msg    string
}

// Error implements error.
func (e *FilterError) Error() string { return fmt.Sprintf("filter: column %d: %s", e.Offset+1, e.Msg) }

// maxDepth bounds how deep parentheses and nots may go.
const maxDepth = 100

// ParseFilter reads a filter: tests joined with and, or, not and parentheses,
// and binding tightest of the two.
//
//	state=ESTABLISHED and dst=192.168.10.1 and not (src=10.0.0.0/8 or vport=443)
//
// A test is FIELD OPERATOR VALUE, or one of the words template and active
// alone. Several values with commas between them are alternatives for =, and
// all excluded by !=. Fields:
//
//	proto                      = !=           tcp, udp, sctp, esp, ah, ip or a number
//	state                      = !=           as ipvsadm names it
//	client (src), virtual      = !=           address, prefix, address:port, [address]:port
//	  (vip), server (dst), director
//	sport, vport, dport,       = != < <= > >= number
//	  syncid, fwmark, version
//	age, idle, expire          = != < <= > >= seconds, or 90s, 5m, 1h30m: since it was first
//	                                          and last announced, until it runs out
//	template, active           = !=           yes or no
//
// The error is a *FilterError. No text at all chooses everything.
func ParseFilter(text string) (*Filter, error) {
	p := &filterParser{text: text}
	if p.next(); p.tok == "" {
		return &Filter{text: text, match: func(*Session, time.Time) bool { return true }}, nil
	}
	m := p.or(0)
	if p.err == nil && p.tok != "" {
		p.fail("want and, or, or the end, not %q", p.tok)
	}
	if p.err != nil {
		return nil, p.err
	}
	return &Filter{text: text, match: m, timed: p.timed}, nil
}

// filterParser reads a filter token by token; after the first error everything
// it returns is without meaning.
type filterParser struct {
	text  string
	tok   string // "" at the end
	start int    // of tok
	at    int    // behind tok
	timed bool
	err   *FilterError
}

func (p *filterParser) fail(format string, args ...any) {
	p.failAt(p.start, format, args...)
}

func (p *filterParser) failAt(offset int, format string, args ...any) {
	if p.err == nil {
		p.err = &FilterError{Text: p.text, Offset: offset, Msg: fmt.Sprintf(format, args...)}
	}
	p.tok = ""
}

const (
	filterSpace = " \t\r\n"
	filterPunct = "()=!<>&|,"
)

func (p *filterParser) next() {
	if p.err != nil {
		return
	}
	for p.at < len(p.text) && strings.IndexByte(filterSpace, p.text[p.at]) >= 0 {
		p.at++
	}
	p.start = p.at
	rest := p.text[p.at:]
	n := strings.IndexAny(rest, filterSpace+filterPunct)
	switch {
	case n < 0:
		n = len(rest)
	case n > 0:
	case len(rest) > 1 && (rest[1] == '=' && rest[0] != '(' && rest[0] != ')' && rest[0] != ',' || rest[:2] == "&&" || rest[:2] == "||"):
		n = 2
	default:
		n = 1
	}
	p.tok, p.at = rest[:n], p.at+n
}

func (p *filterParser) is(words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(p.tok, w) {
			return true
		}
	}
	return false
}

func (p *filterParser) or(depth int) predicate {
	m := p.and(depth)
	for p.is("or", "||") {
		p.next()
		a, b := m, p.and(depth)
		m = func(s *Session, now time.Time) bool { return a(s, now) || b(s, now) }
	}
	return m
}

func (p *filterParser) and(depth int) predicate {
	m := p.unary(depth)
	for p.is("and", "&&") {
		p.next()
		a, b := m, p.unary(depth)
		m = func(s *Session, now time.Time) bool { return a(s, now) && b(s, now) }
	}
	return m
}

func (p *filterParser) unary(depth int) predicate {
	if depth > maxDepth {
		p.fail("too deeply nested")
		return nil
	}
	switch {
	case p.is("not", "!"):
		p.next()
		m := p.unary(depth + 1)
		return func(s *Session, now time.Time) bool { return !m(s, now) }
	case p.is("("):
		open := p.start
		p.next()
		m := p.or(depth + 1)
		if !p.is(")") {
			p.failAt(open, "this parenthesis is not closed")
		}
		p.next()
		return m
	}
	return p.test()
}
