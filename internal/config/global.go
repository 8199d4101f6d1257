package config

import (
	"cmp"
	"fmt"
	"time"
)

// maxDelay is the largest value of most of keepalived's timers in seconds.
const maxDelay = 4294

// global builds global_defs; several blocks merge.
func (b *builder) global(l *line) {
	g := &b.cfg.Global
	if g.Where.IsZero() {
		g.Where = l.st.Pos().Place()
	}
	l.each(g, func(l *line) bool {
		return b.globalKeyword(l, g) || b.globalVRRP(l, &g.VRRP) || b.tuning(l, &g.Process) || b.packetFilter(l, &g.Nft)
	})
	b.finishGlobal(g)
}

// finishGlobal resolves what a setting has from another.
func (b *builder) finishGlobal(g *Global) {
	if g.VMACAddrPrefix == "" && g.VMACPrefix != defaultVMACPrefix {
		g.VMACAddrPrefix = g.VMACPrefix
	}
	for _, f := range []struct {
		kw   string
		fifo *FIFO
	}{{"vrrp_notify_fifo", &g.FIFO.VRRP}, {"lvs_notify_fifo", &g.FIFO.LVS}} {
		if f.fifo.Path != "" && f.fifo.Path == g.FIFO.All.Path {
			b.warnAt("same-fifo", f.fifo.Where, fmt.Sprintf("%s %s is notify_fifo, which gets everything already; it is ignored", f.kw, f.fifo.Path), "another path, or only one of the two")
			*f.fifo = FIFO{}
		}
	}
}

// globalKeyword reads what the table leaves to code.
func (b *builder) globalKeyword(l *line, g *Global) bool {
	switch l.kw {
	case "lvs_timeouts":
		b.timeouts(l, g)
	case "lvs_flush_on_stop", "lvs_flush_onstop":
		b.flushOnStop(l, g)
	case "lvs_sync_daemon":
		b.syncDaemon(l)
	case "smtp_server":
		b.smtpServer(l, &g.Mail)
	case "notification_email":
		b.recipients(l, &g.Mail)
	case "smtp_connect_timeout":
		if l.set(g); g.Mail.ConnectTimeout == 0 {
			b.warn("invalid-value", l.st.Words[1].Pos, "smtp_connect_timeout 0 is 1 s", "smtp_connect_timeout 1")
			g.Mail.ConnectTimeout = time.Second
		}
	case "dynamic_interfaces":
		b.dynamicInterfaces(l, g)
	case "umask":
		if !l.single() {
			l.umask(&g.Umask)
		}
	case "snmp_socket", "reload_time_file", "iproute_usr_dir", "iproute_etc_dir":
		return l.single()
	case "state_dump_file", "stats_dump_file", "json_dump_file":
		return l.notEmpty()
	case "include_check": // the parser's business
		l.next = len(l.st.Words)
	default:
		return false
	}
	return true
}

// flushOnStop reads what is emptied at a stop.
func (b *builder) flushOnStop(l *line, g *Global) {
	w, ok := l.peek()
	switch {
	case !ok:
		g.LVSFlushOnStop = "all"
	case w.Text == "VS":
		l.next++
		g.LVSFlushOnStop = "VS"
	default:
		l.next++
		l.badValue(w, fmt.Sprintf("%s knows no %q", l.kw, w.Text), "lvs_flush_on_stop VS, or nothing behind it for the whole table", "nothing")
	}
}

// dynamicInterfaces reads how far interfaces may come and go.
func (b *builder) dynamicInterfaces(l *line, g *Global) {
	w, ok := l.peek()
	switch {
	case !ok:
		g.DynamicInterfaces = cmp.Or(g.DynamicInterfaces, "yes")
	case w.Text == "allow_if_changes":
		l.next++
		g.DynamicInterfaces = w.Text
	default:
		l.next++
		g.DynamicInterfaces = cmp.Or(g.DynamicInterfaces, "yes")
		b.warn("invalid-value", w.Pos, fmt.Sprintf("dynamic_interfaces knows no %q; interfaces may be missing, and nothing more", w.Text), "dynamic_interfaces allow_if_changes")
	}
}

// single refuses a line with more than one value; any other is the table's.
func (l *line) single() bool {
	if l.left() < 2 {
		return false
	}
	l.badValue(l.st.Words[l.next+1], l.kw+" takes one value", l.kw+" "+l.st.Words[l.next].Text, "nothing")
	l.next = len(l.st.Words)
	return true
}

// notEmpty refuses an empty value; any other is the table's.
func (l *line) notEmpty() bool {
	w, ok := l.peek()
	if !ok || w.Text != "" {
		return false
	}
	l.next++
	l.badValue(w, l.kw+": the name is empty", "", "nothing")
	return true
}

// timeouts is lvs_timeouts [tcp SECS] [tcpfin SECS] [udp SECS].
func (b *builder) timeouts(l *line, g *Global) {
	if l.left() == 0 {
		l.word()
		return
	}
	for l.left() > 0 {
		w, _ := l.word()
		dst := map[string]*time.Duration{"tcp": &g.LVSTimeouts.TCP, "tcpfin": &g.LVSTimeouts.TCPFin, "udp": &g.LVSTimeouts.UDP}[w.Text]
		if dst == nil {
			b.warn("unknown-timeout", w.Pos, fmt.Sprintf("lvs_timeouts knows no %q; it is ignored", w.Text), "tcp, tcpfin or udp, each followed by seconds")
			continue
		}
		l.wholeSeconds(dst, 2678400)
	}
}

// words returns the statement's parameters as one string.
func words(l *line) string {
	return joinWords(l.st.Args())
}

// user reads USER [GROUP].
func (l *line) user(dst *User) {
	u := User{}
	if w, ok := l.word(); ok {
		u.Name = w.Text
		if l.left() > 0 {
			w, _ = l.word()
			u.Group = w.Text
		}
		*dst = u
	}
}

// choice reads one of a few words.
func (l *line) choice(dst *string, allowed ...string) {
	otherwise := ""
	if *dst == "" {
		otherwise = "; it is ignored"
	}
	if w, ok := l.oneOf(allowed, otherwise, *dst); ok {
		*dst = w
	}
}
