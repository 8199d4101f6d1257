package session

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/kaname-lb/kaname/internal/finding"
)

// ParseRules reads a file of triggers. Statements end with the line or with a
// semicolon; # begins a comment.
//
//	trigger syn-flood {
//	    on "state=SYN_RECV"
//	    count > 1000 per server for 10s
//	    every 60s
//	    exec "/usr/local/bin/alarm"
//	}
//
//	trigger established {
//	    on "state=ESTABLISHED and dst=192.168.10.1"
//	    coalesce 5s
//	    webhook "https://alarm.example.com/kaname"
//	}
//
// Statements:
//
//	on "FILTER"              which sessions; without it all
//	events KIND, ...         fire on created, changed, moved, refreshed, expired;
//	                         without it when a session begins to match
//	count OP N [per server|virtual|client|all] [for TIME]
//	                         fire on the number of sessions; OP is > >= < <=
//	coalesce TIME            gather events that long before firing
//	every TIME               fire at most that often; a count again while it holds
//	exec "COMMAND"           what to do
//	webhook "URL"
//
// The findings are all mistakes, each with its place in the file; rules are
// complete only when there are none.
func ParseRules(file, text string) ([]Rule, []finding.Finding) {
	p := &rulesParser{file: file, lexer: lexer{text: text}, text: text}
	p.advance()
	var rules []Rule
	for p.tok.kind != tokenEOF {
		if p.tok.kind == tokenEnd {
			p.advance()
			continue
		}
		if r, ok := p.trigger(); ok {
			if slices.ContainsFunc(rules, func(o Rule) bool { return o.Name == r.Name }) {
				p.at(p.nameTok, "there is a trigger %q already", r.Name)
			}
			rules = append(rules, r)
		}
	}
	return rules, p.found
}

// rulesParser reads statement by statement; after a mistake it goes on with the
// next one.
type rulesParser struct {
	file, text string
	lexer      lexer
	tok        token
	nameTok    token
	found      []finding.Finding
}

func (p *rulesParser) advance() { p.tok = p.lexer.next() }

func (p *rulesParser) at(t token, format string, args ...any) {
	p.found = append(p.found, finding.Finding{
		Severity: finding.Error, Rule: "trigger-syntax",
		Where: finding.Place{File: p.file, Line: t.line, Col: t.col},
		What:  fmt.Sprintf(format, args...), Source: lineOf(p.text, t.line),
	})
}

// wrong reports the token at hand and passes over the rest of the statement.
func (p *rulesParser) wrong(format string, args ...any) {
	p.at(p.tok, format, args...)
	p.rest()
}

func (p *rulesParser) rest() {
	for p.tok.kind != tokenEnd && p.tok.kind != tokenClose && p.tok.kind != tokenEOF {
		p.advance()
	}
}

func (p *rulesParser) trigger() (r Rule, ok bool) {
	if !p.tok.is("trigger") {
		p.wrong("want trigger NAME {, not %s", p.tok)
		if p.tok.kind == tokenClose {
			p.advance()
		}
		return r, false
	}
	start := p.tok
	p.advance()
	if p.tok.kind != tokenWord && p.tok.kind != tokenString || p.tok.text == "" {
		p.wrong("after trigger want its name, not %s", p.tok)
		return r, false
	}
	p.nameTok, r.Name = p.tok, p.tok.text
	for p.advance(); p.tok.kind == tokenEnd && p.tok.text == "\n"; {
		p.advance()
	}
	if p.tok.kind != tokenOpen {
		p.wrong("after trigger %s want {, not %s", r.Name, p.tok)
		return r, false
	}
	p.advance()
	seen := map[string]bool{}
	before := len(p.found)
	for p.tok.kind != tokenClose {
		switch p.tok.kind {
		case tokenEOF:
			p.at(start, "the trigger %s has no }", r.Name)
			return r, false
		case tokenEnd:
			p.advance()
		default:
			p.statement(&r, seen)
		}
	}
	p.advance()
	if len(p.found) == before {
		p.complete(&r, start)
	}
	return r, true
}

