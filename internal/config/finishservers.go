package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// finishServers settles what depends on whole virtual servers.
func (b *builder) finishServers() {
	seen := map[lvs.ServiceKey]Where{}
	for _, vs := range b.servers {
		b.finishEndpoints(vs, seen)
		b.finishService(vs)
		if vs.leftOut {
			continue
		}
		b.finishReal(vs)
		b.finishSorry(vs)
		b.finishQuorum(vs)
		for _, e := range vs.Endpoints {
			seen[lvs.ServiceKey{Protocol: vs.Protocol, Addr: e.Addr, Port: e.Port}] = vs.Where
		}
		b.cfg.VirtualServers = append(b.cfg.VirtualServers, vs.VirtualServer)
	}
}

// finishEndpoints resolves the group and takes out what another virtual server
// has already or what is not built.
func (b *builder) finishEndpoints(vs *virtualServer, seen map[lvs.ServiceKey]Where) {
	if vs.Group != "" {
		g := b.groups[vs.Group]
		if g == nil {
			what := fmt.Sprintf("there is no virtual_server_group %s; the virtual_server is left out", vs.Group)
			fix := "virtual_server_group " + vs.Group + " { IP PORT }"
			if s := nearest(b.groups, vs.Group); s != "" {
				what += "; did you mean " + s + "?"
				fix = "virtual_server group " + s
			}
			b.warn("unknown-group", vs.at, what, fix)
			vs.leftOut = true
			return
		}
		vs.Endpoints = slices.Clone(g.endpoints)
	}
	if vs.leftOut {
		return
	}
	reported := false
	vs.Endpoints = slices.DeleteFunc(vs.Endpoints, func(e Endpoint) bool {
		if e.Port == 0 {
			b.warnAt("not-supported", e.Where, fmt.Sprintf("not supported yet: %s without port (all ports); the entry is left out", e.Addr), "")
			return true
		}
		first, dup := seen[lvs.ServiceKey{Protocol: vs.Protocol, Addr: e.Addr, Port: e.Port}]
		if dup && !reported {
			reported = true
			b.warn("duplicate-virtual-server", vs.at, fmt.Sprintf("virtual server %s %s %d exists already, at %s; it is left out here (keepalived lets the two fight)", vs.Protocol, e.Addr, e.Port, first), "merge the two blocks")
		}
		return dup
	})
	if len(vs.Endpoints) == 0 && !vs.leftOut {
		if vs.Group != "" && len(b.groups[vs.Group].endpoints) == 0 {
			b.warn("empty-group", vs.at, fmt.Sprintf("virtual_server_group %s has no usable entry; the virtual_server is left out", vs.Group), "")
		}
		vs.leftOut = true
	}
}

// finishService settles protocol, scheduler and method.
func (b *builder) finishService(vs *virtualServer) {
	if vs.leftOut {
		return
	}
	if len(vs.servers) == 0 {
		b.warn("no-real-server", vs.at, fmt.Sprintf("virtual_server %s has no real_server and is left out", vs.Name), "real_server IP PORT { ... }")
		vs.leftOut = true
		return
	}
	if !vs.given("protocol") {
		b.warn("no-protocol", vs.at, fmt.Sprintf("virtual_server %s has no protocol and balances UDP", vs.Name), "protocol TCP")
	}
	if !vs.given("lb_kind", "lvs_method") {
		b.warn("no-method", vs.at, fmt.Sprintf("virtual_server %s has no lb_kind and forwards by NAT", vs.Name), "lb_kind NAT")
	}
	if !vs.given("lb_algo", "lvs_sched") {
		b.warn("no-scheduler", vs.at, fmt.Sprintf("virtual_server %s has no lb_algo and schedules by wlc", vs.Name), "lb_algo wlc")
	}
	if !vs.Scheduler.Supported() {
		b.substitute(vs)
	}
	if vs.Scheduler != lvs.SH && vs.Scheduler != lvs.MH {
		vs.SchedulerFlags = 0
	}
	if vs.Method == lvs.TUN {
		b.leaveOut(vs, vs.where("lb_kind", "lvs_method"), "forwarding by TUN")
	}
}

// substitute uses wlc for the schedulers that spread over all servers too.
// The others choose servers by a rule that wlc would break.
func (b *builder) substitute(vs *virtualServer) {
	switch vs.Scheduler {
	case lvs.SED, lvs.NQ, lvs.TWOS:
		b.warn("not-supported", vs.where("lb_algo", "lvs_sched"), fmt.Sprintf("not supported yet: scheduler %s; virtual_server %s uses wlc", vs.Scheduler, vs.Name), "lb_algo wlc")
		vs.Scheduler = lvs.WLC
	default:
		b.leaveOut(vs, vs.where("lb_algo", "lvs_sched"), "scheduler "+string(vs.Scheduler))
	}
}

// servicePort returns the port that all endpoints share, false when they
// differ.
func (vs *virtualServer) servicePort() (uint16, bool) {
	for _, e := range vs.Endpoints[1:] {
		if e.Port != vs.Endpoints[0].Port {
			return 0, false
		}
	}
	return vs.Endpoints[0].Port, true
}

