package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
)

// pairPeers: a node that is not in the other's list hears nothing from it. It
// can be told only where the node names its own address.
func pairPeers(c *pairChecker) {
	c.eachSide(func(s, other side) {
		own := other.in.SourceAddr
		if len(s.in.Peers) == 0 || len(other.in.Peers) == 0 || !own.IsValid() || own == s.in.SourceAddr {
			return
		}
		if slices.ContainsFunc(s.in.Peers, func(p config.Peer) bool { return p.Addr == own }) {
			return
		}
		c.report(s.node, s.at(s.in.Where, "unicast_peer"), fmt.Sprintf("vrrp_instance %s: the unicast_peer list lacks %s, the address of %s, which hears nothing from %s and is MASTER beside it", s.in.Name, own, other.Name, s.Name),
			other.cite(other.in.Where, "unicast_src_ip", "mcast_src_ip"), "add "+own.String()+": every node lists all others")
	})
}

// pairSourceAddress: one address on two hosts.
func pairSourceAddress(c *pairChecker) {
	c.each(func(a, b side) {
		if src := b.in.SourceAddr; src.IsValid() && src == a.in.SourceAddr {
			c.report(b.node, b.at(b.in.Where, "unicast_src_ip", "mcast_src_ip"), fmt.Sprintf("vrrp_instance %s: adverts from %s, which is the address of %s too: a host drops what comes in from its own address, so the node that has it is MASTER beside the other", b.in.Name, src, a.Name),
				a.cite(a.in.Where, "unicast_src_ip", "mcast_src_ip"), "the node's own address on each")
		}
	})
}

// pairAddresses: keepalived up to 2.2.7 and kaname drop an advert with other
// addresses than their own.
func pairAddresses(c *pairChecker) {
	c.each(func(a, b side) {
		if a.in.VRID != b.in.VRID || inet6(a.in) != inet6(b.in) {
			return // said already
		}
		if d := onlyOnOne(a, b, a.in.Addresses, b.in.Addresses); d != "" {
			c.report(b.node, b.at(b.in.Where, "virtual_ipaddress"), fmt.Sprintf("vrrp_instance %s: %s: an advert with other addresses is dropped, and both nodes are MASTER at once", b.in.Name, d),
				a.cite(a.in.Where, "virtual_ipaddress"), "the same virtual_ipaddress on all nodes; while it is changed, change the backup first")
		}
	})
}

// onlyOnOne lists addresses that one node has and the other lacks.
func onlyOnOne(a, b side, la, lb []config.Address) string {
	var parts []string
	lacks := func(name string, have, than []config.Address) {
		var ips []string
		for _, x := range than {
			if !hasAddress(have, x.Prefix.Addr()) {
				ips = append(ips, x.Prefix.Addr().String())
			}
		}
		if len(ips) > 0 {
			parts = append(parts, name+" lacks "+strings.Join(ips, ", "))
		}
	}
	lacks(b.Name, lb, la)
	lacks(a.Name, la, lb)
	return strings.Join(parts, "; ")
}

// pairExcludedAddresses: addresses that adverts do not carry go missing with a
// failover.
func pairExcludedAddresses(c *pairChecker) {
	c.each(func(a, b side) {
		if d := onlyOnOne(a, b, a.in.Excluded, b.in.Excluded); d != "" {
			c.report(b.node, b.at(b.in.Where, "virtual_ipaddress_excluded"), fmt.Sprintf("vrrp_instance %s: excluded addresses: %s: they are gone while that node is MASTER, and nothing tells", b.in.Name, d),
				a.cite(a.in.Where, "virtual_ipaddress_excluded"), "the same addresses on all nodes")
		}
	})
}

// pairPrefix: the address changes its network with the MASTER.
func pairPrefix(c *pairChecker) {
	c.each(func(a, b side) {
		for _, y := range b.in.Addresses {
			for _, x := range a.in.Addresses {
				if x.Prefix.Addr() == y.Prefix.Addr() && x.Prefix.Bits() != y.Prefix.Bits() {
					c.report(b.node, y.Where, fmt.Sprintf("vrrp_instance %s: %s here, %s on %s: the host's routes change with the MASTER", b.in.Name, y.Prefix, x.Prefix, a.Name),
						x.Where.String()+": "+x.Prefix.String(), "the same prefix length on all nodes")
				}
			}
		}
	})
}
