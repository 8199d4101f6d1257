package config

import (
	"fmt"
	"math"
	"strings"
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
	l.each(g, func(l *line) bool { return b.globalKeyword(l, g) || b.globalVRRP(l, &g.VRRP) })
}

// globalKeyword reads what the table leaves to code.
func (b *builder) globalKeyword(l *line, g *Global) bool {
	switch l.kw {
	case "vrrp_startup_delay":
		b.largest(l, &g.StartupDelay)
	case "vrrp_delay_after_boot":
		b.largest(l, &g.DelayAfterBoot)
	case "lvs_timeouts":
		b.timeouts(l, g)
	case "lvs_flush_on_stop", "lvs_flush_onstop":
		g.LVSFlushOnStop = "all"
		if l.accept("VS") {
			g.LVSFlushOnStop = "VS"
		}
	case "lvs_sync_daemon":
		b.syncDaemon(l)
	case "include_check": // the parser's business
		l.next = len(l.st.Words)
	default:
		return false
	}
	return true
}

// largest reads a delay of which the largest counts.
func (b *builder) largest(l *line, dst *time.Duration) {
	d := *dst
	if l.seconds(&d, time.Millisecond, math.MaxUint32*time.Microsecond) {
		*dst = max(d, *dst)
	}
}

// globalVRRP reads those defaults of the instances that the table leaves to
// code.
func (b *builder) globalVRRP(l *line, d *GlobalVRRP) bool {
	switch l.kw {
	case "vrrp_garp_master_repeat":
		l.count(&d.GARPRepeat)
	case "vrrp_garp_master_refresh_repeat":
		l.count(&d.GARPRefreshRep)
	case "vrrp_mcast_group4":
		if l.address(&d.McastGroup4) && d.McastGroup4.String() == "224.0.0.18" {
			l.told = true
		}
	default:
		return false
	}
	return true
}

// count reads how often something is sent; 0 becomes 1.
func (l *line) count(dst *int) {
	if l.integer(dst, 0, math.MaxUint32, true) && *dst == 0 {
		l.warn("invalid-value", l.kw+" 0 sends one", l.kw+" 1")
		*dst = 1
	}
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
			b.warn("unknown-timeout", w.Pos, fmt.Sprintf("lvs_timeouts knows no %q", w.Text), "tcp, tcpfin or udp, each followed by seconds")
			continue
		}
		l.wholeSeconds(dst, 2678400)
	}
}

// words returns the statement's parameters as one string.
func words(l *line) string {
	var s []string
	for _, w := range l.st.Args() {
		s = append(s, w.Text)
	}
	return strings.Join(s, " ")
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
func (b *builder) choice(l *line, dst *string, allowed ...string) {
	w, ok := l.word()
	if !ok {
		return
	}
	set := map[string]bool{}
	for _, a := range allowed {
		if a == w.Text {
			*dst = a
			return
		}
		set[a] = true
	}
	what := fmt.Sprintf("%s knows no %q", l.kw, w.Text)
	if s := nearest(set, w.Text); s != "" {
		what += "; did you mean " + s + "?"
	}
	l.badAs("unknown-choice", w, what, l.kw+" "+strings.Join(allowed, " | "), *dst)
}