// finishReal fills in what real servers and checkers inherit.
func (b *builder) finishReal(vs *virtualServer) {
	i := vs.inherit
	vs.DelayLoop = get(i.delayLoop, 60*time.Second)
	vs.Warmup = get(i.warmup, vs.DelayLoop)
	vs.DelayBeforeRetry = get(i.delayBeforeRetry, 0)
	vs.Retry = get(i.retry, 0)
	for _, rs := range vs.servers {
		rs.Weight, rs.Method = vs.weight, vs.Method
		if rs.weight != nil {
			rs.Weight = *rs.weight
		}
		if rs.method != nil {
			rs.Method = *rs.method
		}
		if rs.Method == lvs.TUN {
			b.warn("not-supported", rs.at, fmt.Sprintf("not supported yet: forwarding by TUN: real_server %s is left out", rs.Addr), "")
			continue
		}
		b.realPort(vs, rs)
		all := rs.inherit.over(i)
		rs.InhibitOnFailure, rs.Alpha = get(all.inhibit, false), get(all.alpha, false)
		for _, c := range rs.checkers {
			b.finishChecker(vs, rs, c, c.inherit.over(all))
			rs.Checkers = append(rs.Checkers, c.Checker)
		}
		vs.RealServers = append(vs.RealServers, rs.RealServer)
	}
}

// realPort settles the real server's port: only NAT can change it.
func (b *builder) realPort(vs *virtualServer, rs *realServer) {
	port, same := vs.servicePort()
	switch {
	case rs.Port == 0 && same:
		rs.Port = port
	case rs.Method == lvs.NAT || !same:
	case rs.Port != port:
		b.warn("port-not-changed", rs.at, fmt.Sprintf("real_server %s: %s cannot change the port; %d is used, not %d", rs.Addr, rs.Method, port, rs.Port), fmt.Sprintf("real_server %s %d, or lb_kind NAT", rs.Addr, port))
		rs.Port = port
	}
}

// finishChecker resolves a checker's settings, all being checker over real
// server over virtual server.
func (b *builder) finishChecker(vs *virtualServer, rs *realServer, c *checker, all inherit) {
	retry, before := 1, time.Second
	switch c.Kind {
	case MiscCheck:
		retry = 0
	case HTTPGet:
		before = 3 * time.Second
	case TCPCheck:
	}
	c.DelayLoop = get(all.delayLoop, 60*time.Second)
	c.Warmup = get(all.warmup, c.DelayLoop)
	c.DelayBeforeRetry = get(all.delayBeforeRetry, before)
	c.Retry = get(all.retry, retry)
	c.Alpha = get(all.alpha, false)
	if c.Kind == MiscCheck {
		c.MiscTimeout = get(c.miscTimeout, vs.DelayLoop)
		return
	}
	c.ConnectTimeout = get(all.connectTimeout, 5*time.Second)
	ip, port := rs.Addr, rs.Port
	if c.connectIP.IsValid() {
		ip = c.connectIP
	}
	if c.connectPort != 0 {
		port = uint16(c.connectPort)
	}
	c.ConnectTo = netip.AddrPortFrom(ip, port)
	if c.Kind == HTTPGet {
		finishHTTP(vs, rs, c)
	}
}

func finishHTTP(vs *virtualServer, rs *realServer, c *checker) {
	if c.HTTPVersion == "" {
		c.HTTPVersion = "1.0"
	}
	for _, v := range []string{rs.VirtualHost, vs.VirtualHost} {
		if c.VirtualHost == "" {
			c.VirtualHost = v
		}
	}
	for i := range c.URLs {
		u := &c.URLs[i]
		if u.VirtualHost == "" {
			u.VirtualHost = c.VirtualHost
		}
		if len(u.Statuses) == 0 {
			u.Statuses = []StatusRange{{200, 299}}
		}
	}
}

func (b *builder) finishSorry(vs *virtualServer) {
	s := vs.sorry
	switch {
	case s == nil:
		return
	case s.Method == lvs.TUN || !s.Addr.Is4():
		b.warn("not-supported", s.at, "not supported yet: IPv6 or TUN for a sorry_server; it is left out", "")
		return
	}
	if port, same := vs.servicePort(); same && (s.Port == 0 || s.Method != lvs.NAT && s.Port != port) {
		if s.Port != 0 {
			b.warn("port-not-changed", s.at, fmt.Sprintf("sorry_server %s: %s cannot change the port; %d is used, not %d", s.Addr, s.Method, port, s.Port), fmt.Sprintf("sorry_server %s %d", s.Addr, port))
		}
		s.Port = port
	}
	vs.Sorry = s.SorryServer
}

// finishQuorum lowers a quorum that can never be reached.
func (b *builder) finishQuorum(vs *virtualServer) {
	total := 0
	for _, rs := range vs.RealServers {
		total += rs.Weight
	}
	if vs.Quorum > total && total > 0 {
		b.warn("quorum-lowered", vs.where("quorum"), fmt.Sprintf("virtual_server %s: quorum %d is above the total weight %d and is lowered to it, so that one server down loses it", vs.Name, vs.Quorum, total), "quorum 1")
		vs.Quorum = total
	}
	if vs.Hysteresis >= vs.Quorum {
		b.warn("hysteresis-lowered", vs.where("hysteresis"), fmt.Sprintf("virtual_server %s: hysteresis %d must be below quorum %d and is lowered to %d", vs.Name, vs.Hysteresis, vs.Quorum, vs.Quorum-1), fmt.Sprintf("hysteresis %d", vs.Quorum-1))
		vs.Hysteresis = vs.Quorum - 1
	}
}
