package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

var hostNetworkRules = []hostRule{
	{"host-interface-missing", finding.Error, hostInterfaceMissing},
	{"host-interface-down", finding.Warning, hostInterfaceDown},
	{"host-interface-without-address", finding.Warning, hostInterfaceWithoutAddress},
	{"host-address-configured", finding.Warning, hostAddressConfigured},
	{"host-address-present", finding.Warning, hostAddressPresent},
	{"host-address-primary", finding.Warning, hostAddressPrimary},
	{"host-address-off-net", finding.Note, hostAddressOffNet},
	{"host-firewall", finding.Warning, hostFirewall},
	{"host-vmac-filtered", finding.Warning, hostVMACFiltered},
	{"host-arp-ignored", finding.Warning, hostARPIgnored},
	{"host-forwarding-off", finding.Warning, hostForwardingOff},
	{"host-ipv6-off", finding.Warning, hostIPv6Off},
	{"host-sync-interface", finding.Warning, hostSyncInterface},
}

// hostInterfaceMissing: the daemon does not start, and a reload is refused.
func hostInterfaceMissing(c *hostChecker) {
	if len(c.host.Interfaces) == 0 || c.cfg.Global.DynamicInterfaces != "" {
		return
	}
	seen := map[string]bool{"": true}
	want := func(at finding.Place, name, of string) {
		if !seen[name] && c.iface(name) == nil {
			seen[name] = true
			c.reportFor(at, fmt.Sprintf("%s: this host has no interface %s: the daemon does not start", of, name),
				"the host has "+strings.Join(c.interfaceNames(), ", "), "the name as `ip link` shows it, or dynamic_interfaces in global_defs if it comes later")
		}
	}
	for _, in := range c.cfg.Instances {
		of := "vrrp_instance " + in.Name
		want(in.InterfaceAt, in.Interface, of)
		for _, t := range in.TrackInterfaces {
			want(t.Where, t.Name, of)
		}
	}
	c.virtual(func(in *config.Instance, a config.Address) { want(a.Where, a.Dev, "vrrp_instance "+in.Name) })
	for _, g := range c.cfg.SyncGroups {
		for _, t := range g.TrackInterfaces {
			want(t.Where, t.Name, "vrrp_sync_group "+g.Name)
		}
	}
	for _, name := range c.cfg.Kaname.Interfaces {
		want(c.keyword(c.cfg.Kaname.Where, "interfaces"), name, "interfaces of the dataplane")
	}
}

func (c *hostChecker) interfaceNames() []string {
	var names []string
	for _, i := range c.host.Interfaces {
		names = append(names, i.Name)
	}
	return names
}

// own calls fn for each instance whose interface the host has.
func (c *hostChecker) own(fn func(in *config.Instance, i *HostInterface)) {
	for _, in := range c.cfg.Instances {
		if i := c.iface(in.Interface); i != nil {
			fn(in, i)
		}
	}
}

// hostInterfaceDown: the instance is in FAULT.
func hostInterfaceDown(c *hostChecker) {
	c.own(func(in *config.Instance, i *HostInterface) {
		if !i.Up && !in.DontTrackPrimary {
			c.report(in.InterfaceAt, fmt.Sprintf("vrrp_instance %s: %s is down or has no carrier: the instance is in FAULT until it is up", in.Name, i.Name), "ip link set "+i.Name+" up, or the cable")
		}
	})
}

// hostInterfaceWithoutAddress: adverts need a source address.
func hostInterfaceWithoutAddress(c *hostChecker) {
	c.own(func(in *config.Instance, i *HostInterface) {
		v6 := inet6(in)
		fits := slices.ContainsFunc(i.Addresses, func(a HostAddress) bool {
			ip := a.Prefix.Addr()
			return !c.isVirtual(ip) && ip.Is6() == v6 && (!v6 || ip.IsLinkLocalUnicast() || in.SourceAddr.IsValid())
		})
		if fits {
			return
		}
		kind := "IPv4"
		if v6 {
			kind = "IPv6 link-local"
		}
		c.report(in.InterfaceAt, fmt.Sprintf("vrrp_instance %s: %s has no %s address of its own to send adverts from: the instance is in FAULT", in.Name, i.Name, kind), "an address for the interface in the system's network configuration")
	})
}

// isVirtual reports whether an address is one that VRRP moves. The owner's is
// the host's own too.
func (c *hostChecker) isVirtual(ip netip.Addr) bool {
	found := false
	c.virtual(func(in *config.Instance, a config.Address) {
		found = found || a.Prefix.Addr() == ip && in.Priority != 255
	})
	return found
}

