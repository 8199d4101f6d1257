package lint

import (
	"fmt"

	"github.com/kaname-lb/kaname/internal/config"
)

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
