package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// finishServers settles what depends on whole virtual servers.
func (b *builder) finishServers() {
	seen := map[serviceKey]Where{}
	for _, vs := range b.servers {
		if !b.finishGroup(vs) || !b.finishService(vs) {
			continue
		}
		b.finishSchedule(vs)
		b.finishPersistence(vs)
		b.finishDefaults(vs)
		b.finishReal(vs)
		b.finishSorry(vs)
		b.finishQuorum(vs)
		b.finishEndpoints(vs, seen)
		b.cfg.VirtualServers = append(b.cfg.VirtualServers, vs.VirtualServer)
	}
}

// finishGroup resolves the group. It returns false when there is nothing to
// serve, so that keepalived drops the virtual server too.
func (b *builder) finishGroup(vs *virtualServer) bool {
	if vs.Group == "" {
		return true
	}
	g := b.groups[vs.Group]
	if g == nil {
		what := fmt.Sprintf("there is no virtual_server_group %s; the virtual_server is left out", vs.Group)
		fix := "virtual_server_group " + vs.Group + " { IP PORT }"
		if s := nearestName(b, b.groups, vs.Group); s != "" {
			what += "; did you mean " + s + "?"
			fix = "virtual_server group " + s
		}
		b.warn("unknown-group", vs.at, what, fix)
		return false
	}
	if b.nServed += len(g.endpoints); b.nServed > maxServed {
		b.report(finding.Error, "group-too-large", vs.at, fmt.Sprintf("virtual servers of groups serve more than %d addresses; this one is left out", maxServed), "fewer, or smaller groups")
		return false
	}
	vs.Endpoints = slices.Clone(g.endpoints)
	switch {
	case len(vs.Endpoints) == 0:
		b.warn("empty-group", vs.at, fmt.Sprintf("virtual_server_group %s has no usable entry; the virtual_server is left out", vs.Group), "virtual_server_group "+vs.Group+" { IP PORT }")
		return false
	case vs.IPFamily == "" && mixedMark(vs.Endpoints):
		b.warn("group-family", vs.at, fmt.Sprintf("virtual_server_group %s holds IPv4, IPv6 and a fwmark without a family; the virtual_server is left out", vs.Group), "fwmark N inet, or inet6")
		return false
	}
	return true
}

// mixedMark reports whether the family of a mark cannot be told.
func mixedMark(es []Endpoint) bool {
	var has [7]bool
	bare := false
	for _, e := range es {
		switch {
		case e.Addr.IsValid():
			has[family(e.Addr)] = true
		case e.Family == "":
			bare = true
		}
	}
	return has[4] && has[6] && bare
}

// marked reports whether firewall marks are served, and no address.
func (vs *virtualServer) marked() bool {
	return !slices.ContainsFunc(vs.Endpoints, func(e Endpoint) bool { return e.Addr.IsValid() })
}

// finishService settles what has to be given. It returns false when there is
// no real server.
func (b *builder) finishService(vs *virtualServer) bool {
	if len(vs.servers) == 0 {
		b.warn("no-real-server", vs.at, fmt.Sprintf("virtual_server %s has no real_server and is left out", vs.Name), "real_server IP PORT { ... }")
		return false
	}
	switch {
	case vs.marked():
		if vs.given("protocol") {
			b.warn("protocol-of-mark", vs.where("protocol"), fmt.Sprintf("virtual_server %s takes packets of any protocol by their mark; protocol is ignored", vs.Name), "remove the line")
		}
		vs.Protocol = 0
	case !vs.given("protocol"):
		b.warn("no-protocol", vs.at, fmt.Sprintf("virtual_server %s has no protocol and balances UDP", vs.Name), "protocol TCP")
	}
	if !vs.given("lb_kind", "lvs_method") {
		b.warn("no-method", vs.at, fmt.Sprintf("virtual_server %s has no lb_kind and forwards by NAT", vs.Name), "lb_kind NAT")
	}
	if !vs.given("lb_algo", "lvs_sched") {
		b.warn("no-scheduler", vs.at, fmt.Sprintf("virtual_server %s has no lb_algo and schedules by wlc", vs.Name), "lb_algo wlc")
	}
	if vs.Protocol == lvs.SCTP {
		b.leaveOut(vs, vs.where("protocol"), "protocol SCTP")
	}
	return true
}

