package lab

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// baseline are the sysctls that every host starts with, so that a lab does
// not depend on how the machine is set up: new namespaces inherit some.
var baseline = [][2]string{
	{"net.ipv4.conf.all.rp_filter", "0"},
	{"net.ipv4.conf.default.rp_filter", "0"},
	{"net.ipv4.conf.all.arp_ignore", "0"},
	{"net.ipv4.conf.default.arp_ignore", "0"},
	{"net.ipv4.conf.all.arp_announce", "0"},
	{"net.ipv4.conf.default.arp_announce", "0"},
	{"net.ipv4.ip_forward", "0"},
	// A load client opens more connections a minute than there are ports.
	{"net.ipv4.ip_local_port_range", "1024 65535"},
	{"net.ipv4.tcp_tw_reuse", "1"},
	// Addresses of a lab are unique and static: no waiting, no autoconfiguration.
	{"net.ipv6.conf.default.accept_dad", "0"},
	{"net.ipv6.conf.default.autoconf", "0"},
	{"net.ipv6.conf.default.accept_ra", "0"},
}

// wire plugs the host in and configures it.
func (h *Host) wire() error {
	if err := h.Do(func() error {
		for _, kv := range baseline {
			if err := writeSysctl(kv[0], kv[1]); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := h.loopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	for _, spec := range h.spec.Ifaces {
		if err := h.addIface(spec); err != nil {
			return fmt.Errorf("interface %s: %w", spec.Name, err)
		}
	}
	if h.spec.Forward {
		if err := h.SetSysctl("net.ipv4.ip_forward", "1"); err != nil {
			return err
		}
	}
	for key, value := range h.spec.Sysctls {
		if err := h.SetSysctl(key, value); err != nil {
			return err
		}
	}
	for _, spec := range h.spec.Ifaces {
		if err := h.awaitLink(spec.Name, true); err != nil {
			return err
		}
	}
	return h.addRoutes()
}

func (h *Host) loopback() error {
	lo, err := h.nl.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := h.nl.LinkSetUp(lo); err != nil {
		return err
	}
	return h.addAddrs(lo, h.spec.Loopback)
}

func (h *Host) addIface(spec IfaceSpec) error {
	end, err := h.lab.segments[spec.Segment].plug(h, spec)
	if err != nil {
		return err
	}
	h.cables[spec.Name] = &cable{segment: h.lab.segments[spec.Segment], end: end}
	if spec.NativeXDP {
		if err := h.cables[spec.Name].acceptNative(); err != nil {
			return err
		}
	}
	link, err := h.nl.LinkByName(spec.Name)
	if err != nil {
		return err
	}
	if err := h.setOffload(spec.Name, spec.Offload); err != nil {
		return err
	}
	if err := h.addAddrs(link, spec.Addrs); err != nil {
		return err
	}
	if err := h.nl.LinkSetUp(link); err != nil {
		return err
	}
	return h.cables[spec.Name].set(true)
}

func (h *Host) addAddrs(link netlink.Link, addrs []string) error {
	for _, a := range addrs {
		if err := h.nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(a))}); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	return nil
}

func (h *Host) addRoutes() error {
	for _, r := range h.spec.Routes {
		if err := h.AddRoute(r); err != nil {
			return err
		}
	}
	return nil
}

// AddRoute adds a route to the host, or replaces the one to the same place.
func (h *Host) AddRoute(r RouteSpec) error {
	to, err := r.destination()
	if err != nil {
		return fmt.Errorf("route to %q: %w", r.To, err)
	}
	via, err := netip.ParseAddr(r.Via)
	if err != nil {
		return fmt.Errorf("route via %q: %w", r.Via, err)
	}
	route := &netlink.Route{Gw: via.AsSlice()}
	if to.IsValid() {
		route.Dst = ipNet(to)
	}
	if err := h.nl.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s via %s: %w", r.To, r.Via, err)
	}
	return nil
}

// set raises or drops the bridge's end of the cable.
func (c *cable) set(up bool) error {
	if up {
		return c.segment.nl.LinkSetUp(c.end)
	}
	return c.segment.nl.LinkSetDown(c.end)
}

// awaitLink waits until both ends of a cable have noticed its state: packets
// sent before that are lost in silence.
func (h *Host) awaitLink(iface string, up bool) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		here, err := h.nl.LinkByName(iface)
		if err != nil {
			return fmt.Errorf("interface %s: %w", iface, err)
		}
		c := h.cables[iface]
		there, err := c.segment.nl.LinkByIndex(c.end.Attrs().Index)
		if err != nil {
			return fmt.Errorf("interface %s: switch port: %w", iface, err)
		}
		if operational(here) == up && operational(there) == up {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("interface %s: link is %v, its switch port %v, after 5 s", iface, here.Attrs().OperState, there.Attrs().OperState)
		}
		time.Sleep(time.Millisecond)
	}
}

func operational(l netlink.Link) bool { return l.Attrs().OperState == netlink.OperUp }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