// complete looks at a trigger as a whole.
func (p *rulesParser) complete(r *Rule, start token) {
	switch {
	case r.Exec == "" && r.Webhook == "":
		p.at(start, "the trigger %s does nothing: give it exec or webhook", r.Name)
	case r.When == nil && r.On == 0 && r.Threshold == nil:
		p.at(start, "the trigger %s does not say when: give it on, events or count", r.Name)
	case r.Threshold != nil && r.On != 0:
		p.at(start, "the trigger %s has both events and count: it fires on one of them", r.Name)
	case r.Threshold != nil && r.Coalesce != 0:
		p.at(start, "the trigger %s has both coalesce and count: say for how long the count must hold, with for", r.Name)
	}
}

func (p *rulesParser) statement(r *Rule, seen map[string]bool) {
	word := p.tok
	if word.kind == tokenWord && seen[word.text] {
		p.wrong("%s stands here twice", word.text)
		return
	}
	seen[word.text] = word.kind == tokenWord
	p.advance()
	var ok bool
	switch {
	case word.is("on"):
		ok = p.on(r)
	case word.is("events"):
		ok = p.events(r)
	case word.is("count"):
		ok = p.count(r)
	case word.is("coalesce"):
		r.Coalesce, ok = p.duration()
	case word.is("every"):
		r.Repeat, ok = p.duration()
	case word.is("exec"):
		r.Exec, ok = p.value("a command")
	case word.is("webhook"):
		r.Webhook, ok = p.value("a URL")
	default:
		p.at(word, "no statement %s: there are on, events, count, coalesce, every, exec, webhook", word)
		p.rest()
		return
	}
	if ok && p.tok.kind != tokenEnd && p.tok.kind != tokenClose && p.tok.kind != tokenEOF {
		p.wrong("%s ends here, not with %s", word.text, p.tok)
	}
}

// value reads one word or string.
func (p *rulesParser) value(what string) (string, bool) {
	if p.tok.kind != tokenWord && p.tok.kind != tokenString || p.tok.text == "" {
		p.wrong("want %s, not %s", what, p.tok)
		return "", false
	}
	s := p.tok.text
	p.advance()
	return s, true
}

func (p *rulesParser) duration() (time.Duration, bool) {
	d, ok := parseSpan(p.tok.text)
	if p.tok.kind != tokenWord || !ok || d == 0 {
		p.wrong("want a time such as 10s or 5m, not %s", p.tok)
		return 0, false
	}
	p.advance()
	return d, true
}

func (p *rulesParser) on(r *Rule) bool {
	t := p.tok
	text, ok := p.value("a filter in quotes")
	if !ok {
		return false
	}
	f, err := ParseFilter(text)
	if err == nil {
		err = f.checkTimeless()
	}
	if err != nil {
		p.filterError(t, err)
		return true
	}
	r.When = f
	return true
}

func (p *rulesParser) events(r *Rule) bool {
	for {
		k, ok := kindNames[p.tok.text]
		if p.tok.kind != tokenWord || !ok {
			p.wrong("want created, changed, moved, refreshed or expired, not %s", p.tok)
			return false
		}
		r.On |= k
		if p.advance(); p.tok.kind != tokenComma {
			return true
		}
		p.advance()
	}
}

func (p *rulesParser) count(r *Rule) bool {
	h := &Threshold{Op: p.tok.text}
	if p.tok.kind != tokenCompare {
		p.wrong("after count want >, >=, < or <=, not %s", p.tok)
		return false
	}
	p.advance()
	n, err := strconv.ParseUint(p.tok.text, 10, 31)
	if err != nil || p.tok.kind != tokenWord {
		p.wrong("want a number of sessions, not %s", p.tok)
		return false
	}
	h.Count = int(n)
	if p.advance(); p.tok.is("per") {
		p.advance()
		i := slices.Index(groupNames[:], p.tok.text)
		if i < 0 || p.tok.kind != tokenWord {
			p.wrong("after per want server, virtual, client or all, not %s", p.tok)
			return false
		}
		h.Per = Group(i)
		p.advance()
	}
	if p.tok.is("for") {
		p.advance()
		var ok bool
		if h.For, ok = p.duration(); !ok {
			return false
		}
	}
	r.Threshold = h
	return true
}