// finishSchedule settles scheduler and method, and the flags that do not fit.
func (b *builder) finishSchedule(vs *virtualServer) {
	if !vs.Scheduler.Supported() {
		b.substitute(vs)
	}
	if vs.Scheduler != lvs.SH && vs.Scheduler != lvs.MH {
		vs.SchedulerFlags = 0
	}
	if vs.Method == lvs.TUN {
		b.leaveOut(vs, vs.where("lb_kind", "lvs_method"), "forwarding by TUN")
	}
	if vs.OnePacket && vs.Protocol != lvs.UDP && !vs.marked() {
		b.warn("ops-without-udp", vs.where("ops"), fmt.Sprintf("virtual_server %s: ops is for UDP, not %s, and is switched off", vs.Name, vs.Protocol), "remove the line")
		vs.OnePacket = false
	}
	switch {
	case !vs.HASuspend:
	case vs.FWMark != 0:
		b.warn("ha-suspend-without-address", vs.where("ha_suspend"), fmt.Sprintf("virtual_server %s has no address that could be on this host; ha_suspend is switched off", vs.Name), "remove the line")
		vs.HASuspend = false
	case vs.Group != "":
		b.warn("ha-suspend-of-group", vs.where("ha_suspend"), fmt.Sprintf("virtual_server %s: keepalived never finds the addresses of a group on this host, so with ha_suspend its checkers would never run", vs.Name), "remove the line")
	}
}

// substitute uses wlc for the schedulers that spread over all servers too.
// The others choose servers by a rule that wlc would break.
func (b *builder) substitute(vs *virtualServer) {
	switch vs.Scheduler {
	case lvs.SED, lvs.NQ, lvs.TWOS:
		if vs.NotRun != "" {
			return
		}
		b.warn("not-supported", vs.where("lb_algo", "lvs_sched"), fmt.Sprintf("not supported yet: scheduler %s; virtual_server %s uses wlc", vs.Scheduler, vs.Name), "lb_algo wlc")
		vs.Scheduler = lvs.WLC
	default:
		b.leaveOut(vs, vs.where("lb_algo", "lvs_sched"), "scheduler "+string(vs.Scheduler))
	}
}

// finishPersistence: a service of all ports needs it, because connections of a
// client to different ports have to reach the same server.
func (b *builder) finishPersistence(vs *virtualServer) {
	all := slices.ContainsFunc(vs.Endpoints, func(e Endpoint) bool { return e.Addr.IsValid() && e.Port == 0 })
	if all && vs.PersistenceTimeout == 0 {
		b.warn("port-without-persistence", vs.at, fmt.Sprintf("virtual_server %s serves all ports, which only works with persistence; persistence_timeout 360 is used", vs.Name), "persistence_timeout 360, or a port")
		vs.PersistenceTimeout = defaultPersistence
	}
}

// finishDefaults fills in what servers and checkers inherit.
func (b *builder) finishDefaults(vs *virtualServer) {
	v, i := vs.VirtualServer, vs.inherit
	v.DelayLoop = get(i.DelayLoop, defaultDelayLoop)
	v.Warmup = get(i.Warmup, v.DelayLoop)
	v.ConnectTimeout = get(i.ConnectTimeout, 5*time.Second)
	v.DelayBeforeRetry = get(i.DelayBeforeRetry, 0)
	v.Retry = get(i.Retry, 0)
	v.SMTPAlert = get(cmp.Or(vs.SMTPAlert, b.alerts()), false)
}

// alerts is what global_defs says about mails for servers, nil for nothing.
func (b *builder) alerts() *bool {
	return cmp.Or(b.cfg.Global.Mail.AlertChecker, b.cfg.Global.Mail.Alert)
}

