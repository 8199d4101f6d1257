package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

var pairServerRules = []pairRule{
	{"pair-service-missing", finding.Warning, pairServiceMissing},
	{"pair-service-differs", finding.Warning, pairServiceDiffers},
	{"pair-server-missing", finding.Warning, pairServerMissing},
	{"pair-server-differs", finding.Warning, pairServerDiffers},
	{"pair-check-differs", finding.Warning, pairCheckDiffers},
}

// servicePair is one virtual server as its two nodes have it.
type servicePair struct{ a, b *config.VirtualServer }

// matchServices finds the virtual servers of two files that are one: by what
// clients reach it at and the protocol, then without the protocol.
func matchServices(a, b *node) []servicePair {
	byKey := func(vss []*config.VirtualServer, key func(*config.VirtualServer) string) map[string]*config.VirtualServer {
		m := map[string]*config.VirtualServer{}
		for _, vs := range vss {
			m[key(vs)] = vs
		}
		return m
	}
	var out []servicePair
	done := map[*config.VirtualServer]bool{}
	for _, key := range []func(*config.VirtualServer) string{serviceKey, reachedAt} {
		there := byKey(b.Config.VirtualServers, key)
		for _, x := range a.Config.VirtualServers {
			if y := there[key(x)]; y != nil && !done[x] && !done[y] {
				done[x], done[y] = true, true
				out = append(out, servicePair{x, y})
			}
		}
	}
	return out
}

func serviceKey(vs *config.VirtualServer) string { return reachedAt(vs) + " " + vs.Protocol.String() }

// reachedAt is where clients reach a virtual server: its addresses and ports or
// firewall marks, whatever the group that lists them is called.
func reachedAt(vs *config.VirtualServer) string {
	var s []string
	for _, e := range vs.Endpoints {
		s = append(s, fmt.Sprint(e.Addr, " ", e.Port, " ", e.FWMark))
	}
	slices.Sort(s)
	return fmt.Sprint(strings.Join(s, ","), "/", vs.FWMark)
}

// eachService calls fn for each virtual server of both nodes.
func (c *pairChecker) eachService(fn func(a, b *config.VirtualServer)) {
	for _, p := range c.services {
		fn(p.a, p.b)
	}
}

// pairServiceMissing: the service ends with a failover.
func pairServiceMissing(c *pairChecker) {
	paired := map[*config.VirtualServer]bool{}
	for _, p := range c.services {
		paired[p.a], paired[p.b] = true, true
	}
	c.sides(func(n, other *node) {
		for _, vs := range other.Config.VirtualServers {
			if !paired[vs] {
				c.report(n, n.file(), fmt.Sprintf("%s has no virtual_server %s: the service is gone while %s is MASTER", n.Name, vs.Name, n.Name),
					fmt.Sprintf("%s: virtual_server %s", vs.Where, vs.Name), "the virtual_server on both nodes; an include file they share keeps them alike")
			}
		}
	})
}

// property is one setting of T that both nodes should have alike.
type property[T any] struct {
	keywords []string
	value    func(T) string
}

var serviceProperties = []property[*config.VirtualServer]{
	{[]string{"protocol"}, func(vs *config.VirtualServer) string { return vs.Protocol.String() }},
	{[]string{"lb_algo", "lvs_sched"}, func(vs *config.VirtualServer) string { return fmt.Sprint(vs.Scheduler) }},
	{[]string{"lb_kind", "lvs_method"}, func(vs *config.VirtualServer) string { return fmt.Sprint(vs.Method) }},
	{[]string{"persistence_timeout"}, func(vs *config.VirtualServer) string { return inSeconds(vs.PersistenceTimeout) }},
	{[]string{"persistence_granularity"}, func(vs *config.VirtualServer) string { return fmt.Sprint(vs.PersistenceGranularity) }},
	{[]string{"ops"}, func(vs *config.VirtualServer) string { return onOff(vs.OnePacket) }},
	{[]string{"quorum"}, func(vs *config.VirtualServer) string { return fmt.Sprint(vs.Quorum) }},
	{[]string{"hysteresis"}, func(vs *config.VirtualServer) string { return fmt.Sprint(vs.Hysteresis) }},
	{[]string{"sorry_server"}, func(vs *config.VirtualServer) string {
		if vs.Sorry == nil {
			return "none"
		}
		return netip.AddrPortFrom(vs.Sorry.Addr, vs.Sorry.Port).String()
	}},
}

