package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// forwardRules are about where servers and virtual addresses are, and whether
// the forwarding method gets a packet there and its answer back.
var forwardRules = []rule{
	{"direct-routing-off-segment", finding.Note, directRoutingOffSegment},
	{"nat-same-subnet", finding.Note, natSameSubnet},
	{"virtual-address-unknown", finding.Note, virtualAddressUnknown},
	{"tunnel-mtu", finding.Note, tunnelMTU},
}

// network is a network that the file puts the director into.
type network struct {
	netip.Prefix
	at config.Where
}

// networks are those of the addresses and on-link routes, each once.
func (c *checker) networks() []network {
	var all []network
	known := map[netip.Prefix]bool{}
	add := func(p netip.Prefix, at config.Where) {
		if p = p.Masked(); p.IsValid() && p.Bits() > 0 && !p.IsSingleIP() && !known[p] {
			known[p] = true
			all = append(all, network{p, at})
		}
	}
	for _, a := range c.addresses() {
		add(a.Prefix, a.Where)
	}
	routes := c.cfg.StaticRoutes
	for _, in := range c.cfg.Instances {
		routes = append(slices.Clone(routes), in.Routes...)
	}
	for _, r := range routes {
		if !r.Via.IsValid() && len(r.NextHops) == 0 {
			add(r.Dest, r.Where)
		}
	}
	return all
}

// directRoutingOffSegment: a frame to the server's MAC address reaches only the
// director's own segments. The addresses that its interfaces have otherwise are
// not in the file, so it speaks only where the file names a network.
func directRoutingOffSegment(c *checker) {
	nets := c.networks()
	if len(nets) == 0 {
		return
	}
	lonely := c.lonelyNetworks()
	for _, vs := range c.cfg.VirtualServers {
		var far []*config.RealServer
		for _, rs := range vs.RealServers {
			if rs.Method == lvs.DR && !rs.Addr.IsLoopback() && !lonely[likely(rs.Addr)] && !near(vs, rs.Addr, nets) {
				far = append(far, rs)
			}
		}
		if len(far) == 0 {
			continue
		}
		c.reportFor(far[0].Where, fmt.Sprintf("virtual_server %s: DR sends the frame to the server's MAC address, so the director needs an interface on the segment of %s; this file puts it into no network of them, and through a router nothing arrives", vs.Name, servers(far)),
			"the file's networks: "+listNetworks(nets), "servers on a segment of the director, or lb_kind TUN")
	}
}

// near reports whether a network that the file names, or that the virtual
// server is likely to be in, holds a server.
func near(vs *config.VirtualServer, server netip.Addr, nets []network) bool {
	return slices.ContainsFunc(nets, func(n network) bool { return n.Contains(server) || n.Addr().Is4() != server.Is4() }) ||
		slices.ContainsFunc(vs.Endpoints, func(e config.Endpoint) bool { return e.Addr.IsValid() && likely(e.Addr).Contains(server) })
}

// lonelyNetworks are those that the addresses without a network are likely to
// be in.
func (c *checker) lonelyNetworks() map[netip.Prefix]bool {
	all := map[netip.Prefix]bool{}
	for _, a := range c.addresses() {
		if a.Prefix.IsSingleIP() {
			all[likely(a.Prefix.Addr())] = true
		}
	}
	return all
}

