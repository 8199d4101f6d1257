package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// virtualServer is a virtual_server while it is being built.
type virtualServer struct {
	*VirtualServer
	inherit
	SMTPAlert *bool `kw:"smtp_alert"`

	at      syntax.Pos
	pos     map[string]syntax.Pos // of its keywords, the last of each
	servers []*realServer
	seen    map[netip.AddrPort]Where // of the real servers
	sorry   *sorryServer
}

func (b *builder) virtualServer(l *line) {
	vs := &virtualServer{at: l.st.Pos(), pos: map[string]syntax.Pos{}, seen: map[netip.AddrPort]Where{}, VirtualServer: &VirtualServer{
		Where: l.st.Pos().Place(), Protocol: lvs.UDP, Scheduler: lvs.WLC, Method: lvs.NAT, Quorum: 1, Weight: 1,
	}}
	if !b.virtualName(l, vs) {
		return
	}
	l.each(vs.VirtualServer, func(l *line) bool {
		vs.pos[l.kw] = l.st.Pos()
		return b.serverMain(l, vs) || b.serverSchedule(l, vs) || b.persistence(l, vs) || l.into(vs)
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

// family is 4 or 6, and 0 as long as it is not known.
func (vs *virtualServer) family() int {
	switch {
	case len(vs.Endpoints) > 0 && vs.Endpoints[0].Addr.IsValid():
		return family(vs.Endpoints[0].Addr)
	case vs.IPFamily == "inet6":
		return 6
	case vs.IPFamily == "inet":
		return 4
	}
	for _, rs := range vs.servers {
		if rs.effective(vs) != lvs.TUN {
			return family(rs.Addr)
		}
	}
	return 0
}

// virtualName reads IP [PORT], fwmark N or group NAME.
func (b *builder) virtualName(l *line, vs *virtualServer) bool {
	switch {
	case l.accept("fwmark"):
		return b.markName(l, vs)
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

func (b *builder) markName(l *line, vs *virtualServer) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	mark, err := strconv.ParseUint(w.Text, 10, 32)
	if err != nil || mark == 0 {
		l.badValue(w, fmt.Sprintf("fwmark is a number from 1 to %d, not %q; the block is skipped", uint32(math.MaxUint32), w.Text)+zeroMark(w.Text), "fwmark 1", "")
		l.next = len(l.st.Words)
		return false
	}
	vs.FWMark, vs.Name, vs.Protocol = uint32(mark), fmt.Sprintf("fwmark %d", mark), 0
	b.leaveOut(vs, l.st.Pos(), "fwmark")
	return true
}

// zeroMark tells what keepalived does with mark 0.
func zeroMark(s string) string {
	if s == "0" {
		return " (keepalived would make a service without an address of it)"
	}
	return ""
}

// leaveOut reports that kaname cannot run a virtual server. One reason is
// enough.
func (b *builder) leaveOut(vs *virtualServer, at syntax.Pos, what string) {
	if vs.NotRun == "" {
		b.warn("not-supported", at, fmt.Sprintf("not supported yet: %s: virtual_server %s is left out and does not run", what, vs.Name), "")
		vs.NotRun = what + " is not supported yet"
	}
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
		l.flag(&vs.VirtualServer.Alpha)
		vs.inherit.Alpha = &vs.VirtualServer.Alpha
	case "inhibit_on_failure":
		l.flag(&vs.InhibitOnFailure)
		vs.Inhibit = &vs.InhibitOnFailure
	case "ip_family":
		b.ipFamily(l, vs)
	case "snmp_name":
		return l.single()
	default:
		return false
	}
	return true
}

// ipFamily reads the family of a fwmark or group.
func (b *builder) ipFamily(l *line, vs *virtualServer) {
	was := vs.IPFamily
	if l.set(vs.VirtualServer); l.refused > 0 || vs.IPFamily == "" {
		return
	}
	asked := 4
	if vs.IPFamily == "inet6" {
		asked = 6
	}
	for _, e := range vs.Endpoints {
		if family(e.Addr) != asked {
			l.badValue(l.st.Words[1], fmt.Sprintf("ip_family %s contradicts the address %s and is ignored", vs.IPFamily, e.Addr), "remove the line", "")
			vs.IPFamily = was
			return
		}
	}
}

// serverSchedule reads forwarding method and flags of the scheduler; of several
// spellings the last one wins.
func (b *builder) serverSchedule(l *line, vs *virtualServer) bool {
	switch l.kw {
	case "lb_kind", "lvs_method":
		b.method(l, &vs.Method, &vs.Tunnel)
	case "sh-port", "mh-port":
		b.schedulerFlag(l, vs, lvs.SchedPort)
	case "sh-fallback", "mh-fallback":
		b.schedulerFlag(l, vs, lvs.SchedFallback)
	case "flag-1": // the same bits by their numbers
		vs.SchedulerFlags |= lvs.SchedFallback
	case "flag-2":
		vs.SchedulerFlags |= lvs.SchedPort
	case "hashed":
		if vs.Scheduler != lvs.SH && vs.Scheduler != lvs.MH {
			l.warn("hashed-is-nothing", "hashed belongs to lb_algo sh, and does nothing even there", "remove the line")
			l.told = true
		}
	default:
		return false
	}
	return true
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
	if f := vs.family(); f != 0 && f != family(a) && vs.Method != lvs.TUN {
		l.warn("server-family", fmt.Sprintf("sorry_server %s is of another family than the virtual_server and is ignored", a), "a sorry_server of the same family")
		return
	}
	if !vs.given("lb_kind", "lvs_method") {
		l.warn("sorry-before-method", "sorry_server stands before lb_kind and is used by NAT", "put it after lb_kind")
	}
	vs.sorry = &sorryServer{at: l.st.Pos(), SorryServer: &SorryServer{Where: l.st.Pos().Place(), Addr: a, Port: port, Method: vs.Method, Tunnel: vs.Tunnel}}
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
	b.method(l, &vs.sorry.Method, &vs.sorry.Tunnel)
}