// hostAddressConfigured: the system puts the address on at boot, MASTER or not.
func hostAddressConfigured(c *hostChecker) {
	c.virtual(func(in *config.Instance, a config.Address) {
		for _, s := range c.host.Configured {
			if s.Addr == a.Prefix.Addr() && in.Priority != 255 {
				c.reportFor(a.Where, fmt.Sprintf("vrrp_instance %s: %s stands in the system's network configuration too: the host has it after a boot or a change of the network, MASTER or not, so that two hosts answer for it", in.Name, s.Addr),
					fmt.Sprintf("%s:%d", s.File, s.Line), "remove it there")
			}
		}
	})
}

// present finds an address on the host that no daemon of ours put there.
func (c *hostChecker) present(ip netip.Addr) (iface string, first bool) {
	for _, i := range c.host.Interfaces {
		n := 0 // of the same family
		for _, a := range i.Addresses {
			if a.Prefix.Addr() == ip && !a.Ours {
				return i.Name, n == 0
			}
			if a.Prefix.Addr().Is4() == ip.Is4() {
				n++
			}
		}
	}
	return "", false
}

// hostAddressPresent: somebody else's, or left behind.
func hostAddressPresent(c *hostChecker) {
	if c.running() {
		return // it is theirs
	}
	c.virtual(func(in *config.Instance, a config.Address) {
		ip := a.Prefix.Addr()
		if iface, first := c.present(ip); iface != "" && !first && in.Priority != 255 {
			c.reportFor(a.Where, fmt.Sprintf("vrrp_instance %s: %s is on this host although no VRRP daemon runs: put there by the system or by hand, or left behind by a daemon that was killed; the other node's clients may reach this host", in.Name, ip),
				fmt.Sprintf("%s has %s", iface, ip), fmt.Sprintf("ip address del %s dev %s", a.Prefix, iface))
		}
	})
}

// hostAddressPrimary: with the address goes what the host itself is reached at.
func hostAddressPrimary(c *hostChecker) {
	if c.running() {
		return
	}
	c.virtual(func(in *config.Instance, a config.Address) {
		ip := a.Prefix.Addr()
		if iface, first := c.present(ip); iface != "" && first && in.Priority != 255 {
			c.reportFor(a.Where, fmt.Sprintf("vrrp_instance %s: %s is %s's first address, the host's own: the daemon removes it at its start, and with it the other addresses of that network", in.Name, ip, iface),
				fmt.Sprintf("%s has %s", iface, ip), "an address that no host has as its own; the owner of an address has priority 255")
		}
	})
}

// hostAddressOffNet: neighbours of the interface do not ask for it by ARP.
func hostAddressOffNet(c *hostChecker) {
	c.virtual(func(in *config.Instance, a config.Address) {
		i := c.iface(a.Dev)
		if i == nil {
			return
		}
		ip, inside, nets := a.Prefix.Addr(), false, 0
		for _, h := range i.Addresses {
			if h.Prefix.Addr().Is4() != ip.Is4() || h.Prefix.Addr().IsLinkLocalUnicast() || h.Prefix.Addr() == ip {
				continue
			}
			nets++
			inside = inside || h.Prefix.Contains(ip) || a.Prefix.Contains(h.Prefix.Addr())
		}
		if nets > 0 && !inside {
			c.reportFor(a.Where, fmt.Sprintf("vrrp_instance %s: %s is in no network of %s: routers reach it only if they have a route to it over this segment", in.Name, ip, i.Name),
				i.Name+" has "+prefixes(i), "an address of the segment, or a route on the router")
		}
	})
}

func prefixes(i *HostInterface) string {
	var s []string
	for _, a := range i.Addresses {
		s = append(s, a.Prefix.String())
	}
	return strings.Join(s, ", ")
}

// hostFirewall: adverts of the other node do not come in.
func hostFirewall(c *hostChecker) {
	c.own(func(in *config.Instance, _ *HostInterface) {
		proto, number := "vrrp", "112"
		if in.Auth == config.AuthAH {
			proto, number = "ah", "51"
		}
		for _, v := range c.host.Firewall {
			if v.Dropped && v.Proto == proto && v.Dev == in.Interface {
				c.reportFor(in.InterfaceAt, fmt.Sprintf("vrrp_instance %s: this host's packet filter drops adverts (IP protocol %s) that come in by %s: it hears no MASTER and becomes one beside it", in.Name, number, in.Interface),
					v.By, fmt.Sprintf("accept IP protocol %s from the other node: nft add rule … ip protocol %s accept, or iptables -I INPUT -p %s -j ACCEPT", number, number, number))
			}
		}
	})
}