// likely is the network that an address is usually in.
func likely(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// servers lists the addresses of real servers.
func servers(list []*config.RealServer) string {
	var s []string
	for _, rs := range list {
		s = append(s, rs.Addr.String())
	}
	return joined(few(s))
}

// few cuts a list that is too long to read.
func few(s []string) []string {
	if len(s) > 5 {
		return append(slices.Clone(s[:4]), fmt.Sprintf("%d more", len(s)-4))
	}
	return s
}

func listNetworks(nets []network) string {
	var s []string
	for _, n := range nets {
		s = append(s, fmt.Sprintf("%s (%s)", n.Prefix, n.at))
	}
	return strings.Join(few(s), ", ")
}

// natSameSubnet: clients of that subnet are answered directly by the server,
// past the director that has to put the virtual address back.
func natSameSubnet(c *checker) {
	vips := map[netip.Addr]config.Address{}
	for _, a := range c.addresses() {
		if !a.Prefix.IsSingleIP() {
			vips[a.Prefix.Addr()] = a
		}
	}
	for _, vs := range c.cfg.VirtualServers {
		for _, e := range vs.Endpoints {
			if a, ok := vips[e.Addr]; ok && c.natInside(vs, a) {
				break
			}
		}
	}
}

// natInside reports the servers of vs that are in the network of its address a.
func (c *checker) natInside(vs *config.VirtualServer, a config.Address) bool {
	var inside []*config.RealServer
	for _, rs := range vs.RealServers {
		if rs.Method == lvs.NAT && a.Prefix.Contains(rs.Addr) && rs.Addr != a.Prefix.Addr() {
			inside = append(inside, rs)
		}
	}
	if len(inside) == 0 {
		return false
	}
	c.reportFor(inside[0].Where, fmt.Sprintf("virtual_server %s: NAT with %s in the virtual address's own network %s: a client in that network is answered by the server directly, past the director, and drops the answer, which comes from an address that it never asked", vs.Name, servers(inside), a.Prefix.Masked()),
		fmt.Sprintf("virtual address at %s", a.Where), "servers in a network of their own with the director as gateway, or lb_kind DR")
	return true
}

// virtualAddressUnknown: nothing here puts the address on the host.
func virtualAddressUnknown(c *checker) {
	vips := c.virtualAddresses()
	if len(vips) == 0 {
		return
	}
	all := listAddresses(vips)
	seen := map[config.Where]bool{} // ranges of groups are one line
	for _, vs := range c.cfg.VirtualServers {
		for _, e := range vs.Endpoints {
			if _, ok := vips[e.Addr]; ok || !e.Addr.IsValid() || seen[e.Where] {
				continue
			}
			seen[e.Where] = true
			c.reportFor(e.Where, fmt.Sprintf("%s is a virtual address of no vrrp_instance: no packet comes here for it unless the host has it otherwise, and then it does not move with VRRP", e.Addr),
				"the file's virtual addresses: "+all, fmt.Sprintf("virtual_ipaddress { %s }, or the address that was meant", e.Addr))
		}
	}
}

func listAddresses(vips map[netip.Addr]config.Where) string {
	var as []netip.Addr
	for a := range vips {
		as = append(as, a)
	}
	slices.SortFunc(as, netip.Addr.Compare)
	var s []string
	for _, a := range as {
		s = append(s, a.String())
	}
	return strings.Join(few(s), ", ")
}

// overhead is what a tunnel puts in front of a packet, in bytes.
var overhead = map[string]int{"": 20, "ipip": 20, "gre": 24, "gue": 32}

// tunnelMTU: the packet that fills the client's segment does not fit into the
// tunnel.
func tunnelMTU(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		i := slices.IndexFunc(vs.RealServers, func(rs *config.RealServer) bool { return rs.Method == lvs.TUN })
		if i < 0 {
			continue
		}
		rs := vs.RealServers[i]
		at, own := c.line(rs.Where, "lvs_method")
		if !own {
			at, _ = c.line(vs.Where, "lb_kind", "lvs_method")
		}
		more := overhead[rs.Tunnel.Type]
		if rs.Addr.Is6() {
			more += 20
		}
		c.report(at, fmt.Sprintf("virtual_server %s: a tunnel adds %d bytes to each packet, so a client's packet of 1500 bytes does not fit a path of MTU 1500: small requests work, uploads and long headers stall where ICMP \"fragmentation needed\" is filtered on the way to the client", vs.Name, more),
			fmt.Sprintf("MTU %d or more between director and servers, or an MSS of %d on the servers", 1500+more, 1500-more-40))
	}
}
