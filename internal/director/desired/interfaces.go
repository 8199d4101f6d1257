package desired

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// interfaces returns where packets of the services come in. The block kaname
// may name them; else they are the interfaces of the instances and of their
// addresses, those whose network holds a virtual address, and those towards
// the real servers (NAT replies come back there, and neighbours are resolved
// there for both methods).
func interfaces(cfg *config.Config, services []lvs.ServiceSet, host Host) []string {
	if len(cfg.Kaname.Interfaces) > 0 {
		return sortedSet(cfg.Kaname.Interfaces)
	}
	if len(services) == 0 {
		return nil
	}
	set := map[string]bool{}
	add := func(name string) {
		if name != "" && name != "lo" {
			set[host.lowest(name)] = true
		}
	}
	for _, inst := range cfg.Instances {
		add(inst.Interface)
		for _, a := range slices.Concat(inst.Addresses, inst.Excluded) {
			add(a.Dev)
		}
	}
	for addr := range virtualAddrs(services) {
		for _, name := range host.holding(addr) {
			add(name)
		}
	}
	for addr := range realAddrs(cfg) {
		add(host.towards(addr))
	}
	return slices.Sorted(maps.Keys(set))
}

// virtualAddrs returns the addresses of all services.
func virtualAddrs(services []lvs.ServiceSet) map[netip.Addr]bool {
	all := make(map[netip.Addr]bool, len(services))
	for _, set := range services {
		all[set.Addr] = true
	}
	return all
}

// realAddrs returns the addresses of all real and sorry servers, those that
// are down too: attaching only when they come back would make a probe's flip
// touch the interfaces.
func realAddrs(cfg *config.Config) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, vs := range cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			all[rs.Addr] = true
		}
		if vs.Sorry != nil {
			all[vs.Sorry.Addr] = true
		}
	}
	return all
}

func sortedSet(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// lowest follows VLANs down to the interface that frames come in on: XDP sees
// them there with their tag, before the VLAN device does. The walk is bounded
// because nothing forbids a caller's parents to form a ring.
func (h Host) lowest(name string) string {
	for range len(h.Interfaces) {
		i := slices.IndexFunc(h.Interfaces, func(f Interface) bool { return f.Name == name })
		if i < 0 || h.Interfaces[i].Parent == "" {
			break
		}
		name = h.Interfaces[i].Parent
	}
	return name
}

// holding returns the interfaces whose connected network holds addr. An
// address that no network holds (on lo, or routed to this director) is reached
// by the interface of the default route. A host prefix is nobody's network: it
// is how the virtual address itself stands on an interface.
func (h Host) holding(addr netip.Addr) []string {
	var names []string
	for _, f := range h.Interfaces {
		for _, p := range f.Prefixes {
			if p.Contains(addr) && !p.IsSingleIP() {
				names = append(names, f.Name)
			}
		}
	}
	if len(names) == 0 {
		names = append(names, h.towards(addr))
	}
	return names
}

// towards returns the interface on which addr is reached: the longest prefix
// wins, a connected one before a route, then the name. It is empty when there
// is none.
func (h Host) towards(addr netip.Addr) string {
	best, bits := "", -1
	look := func(name string, p netip.Prefix) {
		if !p.IsValid() || !p.Contains(addr) {
			return
		}
		if p.Bits() > bits || p.Bits() == bits && name < best {
			best, bits = name, p.Bits()
		}
	}
	for _, f := range h.Interfaces {
		for _, p := range f.Prefixes {
			if !p.IsSingleIP() {
				look(f.Name, p)
			}
		}
	}
	connected, connectedBits := best, bits
	for _, r := range h.Routes {
		look(r.Interface, r.Prefix)
	}
	if bits == connectedBits {
		return connected
	}
	return best
}
