package desired

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// VRRP says which vrrp_instances are active on this director, by name. One
// that is not named is not.
type VRRP map[string]bool

// Health holds the verdicts of the checkers, one Service for each of
// config.Config's VirtualServers, at the same index. What is missing (an index
// past the end) counts as a service without checkers: quorum there, servers up
// with their configured weights.
type Health []Service

// Service is the health of one virtual server. Servers has the order of its
// RealServers.
type Service struct {
	QuorumUp bool
	Servers  []Server
}

// Server is the health of one real server. Weight is the effective weight
// while it is up (misc_dynamic may have changed it).
type Server struct {
	Up     bool
	Weight int
}

// Host is what Compute must know of this host to find the interfaces that
// traffic comes in on.
type Host struct {
	Interfaces []Interface
	// Routes say where a network is reached, the default route as 0.0.0.0/0.
	// Connected networks need not be repeated here.
	Routes []Route
}

// Interface is a network interface with the prefixes of its addresses (as
// configured, host bits set or not). Parent is the interface below a VLAN,
// empty for others.
type Interface struct {
	Name     string
	Parent   string
	Prefixes []netip.Prefix
}

// Route is a network reached through an interface.
type Route struct {
	Prefix    netip.Prefix
	Interface string
}

// Address is a virtual address that must be on this host. Label and Scope are
// as the configuration writes them, empty for the defaults.
type Address struct {
	Interface string
	Prefix    netip.Prefix // host bits kept: the address and its length
	Label     string
	Scope     string
}

// String returns "eth0 192.0.2.1/24", with label and scope where set.
func (a Address) String() string {
	s := a.Interface + " " + a.Prefix.String()
	if a.Label != "" {
		s += " label " + a.Label
	}
	if a.Scope != "" {
		s += " scope " + a.Scope
	}
	return s
}

// Compare orders addresses by interface, address, prefix length, label, scope.
func (a Address) Compare(b Address) int {
	return cmp.Or(
		cmp.Compare(a.Interface, b.Interface),
		a.Prefix.Addr().Compare(b.Prefix.Addr()),
		cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
		cmp.Compare(a.Label, b.Label),
		cmp.Compare(a.Scope, b.Scope),
	)
}

// State is everything that must be so on this host. Addresses are sorted and
// distinct by interface and prefix, Services by key; a service's destinations
// keep the configuration's order. Interfaces are sorted and distinct; they may
// name interfaces that do not exist yet.
type State struct {
	Addresses  []Address
	Services   []lvs.ServiceSet
	Timeouts   lvs.Timeouts
	Interfaces []string
}

// String returns the State as sorted text, one object a line: the form that
// goldens hold and that a debug log prints.
func (s State) String() string {
	var b strings.Builder
	for _, a := range s.Addresses {
		fmt.Fprintf(&b, "address %s\n", a)
	}
	for _, set := range s.Services {
		b.WriteString(ServiceText(set))
	}
	if s.Timeouts != (lvs.Timeouts{}) {
		fmt.Fprintf(&b, "timeouts tcp %s tcpfin %s udp %s\n", s.Timeouts.TCP, s.Timeouts.TCPFin, s.Timeouts.UDP)
	}
	for _, name := range s.Interfaces {
		fmt.Fprintf(&b, "interface %s\n", name)
	}
	return b.String()
}

// ServiceText returns a service and its destinations as lines of text.
func ServiceText(set lvs.ServiceSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "service %s %s", set.ServiceKey, set.Scheduler)
	if set.SchedulerFlags != 0 {
		fmt.Fprintf(&b, " flags %d", set.SchedulerFlags)
	}
	if set.Persistence != 0 {
		fmt.Fprintf(&b, " persistent %d", set.Persistence/time.Second)
	}
	if set.OnePacket {
		b.WriteString(" ops")
	}
	b.WriteByte('\n')
	for _, d := range set.Destinations {
		fmt.Fprintf(&b, "  -> %s %s weight %d", d.AddrPort(), d.Method, d.Weight)
		if d.UpperThreshold != 0 || d.LowerThreshold != 0 {
			fmt.Fprintf(&b, " thresholds %d %d", d.UpperThreshold, d.LowerThreshold)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
