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

// pairVRID: one set of addresses, two virtual routers.
func pairVRID(c *pairChecker) {
	c.each(func(a, b side) {
		if a.in.VRID != b.in.VRID {
			c.report(b.node, b.at(b.in.Where, "virtual_router_id"), fmt.Sprintf("vrrp_instance %s: virtual_router_id %d, but %d on %s for the same virtual addresses: neither listens to the other, and both are MASTER at once", b.in.Name, b.in.VRID, a.in.VRID, a.Name),
				a.cite(a.in.Where, "virtual_router_id"), "the same virtual_router_id on all nodes")
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
