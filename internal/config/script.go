package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// command reads a command as keepalived splits it: one word, split again into
// arguments. With users, two more words name the user and the group it runs
// as, and the first such line stays; without, further words are dropped and the
// last line wins.
func (l *line) command(dst *Command, users bool) {
	ws, err := l.st.QuotedWords()
	l.next = len(l.st.Words)
	if err != nil {
		l.warn("unterminated-quote", fmt.Sprintf("%s: %v; the line is ignored", l.kw, err), "close the quote")
		return
	}
	if len(ws) < 2 {
		l.missing(l.kw + ` "/path/to/command argument"`)
		return
	}
	if users && dst.Set() {
		l.warn("repeated-command", fmt.Sprintf("%s is given again; the first one, at %s, stays", l.kw, dst.Where), "remove one")
		return
	}
	argv, err := syntax.SplitCommand(ws[1].Text)
	if err != nil || len(argv) == 0 || argv[0] == "" {
		if err == nil {
			err = fmt.Errorf("the command is empty")
		}
		l.warn("invalid-command", fmt.Sprintf("%s: %v; the line is ignored", l.kw, err), l.kw+` "/path/to/command argument"`)
		return
	}
	c := Command{Where: ws[1].Pos.Place(), Argv: argv, User: l.b.cfg.Global.ScriptUser}
	rest := ws[2:]
	if users {
		if len(rest) > 0 {
			c.User = User{Name: rest[0].Text}
		}
		if len(rest) > 1 {
			c.User.Group = rest[1].Text
		}
		rest = rest[min(2, len(rest)):]
	}
	if len(rest) > 0 {
		l.b.report(finding.Warning, "unquoted-command", rest[0].Pos,
			fmt.Sprintf("%s takes the command as one word; %q is dropped and %s runs without it", l.kw, joinWords(rest), argv[0]),
			fmt.Sprintf("%s %q", l.kw, joinWords(ws[1:])))
	}
	*dst = c
}

func joinWords(ws []syntax.Word) string {
	var s []string
	for _, w := range ws {
		s = append(s, w.Text)
	}
	return strings.Join(s, " ")
}

// script builds a vrrp_script. Of two with the same name the first is used.
func (b *builder) script(l *line) {
	name, ok := l.objectName()
	if !ok {
		return
	}
	s := &Script{Where: l.st.Pos().Place(), Name: name, Interval: time.Second, Rise: 1, Fall: 1, ScriptUser: b.cfg.Global.ScriptUser}
	l.each(s, func(l *line) bool {
		switch l.kw {
		case "interval":
			l.period(&s.Interval)
		case "timeout":
			l.period(&s.Timeout)
		case "weight":
			l.objectWeight(&s.Weight, &s.Reverse, 253)
		case "rise":
			s.Rise = 1 // what a bad one means, also behind a good one
			return false
		case "fall":
			s.Fall = 1
			return false
		case "init_fail":
			l.flag(&s.InitFail)
			l.note("init-fail", "init_fail has no effect once an instance tracks the script: the first result decides alone", "remove it")
		default:
			return false
		}
		return true
	})
	s.Command.User = s.ScriptUser
	if !s.Command.Set() {
		l.warn("script-missing", fmt.Sprintf("vrrp_script %s has no script and is dropped", name), `script "/path/to/command argument"`)
		return
	}
	if b.define(l, name, object{s.Where, s.Weight, s.Reverse}) {
		b.cfg.Scripts = append(b.cfg.Scripts, s)
	}
}

// period reads interval or timeout of a script; 0 becomes 1 s.
func (l *line) period(dst *time.Duration) {
	if l.left() > 0 && l.st.Words[l.next].Text == "0" {
		w, _ := l.word()
		l.b.warn("invalid-value", w.Pos, l.kw+" 0 means 1 s", l.kw+" 1")
		*dst = time.Second
		return
	}
	l.seconds(dst, time.Millisecond, maxDelay*time.Second)
}

// objectName reads the name of something to track; words behind it are dropped.
func (l *line) objectName() (string, bool) {
	w, ok := l.word()
	if ok {
		l.end()
	}
	return w.Text, ok
}

// objectWeight reads N [reverse|noreverse] of something to track.
func (l *line) objectWeight(dst *int, reverse *bool, most int) {
	if !l.weight(dst, most, most) {
		l.next = len(l.st.Words)
		return
	}
	l.reverse(reverse)
	if l.left() > 0 {
		w, _ := l.word()
		l.b.warn("unknown-option", w.Pos, fmt.Sprintf("behind a weight stands reverse, noreverse or nothing, not %q; it is ignored", w.Text), "remove "+w.Text)
	}
}