// finishReal fills in what real servers and checkers inherit.
func (b *builder) finishReal(vs *virtualServer) {
	for _, rs := range vs.servers {
		r := rs.RealServer
		r.Weight, r.Method = get(rs.Weight, vs.Weight), vs.Method
		if rs.method != nil {
			r.Method = *rs.method
		} else {
			r.Tunnel = vs.Tunnel
		}
		b.realNotRun(vs, rs)
		b.realPort(vs, rs)
		all := rs.inherit.over(vs.inherit)
		r.InhibitOnFailure, r.Alpha = get(all.Inhibit, false), get(all.Alpha, false)
		r.SMTPAlert = get(cmp.Or(rs.SMTPAlert, b.alerts()), true)
		for _, c := range rs.checkers {
			b.finishChecker(vs, rs, c, all)
			r.Checkers = append(r.Checkers, c.Checker)
		}
		vs.RealServers = append(vs.RealServers, r)
	}
	if vs.NotRun == "" && !slices.ContainsFunc(vs.RealServers, func(rs *RealServer) bool { return rs.NotRun == "" }) {
		b.leaveOut(vs, vs.at, "a virtual_server of which no real_server runs")
	}
}

// realNotRun reports a server that kaname cannot use in a service that runs.
func (b *builder) realNotRun(vs *virtualServer, rs *realServer) {
	what := ""
	switch {
	case rs.Method == lvs.TUN:
		what = "forwarding by TUN"
	case !rs.Addr.Is4():
		what = "IPv6"
	default:
		return
	}
	rs.NotRun = what + " is not supported yet"
	if vs.NotRun == "" {
		b.warn("not-supported", rs.at, fmt.Sprintf("not supported yet: %s: real_server %s is left out", what, rs.Addr), "")
	}
}

// finishChecker resolves a checker's settings; outer are those of the real
// server over the virtual server.
func (b *builder) finishChecker(vs *virtualServer, rs *realServer, c *checker, outer inherit) {
	c.inherit.over(outer).resolve(c.Checker)
	c.LogAllFailures = get(c.LogAll, b.cfg.Global.CheckerLogAllFailures)
	switch c.Kind {
	case MiscCheck:
		c.Checker.MiscTimeout = get(c.MiscTimeout, vs.VirtualServer.DelayLoop)
		if c.User.Name != "" {
			c.Misc.User = c.User
		}
		return
	case FileCheck, BFDCheck:
		return
	case HTTPGet, SSLGet:
		finishHTTP(vs, rs, c)
	case SMTPCheck:
		c.HELOName = cmp.Or(c.HELOName, "smtpchecker.keepalived.org")
	case DNSCheck:
		c.DNSType = cmp.Or(c.DNSType, "SOA")
	case UDPCheck:
		b.replyLengths(c)
	}
	ip, port := c.target(), rs.Port
	if c.ConnectPort != 0 {
		port = uint16(c.ConnectPort)
	}
	c.ConnectTo = netip.AddrPortFrom(ip, port)
}

func (b *builder) replyLengths(c *checker) {
	if c.MinReply > c.MaxReply {
		b.warn("reply-never-fits", c.at, fmt.Sprintf("UDP_CHECK: min_reply_length %d is above max_reply_length %d: the check can never pass", c.MinReply, c.MaxReply), fmt.Sprintf("max_reply_length %d or more", c.MinReply))
	}
}

// finishQuorum lowers a quorum that can never be reached.
func (b *builder) finishQuorum(vs *virtualServer) {
	total := 0
	for _, rs := range vs.RealServers {
		total += rs.Weight
	}
	if total == 0 && len(vs.RealServers) > 0 {
		b.warn("quorum-lowered", vs.where("quorum"), fmt.Sprintf("virtual_server %s: the real servers have weight 0 in total, and quorum %d is never reached", vs.Name, vs.Quorum), "")
		return
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
