package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
)

// Topology is what a lab is made of. Build checks it as a whole.
type Topology struct {
	Segments []SegmentSpec
	Hosts    []HostSpec
}

// SegmentSpec is one layer-2 segment.
type SegmentSpec struct {
	Name string
}

// HostSpec is one host. Its zero value is a host with nothing but loopback.
type HostSpec struct {
	Name   string // also its host name, at most 12 characters
	Ifaces []IfaceSpec
	// Loopback holds addresses for lo, such as a VIP of a DR real server.
	Loopback []string
	Routes   []RouteSpec
	// Forward makes the host a router (net.ipv4.ip_forward).
	Forward bool
	// Sysctls are keyed as in sysctl(8), "net.ipv4.conf.all.arp_ignore";
	// only net.* belongs to a host.
	Sysctls map[string]string
	// Files appear, by absolute path, to this host's programs alone; the
	// machine's own file system is not touched. They are executable.
	Files map[string]string
}

// IfaceSpec is one network interface of a host.
type IfaceSpec struct {
	Name    string   // as the host sees it: "eth0", "ens3"
	Segment string   // the segment it is plugged into
	Addrs   []string // with prefix length: "192.0.2.1/24"
	Offload Offload
	// NativeXDP prepares the switch's end for a director that transmits in
	// native XDP mode, which a plain veth cannot receive.
	NativeXDP bool
}

// Offload says what a veth interface leaves to the "hardware".
type Offload uint8

const (
	// OffloadDefault is what the kernel gives a veth: segmentation and
	// checksum offload on, GRO off. Packets of a local sender then travel
	// with partial checksums.
	OffloadDefault Offload = iota
	// OffloadNone switches checksum, segmentation and receive offloads off:
	// every packet on the segment is one that could be on a wire.
	OffloadNone
	// OffloadGRO is OffloadDefault with GRO on.
	OffloadGRO
)

// RouteSpec is a route; To is a prefix or "default".
type RouteSpec struct {
	To  string
	Via string
}

// AsDRServer returns h set up as a real server of direct routing: it has the
// VIPs on loopback, does not answer or announce ARP for them (arp_ignore 1,
// arp_announce 2), and accepts packets from anywhere (rp_filter 0).
func (h HostSpec) AsDRServer(vips ...string) HostSpec {
	for _, v := range vips {
		h.Loopback = append(slices.Clone(h.Loopback), v+"/32")
	}
	return h.withSysctls(map[string]string{
		"net.ipv4.conf.all.arp_ignore":   "1",
		"net.ipv4.conf.all.arp_announce": "2",
	})
}

// AsNATServer returns h set up as a real server of NAT: its default route
// leads back through the director.
func (h HostSpec) AsNATServer(director string) HostSpec {
	h.Routes = append(slices.Clone(h.Routes), RouteSpec{To: "default", Via: director})
	return h
}

// AsRouter returns h with forwarding on.
func (h HostSpec) AsRouter() HostSpec {
	h.Forward = true
	return h
}

func (h HostSpec) withSysctls(m map[string]string) HostSpec {
	all := map[string]string{}
	maps.Copy(all, h.Sysctls)
	maps.Copy(all, m)
	h.Sysctls = all
	return h
}

// Validate returns every mistake in t, joined.
func (t Topology) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	names := map[string]string{}
	claim := func(kind, name string) {
		if !nameOK(name) {
			bad("%s %q: a name has 1 to 12 letters, digits or dashes", kind, name)
		}
		if other, taken := names[name]; taken {
			bad("%s %q: the name is already that of a %s", kind, name, other)
		}
		names[name] = kind
	}
	for _, s := range t.Segments {
		claim("segment", s.Name)
	}
	for _, h := range t.Hosts {
		claim("host", h.Name)
		errs = append(errs, h.validate(t)...)
	}
	return errors.Join(errs...)
}

func (h HostSpec) validate(t Topology) []error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("host "+h.Name+": "+format, args...))
	}
	seen := map[string]bool{}
	for _, i := range h.Ifaces {
		switch {
		case i.Name == "" || len(i.Name) > 15 || i.Name == "lo":
			bad("interface %q: the name must have 1 to 15 characters and not be lo", i.Name)
		case seen[i.Name]:
			bad("interface %s: named twice", i.Name)
		}
		seen[i.Name] = true
		if !slices.ContainsFunc(t.Segments, func(s SegmentSpec) bool { return s.Name == i.Segment }) {
			bad("interface %s: no segment named %q", i.Name, i.Segment)
		}
		for _, a := range i.Addrs {
			if _, err := netip.ParsePrefix(a); err != nil {
				bad("interface %s: address %q: %v", i.Name, a, err)
			}
		}
	}
	for _, a := range h.Loopback {
		if _, err := netip.ParsePrefix(a); err != nil {
			bad("loopback address %q: %v", a, err)
		}
	}
	for _, r := range h.Routes {
		if _, err := r.destination(); err != nil {
			bad("route to %q: %v", r.To, err)
		}
		if _, err := netip.ParseAddr(r.Via); err != nil {
			bad("route to %s via %q: %v", r.To, r.Via, err)
		}
	}
	for p := range h.Files {
		if !path.IsAbs(p) || path.Clean(p) != p || path.Dir(p) == "/" {
			bad("file %q: want a clean absolute path below a directory of /", p)
		}
	}
	return errs
}

// destination is the prefix of r; the zero prefix is the default route.
func (r RouteSpec) destination() (netip.Prefix, error) {
	if r.To == "default" {
		return netip.Prefix{}, nil
	}
	return netip.ParsePrefix(r.To)
}

func nameOK(s string) bool {
	if len(s) == 0 || len(s) > 12 {
		return false
	}
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}
