package config

import (
	"fmt"
	"math"
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
		l.warn("unterminated-quote", fmt.Sprintf("%s: %v; the line is ignored", l.kw, err), "")
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
		l.warn("invalid-command", fmt.Sprintf("%s: %v; the line is ignored", l.kw, err), "")
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

// notify reads the notify keywords that instances and sync groups share.
func (l *line) notify(n *Notify) bool {
	switch l.kw {
	case "notify_master":
		l.command(&n.Master, true)
	case "notify_backup":
		l.command(&n.Backup, true)
	case "notify_fault":
		l.command(&n.Fault, true)
	case "notify_stop":
		l.command(&n.Stop, true)
	case "notify":
		l.command(&n.Generic, true)
	default:
		return false
	}
	return true
}

// script builds a vrrp_script. Of two with the same name the first is used.
func (b *builder) script(l *line) {
	w, ok := l.word() // a second name is ignored
	if !ok {
		return
	}
	l.end()
	name := w.Text
	s := &Script{Where: l.st.Pos().Place(), Name: name, Interval: time.Second, Rise: 1, Fall: 1}
	var user User
	l.each(s, func(l *line) bool {
		switch l.kw {
		case "script":
			l.command(&s.Command, false)
		case "interval":
			l.seconds(&s.Interval, time.Millisecond, maxDelay*time.Second)
		case "timeout":
			l.seconds(&s.Timeout, time.Millisecond, maxDelay*time.Second)
		case "weight":
			l.weight(&s.Weight, &s.Reverse, 253)
		case "rise":
			l.integer(&s.Rise, 1, math.MaxInt32, true)
		case "fall":
			l.integer(&s.Fall, 1, math.MaxInt32, true)
		case "user":
			l.user(&user)
		case "init_fail":
			l.flag(&s.InitFail)
			l.note("init-fail", "init_fail has no effect once an instance tracks the script: the first result decides alone", "remove it")
		default:
			return false
		}
		return true
	})
	if user.Name != "" {
		s.Command.User = user
	}
	switch first := b.scripts[name]; {
	case !s.Command.Set():
		l.warn("script-missing", fmt.Sprintf("vrrp_script %s has no script and is dropped", name), `script "/path/to/command argument"`)
	case first != nil:
		l.warn("duplicate-script", fmt.Sprintf("vrrp_script %s is defined again; the first one, at %s, is used", name, first.Where), "give it another name")
	default:
		b.scripts[name] = s
		b.cfg.Scripts = append(b.cfg.Scripts, s)
	}
}

// weight reads a tracker's weight, -limit to limit, and the word reverse.
func (l *line) weight(dst *int, reverse *bool, limit int) bool {
	w := l.st.Words[min(l.next, len(l.st.Words)-1)]
	v := *dst
	if !l.integer(&v, -254, 254, true) {
		return false
	}
	if v > limit || v < -limit {
		cut := max(-limit, min(limit, v))
		l.badValue(w, fmt.Sprintf("%s must be between %d and %d, not %d", l.kw, -limit, limit, v), "", fmt.Sprint(cut))
		v = cut
	}
	*dst = v
	switch {
	case l.accept("reverse"):
		*reverse = true
	case l.accept("noreverse"):
		*reverse = false
	}
	return true
}
