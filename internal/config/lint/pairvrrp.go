package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

var pairVRRPRules = []pairRule{
	{"pair-version", finding.Error, agree(versionSetting)},
	{"pair-advert-interval", finding.Error, agree(intervalSetting)},
	{"pair-advert-interval-v3", finding.Note, agree(intervalV3Setting)},
	{"pair-checksum", finding.Error, agree(checksumSetting)},
	{"pair-multicast-group", finding.Error, agree(groupSetting)},
	{"pair-unicast", finding.Error, agree(unicastSetting)},
	{"pair-vmac", finding.Warning, agree(vmacSetting)},
	{"pair-authentication", finding.Error, pairAuthentication},
	{"pair-hmac", finding.Error, pairHMAC},
	{"pair-vrid", finding.Error, pairVRID},
	{"pair-peers", finding.Error, pairPeers},
	{"pair-source-address", finding.Error, pairSourceAddress},
	{"pair-addresses", finding.Error, pairAddresses},
	{"pair-excluded-addresses", finding.Warning, pairExcludedAddresses},
	{"pair-prefix", finding.Warning, pairPrefix},
	{"pair-instance-missing", finding.Warning, pairInstanceMissing},
	{"pair-sync-group", finding.Warning, pairSyncGroup},
}

// setting is one thing that both nodes have to say alike. The finding is "NAME:
// LABEL VALUE here, VALUE on the other node: consequence".
type setting struct {
	keywords    []string
	value       func(*config.Instance) string
	applies     func(a, b *config.Instance) bool
	consequence string
	fix         string
}

// agree makes a rule of a setting.
func agree(s setting) func(*pairChecker) {
	return func(c *pairChecker) {
		c.each(func(a, b side) {
			va, vb := s.value(a.in), s.value(b.in)
			if va == vb || s.applies != nil && !s.applies(a.in, b.in) {
				return
			}
			c.report(b.node, b.at(b.in.Where, s.keywords...),
				fmt.Sprintf("vrrp_instance %s: %s, but %s on %s: %s", b.in.Name, vb, va, a.Name, s.consequence),
				a.cite(a.in.Where, s.keywords...), s.fix)
		})
	}
}

const bothMaster = "both nodes drop each other's adverts and are MASTER at once"

var versionSetting = setting{
	keywords:    []string{"version"},
	value:       func(in *config.Instance) string { return fmt.Sprintf("VRRP version %d", version(in)) },
	consequence: bothMaster, fix: "the same version on all nodes",
}

// version is the one on the wire: IPv6 has no other than 3.
func version(in *config.Instance) int {
	if inet6(in) {
		return 3
	}
	return in.Version
}

func interval(in *config.Instance) string { return "adverts every " + in.AdvertInterval.String() }

var intervalSetting = setting{
	keywords:    []string{"advert_int"},
	value:       interval,
	applies:     func(a, b *config.Instance) bool { return version(a) == 2 && version(b) == 2 },
	consequence: bothMaster, fix: "the same advert_int on all nodes",
}

var intervalV3Setting = setting{
	keywords:    []string{"advert_int"},
	value:       interval,
	applies:     func(a, b *config.Instance) bool { return version(a) == 3 && version(b) == 3 },
	consequence: "the backup takes over the master's interval, so the time to fail over depends on who is MASTER", fix: "the same advert_int on all nodes",
}

var checksumSetting = setting{
	keywords: []string{"v3_checksum_as_v2"},
	value: func(in *config.Instance) string {
		if in.V3ChecksumAsV2 {
			return "the checksum of version 2"
		}
		return "the checksum of version 3"
	},
	applies: func(a, b *config.Instance) bool {
		return version(a) == 3 && version(b) == 3 && !inet6(a) && !inet6(b)
	},
	consequence: bothMaster, fix: "v3_checksum_as_v2 on all nodes or on none",
}

// groupSetting compares where multicast adverts go.
var groupSetting = setting{
	keywords: []string{"mcast_dst_ip"},
	value: func(in *config.Instance) string {
		if in.McastGroup.IsValid() {
			return "multicast group " + in.McastGroup.String()
		}
		return "the default multicast group"
	},
	applies:     func(a, b *config.Instance) bool { return len(a.Peers) == 0 && len(b.Peers) == 0 },
	consequence: "neither hears the other and both are MASTER at once", fix: "the same group on all nodes",
}

var unicastSetting = setting{
	keywords: []string{"unicast_peer"},
	value: func(in *config.Instance) string {
		if len(in.Peers) > 0 {
			return "unicast"
		}
		return "multicast"
	},
	consequence: bothMaster, fix: "unicast_peer on all nodes or on none",
}

var vmacSetting = setting{
	keywords: []string{"use_vmac", "use_ipvlan"},
	value: func(in *config.Instance) string {
		switch {
		case in.VMAC != nil:
			return "use_vmac"
		case in.IPVLAN != nil:
			return "use_ipvlan"
		}
		return "the interface's own MAC address"
	},
	consequence: "the MAC address of the virtual addresses changes with the MASTER, what use_vmac is to avoid", fix: "use_vmac on all nodes or on none",
}

