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
	l.block(func(l *line) bool {
		return b.globalKeyword(l, g) || b.globalVRRP(l)
	})
}

func (b *builder) globalKeyword(l *line, g *Global) bool {
	switch l.kw {
	case "router_id":
		l.str(&g.RouterID)
	case "script_user":
		l.user(&g.ScriptUser)
	case "enable_script_security":
		l.flag(&g.ScriptSecurity)
	case "vrrp_startup_delay":
		d := g.StartupDelay
		if l.seconds(&d, time.Millisecond, maxDelay*time.Second) {
			g.StartupDelay = max(d, g.StartupDelay) // the largest wins
		}
	case "lvs_timeouts":
		b.timeouts(l, g)
	case "lvs_flush":
		l.flag(&g.LVSFlush)
	case "lvs_flush_on_stop", "lvs_flush_onstop":
		g.LVSFlushOnStop = true
		l.accept("VS")
	case "notify_fifo":
		if g.NotifyFIFO == "" && l.left() > 0 {
			g.NotifyFIFO = l.st.Words[1].Text
		}
		l.unsupported("nothing is written to the FIFO")
	case "lvs_sync_daemon":
		b.syncDaemon(l)
	case "include_check": // the parser's business
		l.next = len(l.st.Words)
	default:
		return false
	}
	return true
}

// globalVRRP are the defaults of the instances.
func (b *builder) globalVRRP(l *line) bool {
	d := &b.def
	switch strings.TrimPrefix(l.kw, "vrrp_") {
	case "version":
		l.integer(&d.version, 2, 3, false)
	case "garp_master_delay":
		l.wholeSeconds(&d.garpDelay, maxDelay)
	case "garp_master_repeat":
		l.count(&d.garpRepeat)
	case "garp_master_refresh":
		l.wholeSeconds(&d.garpRefresh, math.MaxInt32)
	case "garp_master_refresh_repeat":
		l.count(&d.garpRefreshRep)
	case "garp_lower_prio_delay":
		l.wholeSeconds(&d.garpLowerDelay, maxDelay)
	case "garp_lower_prio_repeat":
		l.integer(&d.garpLowerRepeat, 0, math.MaxInt32, true)
	case "down_timer_adverts":
		l.integer(&d.downTimerAdverts, 1, 100, true)
	case "lower_prio_no_advert":
		l.boolean(&d.lowerPrioNoAdvert)
	case "higher_prio_send_advert":
		l.boolean(&d.higherPrioSendAdvert)
	case "skip_check_adv_addr":
		l.boolean(&d.skipCheckAdvAddr)
	case "mcast_group4":
		if l.left() > 0 && l.st.Words[1].Text == "224.0.0.18" {
			l.next++
			return true
		}
		d.otherMulticast = "vrrp_mcast_group4"
		l.unsupported("no IPv4 vrrp_instance can run with another group, and all are left out")
	default:
		return false
	}
	return strings.HasPrefix(l.kw, "vrrp_")
}

// count reads how often something is sent; 0 becomes 1.
func (l *line) count(dst *int) {
	if l.integer(dst, 0, math.MaxInt32, true) && *dst == 0 {
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
			b.warn("unknown-value", w.Pos, fmt.Sprintf("lvs_timeouts knows no %q", w.Text), "tcp, tcpfin or udp, each followed by seconds")
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
func (b *builder) choice(l *line, dst *string, allowed ...string) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	set := map[string]bool{}
	for _, a := range allowed {
		if a == w.Text {
			*dst = a
			return true
		}
		set[a] = true
	}
	what := fmt.Sprintf("%s knows no %q", l.kw, w.Text)
	if s := nearest(set, w.Text); s != "" {
		what += "; did you mean " + s + "?"
	}
	l.badValue(w, what, l.kw+" "+strings.Join(allowed, " | "), *dst)
	return false
}
