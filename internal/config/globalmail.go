package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const smtpPort = 25

// smtpServer reads HOST [PORT]. A bad port refuses the whole line.
func (b *builder) smtpServer(l *line, m *Mail) {
	w, ok := l.word()
	if !ok {
		return
	}
	if _, err := parseAddr(w.Text); err != nil && strings.Contains(w.Text, ":") {
		fix := "smtp_server HOST PORT"
		if ap, err := netip.ParseAddrPort(w.Text); err == nil {
			fix = fmt.Sprintf("smtp_server %s %d", ap.Addr(), ap.Port())
		}
		l.badValue(w, fmt.Sprintf("smtp_server: %q is neither an address nor a name", w.Text), fix, "nothing")
		l.next = len(l.st.Words)
		return
	}
	s := SMTPServer{Host: w.Text, Port: smtpPort}
	if p, ok := l.peek(); ok {
		l.next++
		v, err := strconv.ParseUint(p.Text, 10, 16)
		if err != nil || v == 0 {
			l.badValue(p, fmt.Sprintf("smtp_server: %q is no port (1 to 65535)", p.Text), fmt.Sprintf("smtp_server %s %d", w.Text, smtpPort), "nothing")
			return
		}
		s.Port = uint16(v)
	}
	m.Server = s
}

// recipients reads a block of addresses, any number on a line.
func (b *builder) recipients(l *line, m *Mail) {
	n := len(m.To)
	l.values(func(l *line) {
		for _, w := range l.st.Words {
			m.To = append(m.To, w.Text)
		}
		l.next = len(l.st.Words)
	})
	if l.st.Block != nil && len(m.To) == n {
		l.warn("no-recipients", "notification_email is empty: nobody gets a mail", "an address a line, or no notification_email")
	}
}
