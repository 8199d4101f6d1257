package lint

import (
	"fmt"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var hostServiceRules = []hostRule{
	{"host-port-taken", finding.Note, hostPortTaken},
	{"host-is-real-server", finding.Warning, hostIsRealServer},
	{"host-real-server-unreachable", finding.Warning, hostRealServerUnreachable},
	{"host-real-server-routed", finding.Warning, hostRealServerRouted},
	{"host-nat-routed", finding.Note, hostNATRouted},
}

func usesNAT(vs *config.VirtualServer) bool {
	for _, rs := range vs.RealServers {
		if rs.Method == lvs.NAT {
			return true
		}
	}
	return false
}

// hostPortTaken: a program of this host stands behind the virtual address.
func hostPortTaken(c *hostChecker) {
	for _, vs := range c.cfg.VirtualServers {
		for _, e := range vs.Endpoints {
			for _, l := range c.host.Listeners {
				if l.Proto == protocolName(vs.Protocol) && l.Addr.Port() == e.Port && bindsTo(l.Addr.Addr(), e.Addr) {
					c.reportFor(e.Where, fmt.Sprintf("virtual_server %s: %s listens on %s here: when this node has the address and does not balance (before the dataplane is up, or under kernel IPVS with no server left), clients reach it instead of a refusal", vs.Name, listenerName(l), l.Addr),
						fmt.Sprintf("%s socket %s", l.Proto, l.Addr), "bind it to the host's own address")
					break
				}
			}
		}
	}
}

func protocolName(p lvs.Protocol) string {
	switch p {
	case lvs.TCP:
		return "tcp"
	case lvs.UDP:
		return "udp"
	}
	return ""
}

// bindsTo reports whether a socket bound to an address takes packets to another.
func bindsTo(bound, to netip.Addr) bool {
	return bound.Unmap() == to || bound.IsUnspecified() && (bound.Is6() || to.Is4())
}

func listenerName(l Listener) string {
	if l.Process == "" {
		return "a program"
	}
	return l.Process
}

// servers calls fn for each real server that the host was asked about.
func (c *hostChecker) servers(fn func(vs *config.VirtualServer, rs *config.RealServer, r HostRoute)) {
	for _, vs := range c.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			if r, asked := c.routes[rs.Addr]; asked {
				fn(vs, rs, r)
			}
		}
	}
}

// hostIsRealServer: a director among its own servers.
func hostIsRealServer(c *hostChecker) {
	c.servers(func(_ *config.VirtualServer, rs *config.RealServer, r HostRoute) {
		if r.Local {
			c.report(rs.Where, fmt.Sprintf("real_server %s is this host: packets to itself do not pass the dataplane, and when the other director sends it a connection it balances that again, in a loop", rs.Addr),
				"real servers of their own, or a sorry_server")
		}
	})
}

// hostRealServerUnreachable: there is no way to it.
func hostRealServerUnreachable(c *hostChecker) {
	c.servers(func(_ *config.VirtualServer, rs *config.RealServer, r HostRoute) {
		if !r.Local && r.Dev == "" {
			c.report(rs.Where, fmt.Sprintf("real_server %s: this host has no route to it: its checks fail, and it gets no traffic", rs.Addr), "ip route get "+rs.Addr.String()+" has to name an interface")
		}
	})
}

// hostRealServerRouted: DR changes the MAC address only, so the server must be
// on the segment.
func hostRealServerRouted(c *hostChecker) {
	c.servers(func(_ *config.VirtualServer, rs *config.RealServer, r HostRoute) {
		if rs.Method == lvs.DR && r.Via.IsValid() {
			c.reportFor(rs.Where, fmt.Sprintf("real_server %s: DR needs a server on the director's own segment; this one is behind the router %s, which sends the packet back to the director", rs.Addr, r.Via),
				fmt.Sprintf("%s via %s dev %s", rs.Addr, r.Via, r.Dev), "lb_kind TUN for servers behind a router, or NAT")
		}
	})
}

// hostNATRouted: the answer has to find its way back through the director.
func hostNATRouted(c *hostChecker) {
	c.servers(func(_ *config.VirtualServer, rs *config.RealServer, r HostRoute) {
		if rs.Method == lvs.NAT && r.Via.IsValid() {
			c.reportFor(rs.Where, fmt.Sprintf("real_server %s is behind the router %s: NAT works only if that router, too, sends the answers through this director", rs.Addr, r.Via),
				fmt.Sprintf("%s via %s dev %s", rs.Addr, r.Via, r.Dev), "servers on a network whose gateway is the director's virtual address")
		}
	})
}