var serverProperties = []property[*config.RealServer]{
	{[]string{"weight"}, func(rs *config.RealServer) string { return fmt.Sprint(rs.Weight) }},
	{[]string{"lvs_method"}, func(rs *config.RealServer) string { return fmt.Sprint(rs.Method) }},
	{[]string{"inhibit_on_failure"}, func(rs *config.RealServer) string { return onOff(rs.InhibitOnFailure) }},
	{[]string{"uthreshold"}, func(rs *config.RealServer) string { return fmt.Sprint(rs.UpperThreshold) }},
	{[]string{"lthreshold"}, func(rs *config.RealServer) string { return fmt.Sprint(rs.LowerThreshold) }},
}

func onOff(b bool) string { return either(b, "on", "off") }

// inSeconds writes whole seconds as the file does.
func inSeconds(d interface{ Seconds() float64 }) string { return fmt.Sprintf("%g", d.Seconds()) }

// differ reports each property that two blocks have differently; what names the
// block.
func differ[T any](c *pairChecker, what string, props []property[T], a, b T, atA, atB finding.Place) {
	for _, p := range props {
		va, vb := p.value(a), p.value(b)
		if va != vb {
			c.report(c.b, c.b.at(atB, p.keywords...), fmt.Sprintf("%s: %s %s, but %s on %s: clients are served differently after a failover", what, p.keywords[0], vb, va, c.a.Name),
				c.a.cite(atA, p.keywords...), "the same on both nodes")
		}
	}
}

func pairServiceDiffers(c *pairChecker) {
	c.eachService(func(a, b *config.VirtualServer) {
		differ(c, "virtual_server "+b.Name, serviceProperties, a, b, a.Where, b.Where)
	})
}

// realServer finds the server of the same address and port.
func realServer(vs *config.VirtualServer, like *config.RealServer) *config.RealServer {
	for _, rs := range vs.RealServers {
		if rs.Addr == like.Addr && rs.Port == like.Port {
			return rs
		}
	}
	return nil
}

// pairServerMissing: one node does not use a server that the other does.
func pairServerMissing(c *pairChecker) {
	lacks := func(n, other *node, mine, theirs *config.VirtualServer) {
		for _, rs := range theirs.RealServers {
			if realServer(mine, rs) == nil {
				c.report(n, mine.Where, fmt.Sprintf("virtual_server %s has no real_server %s %d, as %s has: it gets no traffic while %s is MASTER, and its connections end with the failover", mine.Name, rs.Addr, rs.Port, other.Name, n.Name),
					fmt.Sprintf("%s: real_server %s %d", rs.Where, rs.Addr, rs.Port), "the same real_servers on both nodes")
			}
		}
	}
	c.eachService(func(a, b *config.VirtualServer) {
		lacks(c.a, c.b, a, b)
		lacks(c.b, c.a, b, a)
	})
}

// eachServer calls fn for each real server that both nodes have.
func (c *pairChecker) eachServer(fn func(what string, a, b *config.RealServer)) {
	c.eachService(func(va, vb *config.VirtualServer) {
		for _, b := range vb.RealServers {
			if a := realServer(va, b); a != nil {
				fn(fmt.Sprintf("virtual_server %s, real_server %s %d", vb.Name, b.Addr, b.Port), a, b)
			}
		}
	})
}

func pairServerDiffers(c *pairChecker) {
	c.eachServer(func(what string, a, b *config.RealServer) {
		differ(c, what, serverProperties, a, b, a.Where, b.Where)
	})
}

// pairCheckDiffers: the nodes do not agree on when a server is dead.
func pairCheckDiffers(c *pairChecker) {
	lacks := func(n, other *node, what string, mine, theirs *config.RealServer) {
		have := checkKinds(mine)
		for _, ch := range theirs.Checkers {
			if have[ch.Kind]--; have[ch.Kind] < 0 {
				c.report(n, mine.Where, fmt.Sprintf("%s has no %s, as %s has: a server that only this check finds dead stays in use while %s is MASTER", what, ch.Kind, other.Name, n.Name),
					fmt.Sprintf("%s: %s", ch.Where, ch.Kind), "the same checks on both nodes")
			}
		}
	}
	c.eachServer(func(what string, a, b *config.RealServer) {
		lacks(c.a, c.b, what, a, b)
		lacks(c.b, c.a, what, b, a)
	})
}

func checkKinds(rs *config.RealServer) map[config.CheckerKind]int {
	m := map[config.CheckerKind]int{}
	for _, ch := range rs.Checkers {
		m[ch.Kind]++
	}
	return m
}
