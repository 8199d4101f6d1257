package keepalived

import (
	"github.com/kaname-lb/kaname/internal/config"
)

const ruleInterface = "no-interface"

// interfaces looks for those that VRRP uses. Those of checkers are bound to
// when a check runs, and not looked for.
func (k *hostCheck) interfaces() {
	for _, in := range k.cfg.Instances {
		k.iface(in.InterfaceAt, in.Interface, "vrrp_instance "+in.Name)
		if _, loopback := k.host.Interface(in.Interface); loopback {
			k.add(exitConfig, "loopback", in.InterfaceAt, "name the interface of the segment that the directors share",
				"vrrp_instance %s cannot elect on the loopback interface %s", in.Name, in.Interface)
		}
		k.addresses(in.Addresses)
		k.addresses(in.Excluded)
		k.routes(in.Routes)
		k.rules(in.Rules)
		k.tracked(in.TrackInterfaces, in.Name)
	}
	for _, g := range k.cfg.SyncGroups {
		k.tracked(g.TrackInterfaces, g.Name)
	}
	k.addresses(k.cfg.StaticAddresses)
	k.routes(k.cfg.StaticRoutes)
	k.rules(k.cfg.StaticRules)
	for _, g := range k.cfg.GARPGroups {
		for _, name := range g.Interfaces {
			k.iface(g.Where, name, "garp_group")
		}
	}
	for _, l := range k.cfg.Linkbeat {
		k.alone(l.Where, l.Interface, "linkbeat_interfaces")
	}
	for _, l := range k.cfg.LinkDelays {
		k.alone(l.Where, l.Interface, "interface_up_down_delays")
	}
}

func (k *hostCheck) addresses(as []config.Address) {
	for _, a := range as {
		k.iface(a.Where, a.Dev, "address "+a.Prefix.String())
	}
}

func (k *hostCheck) routes(rs []config.Route) {
	for _, r := range rs {
		k.iface(r.Where, r.Dev, "route "+r.Dest.String())
		for _, n := range r.NextHops {
			k.iface(r.Where, n.Dev, "a next hop of route "+r.Dest.String())
		}
	}
}

func (k *hostCheck) rules(rs []config.Rule) {
	for _, r := range rs {
		k.iface(r.Where, r.IIf, "iif of a rule")
		k.iface(r.Where, r.OIf, "oif of a rule")
	}
}

func (k *hostCheck) tracked(ts []config.Track, of string) {
	for _, t := range ts {
		k.iface(t.Where, t.Name, "track_interface of "+of)
	}
}

// alone looks for an interface whose absence has the least status: it ends
// nothing, its line is ignored.
func (k *hostCheck) alone(where config.Where, name, of string) {
	if exists, _ := k.host.Interface(name); !exists {
		k.add(exitFile, ruleInterface, where, "see `ip link` for those that do", "interface %s for %s does not exist on this host", name, of)
	}
}

func (k *hostCheck) iface(where config.Where, name, of string) {
	if k.cfg.Global.DynamicInterfaces != "" {
		return // it may come
	}
	if exists, _ := k.host.Interface(name); exists || name == "" {
		return
	}
	k.noVRRP = true
	for _, f := range k.found { // an address inherits its instance's interface
		if f.Rule == ruleInterface && f.Evidence == name {
			return
		}
	}
	k.add(exitConfig, ruleInterface, where, "see `ip link` for those that do", "interface %s for %s does not exist on this host", name, of)
	k.found[len(k.found)-1].Evidence = name
}
