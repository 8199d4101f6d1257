package lint

import (
	"fmt"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// scheduleRules are about which server a connection gets.
var scheduleRules = []rule{
	{"idle-connections-count", finding.Note, idleConnectionsCount},
	{"hash-without-fallback", finding.Warning, hashWithoutFallback},
	{"one-address-one-server", finding.Note, oneAddressOneServer},
}

// webPorts are those where browsers keep connections open.
var webPorts = []uint16{80, 443, 8080, 8443}

// idleConnectionsCount: a connection counts as load while it is open, also when
// nothing moves on it.
func idleConnectionsCount(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		algo := keyword(c.block(vs.Where), "lb_algo", "lvs_sched")
		least := vs.Scheduler == lvs.LC || vs.Scheduler == lvs.WLC
		web := slices.ContainsFunc(vs.Endpoints, func(e config.Endpoint) bool { return slices.Contains(webPorts, e.Port) })
		if algo == nil || !least || !web || vs.Protocol != lvs.TCP || len(vs.RealServers) < 2 {
			continue
		}
		blind := slices.IndexFunc(vs.RealServers, func(rs *config.RealServer) bool { return blindCheck(rs) != "" })
		if blind < 0 {
			continue
		}
		rs := vs.RealServers[blind]
		c.reportFor(algo.Pos().Place(), fmt.Sprintf("virtual_server %s: %s counts a connection as load while it is open, and a browser keeps idle ones open: with few clients every new connection goes to the server without them; if that one passes its check but does not answer, nobody else gets through", vs.Name, vs.Scheduler),
			fmt.Sprintf("real_server %s at %s: %s", rs.Addr, rs.Where, blindCheck(rs)), algo.Keyword()+" "+plainScheduler(vs))
	}
}

// plainScheduler does not look at connections.
func plainScheduler(vs *config.VirtualServer) string {
	for _, rs := range vs.RealServers {
		if rs.Weight != vs.RealServers[0].Weight {
			return "wrr"
		}
	}
	return "rr"
}

// blindCheck says what the server's checks do not see, "" when they ask what a
// client asks.
func blindCheck(rs *config.RealServer) string {
	asks := slices.ContainsFunc(rs.Checkers, func(ch *config.Checker) bool {
		return ch.Kind == config.HTTPGet || ch.Kind == config.SSLGet || ch.Kind == config.MiscCheck
	})
	switch {
	case len(rs.Checkers) == 0:
		return "no check sees whether it answers"
	case !asks:
		return "its check only connects, and does not see whether it answers"
	case rs.Method == lvs.DR || rs.Method == lvs.TUN:
		return fmt.Sprintf("its check asks the server's own address, and with %s does not see whether it answers for the virtual one", rs.Method)
	}
	return ""
}

// hashWithoutFallback: the place in the hash table stays the server's while it
// takes nothing.
func hashWithoutFallback(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		hash := vs.Scheduler == lvs.SH || vs.Scheduler == lvs.MH || vs.Scheduler == lvs.DH
		if !hash || vs.SchedulerFlags&lvs.SchedFallback != 0 || len(vs.RealServers) < 2 {
			continue
		}
		fix := fmt.Sprintf("%s-fallback after lb_algo %s", vs.Scheduler, vs.Scheduler)
		if vs.Scheduler == lvs.DH {
			fix = "lb_algo sh with sh-fallback"
		}
		c.hashedToNobody(vs, fix)
		c.hashedToInhibited(vs, fix)
	}
}

// hashedToNobody: sh and dh give a server of weight 0 a part of the table.
func (c *checker) hashedToNobody(vs *config.VirtualServer, fix string) {
	for _, rs := range vs.RealServers {
		if rs.Weight == 0 && vs.Scheduler != lvs.MH && !sets(rs) {
			at, _ := c.line(rs.Where, "weight")
			c.report(at, fmt.Sprintf("real_server %s has weight 0 and still its part of the clients by %s: about 1 in %d of them is refused, as the scheduler takes no other server for them", rs.Addr, vs.Scheduler, hashShare(vs)), fix+", or remove the server")
		}
	}
}

// hashedToInhibited speaks once for each line that says inhibit_on_failure.
func (c *checker) hashedToInhibited(vs *config.VirtualServer, fix string) {
	said := map[finding.Place]bool{}
	for _, rs := range vs.RealServers {
		at, own := c.line(rs.Where, "inhibit_on_failure")
		if !own {
			at, _ = c.line(vs.Where, "inhibit_on_failure")
		}
		if rs.InhibitOnFailure && rs.Weight > 0 && len(rs.Checkers) > 0 && !said[at] {
			said[at] = true
			c.report(at, fmt.Sprintf("inhibit_on_failure with %s: a server that fails keeps its part of the clients with weight 0, and they are refused until it is back, instead of going to another one", vs.Scheduler), fix+", or no inhibit_on_failure")
		}
	}
}

// hashShare is one part of how many a server of weight 0 has: it fills one
// bucket where the others fill as many as their weight says.
func hashShare(vs *config.VirtualServer) int {
	n := 0
	for _, rs := range vs.RealServers {
		n += max(rs.Weight, 1)
	}
	return n
}

// longPersistence is from where on a time-out outlasts the visit of a client.
const longPersistence = time.Hour

// oneAddressOneServer: who shares an address shares a server.
func oneAddressOneServer(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		if len(vs.RealServers) < 2 {
			continue
		}
		at, given := c.line(vs.Where, "persistence_granularity")
		if given && vs.PersistenceTimeout > 0 && coarse(vs) {
			c.report(at, fmt.Sprintf("virtual_server %s: all clients that share the first %d bits of their address are one client, and go to one server", vs.Name, vs.PersistenceGranularity), "no persistence_granularity, so that each address is a client")
			continue
		}
		if at, _ = c.line(vs.Where, "persistence_timeout"); vs.PersistenceTimeout >= longPersistence {
			c.report(at, fmt.Sprintf("virtual_server %s: a client address stays with its server until it was silent for %s: offices and mobile networks behind one NAT address are one client, and a server that comes back gets new clients only", vs.Name, duration(vs.PersistenceTimeout)), "a persistence_timeout as long as a session of the service needs")
		}
	}
}

// coarse reports whether the granularity makes one client of several addresses.
func coarse(vs *config.VirtualServer) bool {
	bits := 32
	if len(vs.Endpoints) > 0 && vs.Endpoints[0].Addr.Is6() {
		bits = 128
	}
	return vs.PersistenceGranularity > 0 && vs.PersistenceGranularity < bits
}

// duration is a time as people write it: whole units, no zeros behind.
func duration(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return countOf(int(d/time.Hour), "hour")
	case d >= time.Minute && d%time.Minute == 0:
		return countOf(int(d/time.Minute), "minute")
	}
	return d.String()
}
