package config

import (
	"fmt"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// realServer is a real_server while it is being built.
type realServer struct {
	*RealServer
	inherit
	Weight    *int  `kw:"weight"`
	SMTPAlert *bool `kw:"smtp_alert"`

	at       syntax.Pos
	method   *lvs.Method
	checkers []*checker
}

// effective is the forwarding method as far as it is known here.
func (rs *realServer) effective(vs *virtualServer) lvs.Method {
	if rs.method != nil {
		return *rs.method
	}
	return vs.Method
}

func (b *builder) realServer(l *line, vs *virtualServer) {
	a, port, ok := l.addrPort()
	if !ok {
		return
	}
	rs := &realServer{at: l.st.Pos(), RealServer: &RealServer{Where: l.st.Pos().Place(), Addr: a, Port: port}}
	l.each(rs.RealServer, func(l *line) bool {
		return b.realMain(l, vs, rs) || b.checker(l, rs) || l.into(rs)
	})
	k := netip.AddrPortFrom(a, port)
	if first, ok := vs.seen[k]; ok {
		l.warn("duplicate-real-server", fmt.Sprintf("real_server %s %d is there already, at %s; this block is ignored", a, port, first), "remove one")
		return
	}
	vs.seen[k] = rs.Where
	if f := vs.family(); f != 0 && f != family(a) && rs.effective(vs) != lvs.TUN {
		l.warn("server-family", fmt.Sprintf("real_server %s is of another family than the virtual_server and is left out: only TUN carries one in the other", a), "lvs_method TUN, or a server of the same family")
		return
	}
	vs.servers = append(vs.servers, rs)
}

func (b *builder) realMain(l *line, vs *virtualServer, rs *realServer) bool {
	switch l.kw {
	case "lvs_method":
		m := rs.effective(vs)
		if b.method(l, &m, &rs.Tunnel) {
			rs.method = &m
		}
	case "weight", "smtp_alert", "alpha", "inhibit_on_failure":
		return l.into(rs)
	case "snmp_name":
		return l.single()
	default:
		return false
	}
	return true
}