// hostVMACFiltered: the kernel takes the larger of all and the interface's own
// rp_filter, so that the 0 of the VMAC does not help.
func hostVMACFiltered(c *hostChecker) {
	if c.host.Sysctls["net.ipv4.conf.all.rp_filter"] != "1" {
		return
	}
	for _, in := range c.cfg.Instances {
		if in.VMAC != nil && !inet6(in) {
			c.reportFor(in.VMAC.Where, fmt.Sprintf("vrrp_instance %s: use_vmac with rp_filter 1 for all interfaces: packets to the virtual MAC address come in by another interface than the one that answers go out by, and are dropped", in.Name),
				"net.ipv4.conf.all.rp_filter = 1", "sysctl -w net.ipv4.conf.all.rp_filter=0, and the value on each interface that wants one")
		}
	}
}

// hostARPIgnored: settings of a real server on a director.
func hostARPIgnored(c *hostChecker) {
	c.virtual(func(in *config.Instance, a config.Address) {
		if !a.Prefix.Addr().Is4() {
			return
		}
		all := c.host.Sysctls["net.ipv4.conf.all.arp_ignore"]
		ignore := max(all, c.host.Sysctls["net.ipv4.conf."+in.Interface+".arp_ignore"])
		switch {
		case ignore == "8":
		case ignore != "" && ignore != "0" && a.Dev != in.Interface:
		default:
			return
		}
		c.reportFor(a.Where, fmt.Sprintf("vrrp_instance %s: with arp_ignore %s this host does not answer ARP for %s, also as MASTER", in.Name, ignore, a.Prefix.Addr()),
			fmt.Sprintf("arp_ignore %s, the address is on %s, and %s asks", ignore, a.Dev, in.Interface), "arp_ignore 0: the settings of a DR real server do not belong on a director")
	})
}

// hostForwardingOff: NAT needs a router.
func hostForwardingOff(c *hostChecker) {
	if c.host.Sysctls["net.ipv4.ip_forward"] != "0" {
		return
	}
	for _, vs := range c.cfg.VirtualServers {
		if usesNAT(vs) {
			c.reportFor(vs.Where, fmt.Sprintf("virtual_server %s: NAT on a host that does not forward: the real servers' own connections (updates, DNS) end at this director, and under kernel IPVS so do all answers", vs.Name),
				"net.ipv4.ip_forward = 0", "net.ipv4.ip_forward = 1 in /etc/sysctl.d")
			return
		}
	}
}

// hostIPv6Off: the address cannot be put on.
func hostIPv6Off(c *hostChecker) {
	c.virtual(func(in *config.Instance, a config.Address) {
		if key := "net.ipv6.conf." + a.Dev + ".disable_ipv6"; a.Prefix.Addr().Is6() && c.host.Sysctls[key] == "1" {
			c.reportFor(a.Where, fmt.Sprintf("vrrp_instance %s: IPv6 is switched off on %s: the kernel refuses %s, and the node is MASTER without it", in.Name, a.Dev, a.Prefix.Addr()),
				key+" = 1", "sysctl -w "+key+"=0, and in /etc/sysctl.d")
		}
	})
}

// headers4 and headers6 are what a datagram of the sync daemon has before its
// payload: IP and UDP.
const (
	headers4 = 28
	headers6 = 48
)

// hostSyncInterface: connections are copied over an interface that is up, in
// datagrams that it takes whole.
func hostSyncInterface(c *hostChecker) {
	s := c.cfg.Global.SyncDaemon
	if s == nil || len(c.host.Interfaces) == 0 {
		return
	}
	i, headers := c.iface(s.Interface), headers4
	if s.Group.Is6() {
		headers = headers6
	}
	switch {
	case i == nil:
		c.reportFor(s.Where, fmt.Sprintf("lvs_sync_daemon: this host has no interface %s: no connection is copied, and all break with a failover", s.Interface),
			"the host has "+strings.Join(c.interfaceNames(), ", "), "the interface of the segment that the directors share")
	case !i.Up:
		c.report(s.Where, fmt.Sprintf("lvs_sync_daemon: %s is down or has no carrier: no connection is copied, and all break with a failover", i.Name), "ip link set "+i.Name+" up, or the cable")
	case i.MTU > 0 && s.MaxLen > i.MTU-headers:
		c.reportFor(s.Where, fmt.Sprintf("lvs_sync_daemon: maxlen %d is more than %s takes in one packet: datagrams are sent in fragments, which a peer with kernel IPVS and a smaller maxlen drops", s.MaxLen, i.Name),
			fmt.Sprintf("%s has mtu %d", i.Name, i.MTU), fmt.Sprintf("maxlen %d, or none", i.MTU-headers))
	}
}
