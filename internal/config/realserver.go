package config

import (
	"fmt"
	"math"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// realServer is a real_server while it is being built.
type realServer struct {
	*RealServer
	at       syntax.Pos
	inherit  inherit
	weight   *int
	method   *lvs.Method
	checkers []*checker
}

func (b *builder) realServer(l *line, vs *virtualServer) {
	a, port, ok := l.addrPort()
	if !ok {
		return
	}
	rs := &realServer{at: l.st.Pos(), RealServer: &RealServer{Where: l.st.Pos().Place(), Addr: a, Port: port}}
	l.each(rs.RealServer, func(l *line) bool {
		return b.realMain(l, rs) || rs.inherit.keyword(l, 1) || b.realChecker(l, rs)
	})
	k := netip.AddrPortFrom(a, port)
	if first, ok := vs.seen[k]; ok {
		l.warn("duplicate-real-server", fmt.Sprintf("real_server %s %d is there already, at %s; this block is ignored", a, port, first), "remove one")
		return
	}
	vs.seen[k] = rs.Where
	if !a.Is4() && !vs.leftOut {
		l.warn("not-supported", fmt.Sprintf("not supported yet: IPv6: real_server %s is left out", a), "")
	}
	if !a.Is4() {
		return
	}
	vs.servers = append(vs.servers, rs)
}

func (b *builder) realMain(l *line, rs *realServer) bool {
	switch l.kw {
	case "weight":
		v := 1
		if l.integer(&v, 0, math.MaxInt32, true) {
			rs.weight = &v
		}
	case "lvs_method":
		m := lvs.NAT
		if rs.method != nil {
			m = *rs.method
		}
		b.method(l, &m)
		rs.method = &m
	case "inhibit_on_failure":
		l.flagValue(&rs.inherit.inhibit)
	case "alpha":
		l.flagValue(&rs.inherit.alpha)
	case "uthreshold":
		l.integer(&rs.UpperThreshold, 0, math.MaxInt32, true)
	case "lthreshold":
		l.integer(&rs.LowerThreshold, 0, math.MaxInt32, true)
	case "notify_up":
		l.command(&rs.NotifyUp, true)
	case "notify_down":
		l.command(&rs.NotifyDown, true)
	case "virtualhost":
		l.str(&rs.VirtualHost)
	default:
		return false
	}
	return true
}

func (b *builder) realChecker(l *line, rs *realServer) bool {
	switch CheckerKind(l.kw) {
	case TCPCheck, HTTPGet, MiscCheck:
	default:
		return false
	}
	c := &checker{at: l.st.Pos(), Checker: &Checker{Where: l.st.Pos().Place(), Kind: CheckerKind(l.kw)}}
	var user User
	l.each(c.Checker, func(l *line) bool {
		switch l.kw {
		case "retry":
			return c.inherit.keyword(l, 0)
		case "alpha":
			l.flagValue(&c.inherit.alpha)
			return true
		case "delay_loop", "delay_before_retry", "warmup":
			return c.inherit.keyword(l, 0)
		}
		switch c.Kind {
		case MiscCheck:
			return b.miscKeyword(l, c, &user)
		case HTTPGet:
			return b.connectKeyword(l, c) || b.httpKeyword(l, c)
		case TCPCheck:
			return b.connectKeyword(l, c)
		}
		return false
	})
	if user.Name != "" {
		c.Misc.User = user
	}
	switch {
	case c.Kind == MiscCheck && !c.Misc.Set():
		l.warn("checker-dropped", "MISC_CHECK without misc_path is dropped; the server counts as up without it", `misc_path "/path/to/check argument"`)
	case c.Kind == HTTPGet && len(c.URLs) == 0:
		l.warn("checker-dropped", "HTTP_GET without a url that has a path is dropped; the server counts as up without it", "url { path / }")
	default:
		rs.checkers = append(rs.checkers, c)
	}
	return true
}