// pairAuthentication: the adverts of each fail the other's test. Passwords are
// compared and never shown.
func pairAuthentication(c *pairChecker) {
	c.each(func(a, b side) {
		if version(a.in) != 2 || version(b.in) != 2 {
			return
		}
		differs := ""
		switch {
		case a.in.Auth != b.in.Auth:
			differs = fmt.Sprintf("%s, but %s on %s", authName(b.in), authName(a.in), a.Name)
		case a.in.AuthPass != b.in.AuthPass:
			differs = "another password than on " + a.Name
		default:
			return
		}
		c.report(b.node, b.at(b.in.Where, "authentication"), fmt.Sprintf("vrrp_instance %s: %s: %s", b.in.Name, differs, bothMaster),
			a.cite(a.in.Where, "authentication"), "the same block authentication on all nodes")
	})
}

func authName(in *config.Instance) string {
	if in.Auth == config.AuthNone {
		return "no authentication"
	}
	return "auth_type " + string(in.Auth)
}

// pairHMAC: signed adverts have to be verified by the other node.
func pairHMAC(c *pairChecker) {
	c.eachSide(func(s, other side) {
		mine, theirs := s.in.AuthHMAC, other.in.AuthHMAC
		if theirs == nil || theirs.Mode == "permissive" {
			return
		}
		why := ""
		switch {
		case mine == nil || mine.Mode == "receive-only":
			why = fmt.Sprintf("does not sign its adverts, and %s takes only signed ones", other.Name)
		case !knowsKey(theirs, mine):
			why = fmt.Sprintf("signs with key %d, which %s does not have or has with another value", mine.ActiveKey, other.Name)
		default:
			return
		}
		c.report(s.node, s.at(s.in.Where, "auth_hmac"), fmt.Sprintf("vrrp_instance %s: %s %s: %s drops its adverts and becomes MASTER beside it", s.in.Name, s.Name, why, other.Name),
			other.cite(other.in.Where, "auth_hmac"), "the same keys on all nodes, and mode permissive while they are changed")
	})
}

// knowsKey reports whether a verifier has the active key of a signer.
func knowsKey(verifier, signer *config.AuthHMAC) bool {
	i := slices.IndexFunc(signer.Keys, func(k config.HMACKey) bool { return k.ID == signer.ActiveKey })
	return i < 0 || slices.ContainsFunc(verifier.Keys, func(k config.HMACKey) bool {
		return k.ID == signer.ActiveKey && k.Value == signer.Keys[i].Value
	})
}

// pairVRID: one set of addresses, two virtual routers.
func pairVRID(c *pairChecker) {
	c.each(func(a, b side) {
		if a.in.VRID != b.in.VRID {
			c.report(b.node, b.at(b.in.Where, "virtual_router_id"), fmt.Sprintf("vrrp_instance %s: virtual_router_id %d, but %d on %s for the same virtual addresses: neither listens to the other, and both are MASTER at once", b.in.Name, b.in.VRID, a.in.VRID, a.Name),
				a.cite(a.in.Where, "virtual_router_id"), "the same virtual_router_id on all nodes")
		}
	})
}

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
			c.report(b.node, b.at(b.in.Where, "unicast_src_ip", "mcast_src_ip"), fmt.Sprintf("vrrp_instance %s: adverts from %s, which is the address of %s too: each takes the other's adverts for its own", b.in.Name, src, a.Name),
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

// pairInstanceMissing: an instance without a second node.
func pairInstanceMissing(c *pairChecker) {
	c.sides(func(n, other *node) {
		for _, in := range other.Config.Instances {
			if c.partner(in) == nil {
				c.report(n, n.file(), fmt.Sprintf("%s has no vrrp_instance with virtual_router_id %d on %s: when %s fails, nobody takes %s", n.Name, in.VRID, in.Interface, other.Name, addressList(in)),
					fmt.Sprintf("%s: vrrp_instance %s", in.Where, in.Name), "the vrrp_instance on both nodes")
			}
		}
	})
}

func addressList(in *config.Instance) string {
	var ips []string
	for _, a := range in.Addresses {
		ips = append(ips, a.Prefix.Addr().String())
	}
	if len(ips) == 0 {
		return "over"
	}
	return strings.Join(ips, ", ")
}

// pairSyncGroup: what changes state together on one node does not on the other.
func pairSyncGroup(c *pairChecker) {
	c.sides(func(n, other *node) {
		for _, g := range other.Config.SyncGroups {
			want := c.membersOn(other, g)
			if len(want) < 2 {
				continue
			}
			home := groupWith(n, want[0])
			if home == nil {
				c.report(n, n.file(), fmt.Sprintf("vrrp_instances %s change state together on %s (vrrp_sync_group %s) and apart on %s: after a failure there the addresses can be on different nodes", strings.Join(want, ", "), other.Name, g.Name, n.Name),
					other.cite(g.Where, "group"), "the same vrrp_sync_group on both nodes")
				continue
			}
			for _, m := range want[1:] {
				if !slices.Contains(home.Members, m) {
					c.report(n, n.at(home.Where, "group"), fmt.Sprintf("vrrp_sync_group %s lacks %s, which changes state with %s on %s (vrrp_sync_group %s)", home.Name, m, want[0], other.Name, g.Name),
						other.cite(g.Where, "group"), "the same members on both nodes")
				}
			}
		}
	})
}

// membersOn names the partners of a group's members.
func (c *pairChecker) membersOn(n *node, g *config.SyncGroup) []string {
	var names []string
	for _, in := range n.Config.Instances {
		if p := c.partner(in); p != nil && slices.Contains(g.Members, in.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

func groupWith(n *node, member string) *config.SyncGroup {
	for _, g := range n.Config.SyncGroups {
		if slices.Contains(g.Members, member) {
			return g
		}
	}
	return nil
}

