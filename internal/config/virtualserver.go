package config

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// virtualServer is a virtual_server while it is being built.
type virtualServer struct {
	*VirtualServer
	at      syntax.Pos
	pos     map[string]syntax.Pos // of its keywords, the last of each
	inherit inherit
	weight  int
	servers []*realServer
	seen    map[netip.AddrPort]Where // of the real servers
	sorry   *sorryServer
	// leftOut is set when the service needs something that is not built; the
	// reason has been reported.
	leftOut bool
}

// inherit are the settings that go from virtual server to real server to
// checker; nil is not set.
type inherit struct {
	delayLoop, delayBeforeRetry, warmup, connectTimeout *time.Duration
	retry                                               *int
	alpha, inhibit                                      *bool
}

// over returns i with what outer sets and i does not.
func (i inherit) over(outer inherit) inherit {
	return inherit{
		delayLoop:        or(i.delayLoop, outer.delayLoop),
		delayBeforeRetry: or(i.delayBeforeRetry, outer.delayBeforeRetry),
		warmup:           or(i.warmup, outer.warmup),
		connectTimeout:   or(i.connectTimeout, outer.connectTimeout),
		retry:            or(i.retry, outer.retry),
		alpha:            or(i.alpha, outer.alpha),
		inhibit:          or(i.inhibit, outer.inhibit),
	}
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func get[T any](p *T, def T) T {
	if p != nil {
		return *p
	}
	return def
}

// keyword reads the settings that are inherited. least is the lowest retry.
func (i *inherit) keyword(l *line, least int) bool {
	dur := func(dst **time.Duration, def, lo time.Duration) {
		d := get(*dst, def)
		if l.seconds(&d, lo, math.MaxInt32*time.Second) {
			*dst = &d
		}
	}
	switch l.kw {
	case "delay_loop":
		dur(&i.delayLoop, 60*time.Second, time.Microsecond)
	case "delay_before_retry":
		dur(&i.delayBeforeRetry, time.Second, 0)
	case "warmup":
		dur(&i.warmup, get(i.delayLoop, 60*time.Second), 0)
	case "connect_timeout":
		d := get(i.connectTimeout, 5*time.Second)
		if l.seconds(&d, time.Microsecond, maxDelay*time.Second) {
			i.connectTimeout = &d
		}
	case "retry":
		v := get(i.retry, 1)
		if l.integer(&v, least, math.MaxInt32, false) {
			i.retry = &v
		}
	default:
		return false
	}
	return true
}

// flagValue reads a bool that is inherited.
func (l *line) flagValue(dst **bool) {
	v := get(*dst, false)
	l.boolean(&v)
	*dst = &v
}

func (b *builder) virtualServer(l *line) {
	vs := &virtualServer{at: l.st.Pos(), pos: map[string]syntax.Pos{}, seen: map[netip.AddrPort]Where{}, weight: 1, VirtualServer: &VirtualServer{
		Where: l.st.Pos().Place(), Protocol: lvs.UDP, Scheduler: lvs.WLC, Method: lvs.NAT, Quorum: 1,
	}}
	if !b.virtualName(l, vs) {
		return
	}
	l.each(vs.VirtualServer, func(l *line) bool {
		vs.pos[l.kw] = l.st.Pos()
		return b.serverMain(l, vs) || vs.inherit.keyword(l, 1) || b.serverSchedule(l, vs) || b.serverLimits(l, vs)
	})
	b.servers = append(b.servers, vs)
}

// where returns the position of the last of the keywords, or of the block.
func (vs *virtualServer) where(kws ...string) syntax.Pos {
	p := vs.at
	for _, kw := range kws {
		if q := vs.pos[kw]; q.IsValid() && (p == vs.at || q.Place().Line > p.Place().Line) {
			p = q
		}
	}
	return p
}

// given reports whether the block has one of the keywords.
func (vs *virtualServer) given(kws ...string) bool { return vs.where(kws...) != vs.at }

// virtualName reads IP [PORT], fwmark N or group NAME.
func (b *builder) virtualName(l *line, vs *virtualServer) bool {
	switch {
	case l.accept("fwmark"):
		mark := 0
		if !l.integer(&mark, 1, math.MaxUint32, false) {
			return false
		}
		vs.FWMark, vs.Name = uint32(mark), fmt.Sprintf("fwmark %d", mark)
		l.next = len(l.st.Words)
		b.leaveOut(vs, l.st.Pos(), "fwmark")
	case l.accept("group"):
		w, ok := l.word()
		if !ok {
			return false
		}
		vs.Group, vs.Name = w.Text, "group "+w.Text
	default:
		a, port, ok := l.addrPort()
		if !ok {
			return false
		}
		vs.Name = a.String()
		if port != 0 {
			vs.Name += fmt.Sprintf(" %d", port)
		}
		vs.Endpoints = []Endpoint{{Where: l.st.Words[1].Pos.Place(), Addr: a, Port: port}}
		switch {
		case a.Is6():
			b.leaveOut(vs, vs.at, "IPv6")
		case port == 0:
			b.leaveOut(vs, vs.at, "a virtual_server without port (all ports)")
		}
	}
	return true
}

// leaveOut reports that a virtual server needs something that is not built.
// One reason is enough.
func (b *builder) leaveOut(vs *virtualServer, at syntax.Pos, what string) {
	if !vs.leftOut {
		b.warn("not-supported", at, fmt.Sprintf("not supported yet: %s: virtual_server %s is left out and does not run", what, vs.Name), "")
	}
	vs.leftOut = true
}

func (b *builder) serverMain(l *line, vs *virtualServer) bool {
	switch l.kw {
	case "real_server":
		b.realServer(l, vs)
	case "sorry_server":
		b.sorryServer(l, vs)
	case "sorry_server_inhibit", "sorry_server_lvs_method":
		b.sorryOption(l, vs)
	case "protocol":
		b.protocol(l, vs)
	case "alpha":
		l.flag(&vs.Alpha)
		vs.inherit.alpha = &vs.Alpha
	case "omega":
		l.flag(&vs.Omega)
	case "inhibit_on_failure":
		l.flag(&vs.InhibitOnFailure)
		vs.inherit.inhibit = &vs.InhibitOnFailure
	case "virtualhost":
		l.str(&vs.VirtualHost)
	case "quorum_up":
		l.command(&vs.QuorumUp, true)
	case "quorum_down":
		l.command(&vs.QuorumDown, true)
	case "ip_family":
		w, ok := l.word()
		if ok && w.Text == "inet6" {
			b.leaveOut(vs, w.Pos, "IPv6")
		} else if ok && w.Text != "inet" {
			l.badValue(w, fmt.Sprintf("ip_family is inet or inet6, not %q", w.Text), "", "inet")
		}
	default:
		return false
	}
	return true
}

func (b *builder) serverLimits(l *line, vs *virtualServer) bool {
	switch l.kw {
	case "quorum":
		l.integer(&vs.Quorum, 1, math.MaxInt32, true)
	case "hysteresis":
		l.integer(&vs.Hysteresis, 0, math.MaxInt32, true)
	case "weight":
		l.integer(&vs.weight, 1, math.MaxInt32, true)
	case "persistence_timeout":
		vs.PersistenceTimeout = 360 * time.Second
		if l.left() > 0 {
			v := 360
			w := l.st.Words[1]
			if w.Text == "0" {
				vs.PersistenceTimeout = 0
				b.warn("invalid-value", w.Pos, "persistence_timeout 0 is no persistence", "remove the line")
				l.next++
				return true
			}
			if !l.integer(&v, 1, 2678400, false) {
				vs.PersistenceTimeout = 0
				return true
			}
			vs.PersistenceTimeout = time.Duration(v) * time.Second
		}
		l.unsupported("each connection of a client is balanced on its own (lb_algo sh keeps a client on one server)")
	case "persistence_granularity", "persistence_engine":
		l.unsupported("each connection of a client is balanced on its own")
	case "ops":
		vs.OnePacket = true
		l.unsupported("datagrams of one client port go to one server")
	default:
		return false
	}
	return true
}

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
		b.leaveOut(vs, w.Pos, "protocol SCTP")
	default:
		l.badValue(w, fmt.Sprintf("protocol is TCP, UDP or SCTP, not %q", w.Text), "protocol TCP", vs.Protocol.String())
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

// serverSchedule reads scheduler and forwarding method in all their spellings;
// of several the last one wins.
func (b *builder) serverSchedule(l *line, vs *virtualServer) bool {
	switch l.kw {
	case "lb_algo", "lvs_sched":
		b.scheduler(l, vs)
	case "lb_kind", "lvs_method":
		b.method(l, &vs.Method)
	case "sh-port", "mh-port":
		b.schedulerFlag(l, vs, lvs.SchedPort)
	case "sh-fallback", "mh-fallback":
		b.schedulerFlag(l, vs, lvs.SchedFallback)
	case "flag-1", "flag-2", "flag-3":
		l.unsupported("")
	default:
		return false
	}
	return true
}

func (b *builder) scheduler(l *line, vs *virtualServer) {
	w, ok := l.word()
	if !ok {
		return
	}
	s := lvs.Scheduler(w.Text)
	if !s.Known() {
		what := fmt.Sprintf("there is no scheduler %q", w.Text)
		if n := nearest(schedulers, w.Text); n != "" {
			what += "; did you mean " + n + "?"
		}
		l.badValue(w, what, "rr, wrr, lc, wlc, sh or mh", string(vs.Scheduler))
		return
	}
	vs.Scheduler = s
}

var schedulers = map[string]bool{
	"rr": true, "wrr": true, "lc": true, "wlc": true, "sh": true, "mh": true, "dh": true,
	"sed": true, "nq": true, "fo": true, "ovf": true, "lblc": true, "lblcr": true, "twos": true,
}

// schedulerFlag reads sh-port and its like, which count only after the
// scheduler that they belong to.
func (b *builder) schedulerFlag(l *line, vs *virtualServer, f lvs.SchedulerFlags) {
	if string(vs.Scheduler) != l.kw[:2] {
		l.warn("flag-without-scheduler", fmt.Sprintf("%s counts only after lb_algo %s; it is ignored", l.kw, l.kw[:2]), "put it after lb_algo "+l.kw[:2])
		return
	}
	vs.SchedulerFlags |= f
}

// method reads NAT, DR or TUN with its options.
func (b *builder) method(l *line, dst *lvs.Method) {
	w, ok := l.word()
	if !ok {
		return
	}
	switch w.Text {
	case "NAT":
		*dst = lvs.NAT
	case "DR":
		*dst = lvs.DR
	case "TUN":
		*dst = lvs.TUN
		l.next = len(l.st.Words) // the tunnel's options
	default:
		l.badValue(w, fmt.Sprintf("%s is NAT, DR or TUN, in capitals, not %q", l.kw, w.Text), l.kw+" "+upper(w.Text), dst.String())
	}
}

// sorryServer is a sorry_server while it is being built.
type sorryServer struct {
	*SorryServer
	at syntax.Pos
}

func (b *builder) sorryServer(l *line, vs *virtualServer) {
	a, port, ok := l.addrPort()
	if !ok {
		return
	}
	if vs.sorry != nil {
		l.warn("repeated-keyword", fmt.Sprintf("sorry_server is given again; it replaces %s", vs.sorry.Addr), "keep one")
	}
	if !vs.given("lb_kind", "lvs_method") {
		l.warn("sorry-before-method", "sorry_server stands before lb_kind and is used by NAT", "put it after lb_kind")
	}
	vs.sorry = &sorryServer{at: l.st.Pos(), SorryServer: &SorryServer{Where: l.st.Pos().Place(), Addr: a, Port: port, Method: vs.Method}}
}

func (b *builder) sorryOption(l *line, vs *virtualServer) {
	if vs.sorry == nil {
		l.warn("sorry-option-before", l.kw+" must follow sorry_server; it is ignored", "put it after sorry_server")
		l.next = len(l.st.Words)
		return
	}
	if l.kw == "sorry_server_inhibit" {
		l.flag(&vs.sorry.Inhibit)
		return
	}
	b.method(l, &vs.sorry.Method)
}
