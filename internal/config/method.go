package config

import (
	"fmt"
	"strconv"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// method reads NAT, DR or TUN with its options. A bad option leaves the method
// and takes away all options. It returns false when there is no method.
func (b *builder) method(l *line, dst *lvs.Method, tunnel *Tunnel) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	switch w.Text {
	case "NAT":
		*dst = lvs.NAT
	case "DR":
		*dst = lvs.DR
	case "TUN":
		*dst = lvs.TUN
	default:
		l.badAs("unknown-method", w, fmt.Sprintf("%s is NAT, DR or TUN, in capitals, not %q", l.kw, w.Text), l.kw+" "+methodLike(w.Text), dst.String())
		l.next = len(l.st.Words)
		return false
	}
	*tunnel = Tunnel{}
	if *dst == lvs.TUN {
		tunnel.Type = "ipip"
	}
	if l.left() == 0 {
		return true
	}
	t := tunnelOptions{Tunnel: Tunnel{Type: "ipip"}}
	if bad := t.read(l, *dst); bad != "" {
		l.next = min(l.next, len(l.st.Words)-1)
		l.badAs("tunnel-options", l.st.Words[l.next], l.kw+" "+w.Text+": "+bad+"; all options are ignored", l.kw+" TUN type ipip | gue port N | gre [nocsum | csum | remcsum]", "")
		l.next = len(l.st.Words)
		return true
	}
	*tunnel = t.Tunnel
	return true
}

// methodLike is what a bad method may have been meant to be.
func methodLike(s string) string {
	if u := upper(s); u == "NAT" || u == "DR" || u == "TUN" {
		return u
	}
	return "NAT | DR | TUN"
}

// tunnelOptions are [type ipip | gue port N | gre] [nocsum | csum | remcsum].
type tunnelOptions struct{ Tunnel }

// read reads the options; what it returns, if anything, is wrong with the next
// word.
func (t *tunnelOptions) read(l *line, m lvs.Method) string {
	for l.left() > 0 {
		w := l.st.Words[l.next]
		bad := ""
		switch {
		case m != lvs.TUN:
			bad = fmt.Sprintf("%q: only TUN has options", w.Text)
		case w.Text == "type":
			l.next++
			bad = t.kind(l)
		case w.Text == "port":
			l.next++
			bad = t.port(l)
		case w.Text == "nocsum" || w.Text == "csum" || w.Text == "remcsum":
			t.Checksum = w.Text
		default:
			bad = fmt.Sprintf("there is no option %q", w.Text)
		}
		if bad != "" {
			return bad
		}
		l.next++
	}
	return t.fit()
}

func (t *tunnelOptions) kind(l *line) string {
	w, ok := l.peek()
	if !ok {
		return "the type is missing"
	}
	if w.Text != "ipip" && w.Text != "gue" && w.Text != "gre" {
		return fmt.Sprintf("there is no tunnel of type %q", w.Text)
	}
	t.Type = w.Text
	return ""
}

func (t *tunnelOptions) port(l *line) string {
	w, ok := l.peek()
	if !ok {
		return "the port is missing"
	}
	v, err := strconv.ParseUint(w.Text, 10, 16)
	if err != nil || v == 0 {
		return fmt.Sprintf("%q is no port (1 to 65535)", w.Text)
	}
	t.Port = uint16(v)
	return ""
}

// fit checks the options against each other.
func (t *tunnelOptions) fit() string {
	switch {
	case (t.Type == "gue") != (t.Port != 0):
		return "a port goes with type gue, and only with it"
	case t.Type == "ipip" && t.Checksum != "" && t.Checksum != "nocsum":
		return "type ipip has no checksum"
	case t.Type == "gre" && t.Checksum == "remcsum":
		return "type gre has no remote checksum"
	}
	return ""
}

// peek returns the next word without reading it.
func (l *line) peek() (syntax.Word, bool) {
	if l.left() == 0 {
		return syntax.Word{}, false
	}
	return l.st.Words[l.next], true
}

// protocol reads TCP, UDP or SCTP, in any case.
func (b *builder) protocol(l *line, vs *virtualServer) {
	w, ok := l.word()
	if !ok {
		return
	}
	switch upper(w.Text) {
	case "TCP":
		vs.Protocol = lvs.TCP
	case "UDP":
		vs.Protocol = lvs.UDP
	case "SCTP":
		vs.Protocol = lvs.SCTP
	default:
		l.badAs("unknown-protocol", w, fmt.Sprintf("protocol is TCP, UDP or SCTP, not %q", w.Text), "protocol TCP", vs.Protocol.String())
	}
}

func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 32
		}
	}
	return string(b)
}

// schedulerFlag reads sh-port and its like, which count only after the
// scheduler that they belong to.
func (b *builder) schedulerFlag(l *line, vs *virtualServer, f lvs.SchedulerFlags) {
	own := lvs.Scheduler(l.kw[:2])
	switch vs.Scheduler {
	case own:
		vs.SchedulerFlags |= f
	case lvs.SH, lvs.MH: // keepalived says nothing then
		l.warn("flag-of-other-scheduler", fmt.Sprintf("%s does nothing with lb_algo %s", l.kw, vs.Scheduler), fmt.Sprintf("%s-%s", vs.Scheduler, l.kw[3:]))
	default:
		l.warn("flag-without-scheduler", fmt.Sprintf("%s counts only after lb_algo %s; it is ignored", l.kw, own), fmt.Sprintf("put it after lb_algo %s", own))
	}
}
