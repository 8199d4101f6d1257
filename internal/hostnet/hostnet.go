package hostnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Protocol is the address protocol (IFA_PROTO) of the addresses that we add.
// The kernel itself uses 1 to 3; 112 is VRRP's number.
const Protocol = 112

// Errors that callers branch on.
var (
	// ErrNoInterface: there is no interface of that name.
	ErrNoInterface = errors.New("no such interface")
	// ErrNotPermitted: the process lacks CAP_NET_ADMIN.
	ErrNotPermitted = errors.New("not permitted: needs root or CAP_NET_ADMIN")
	// ErrNoAddress: the interface has no usable IPv4 address.
	ErrNoAddress = errors.New("no IPv4 address")
)

// Address is an IPv4 address on an interface.
type Address struct {
	Interface string
	Prefix    netip.Prefix // address and prefix length, not masked
	Broadcast netip.Addr   // invalid for none
	Label     string       // empty for the interface's name
	Scope     uint8        // RT_SCOPE_*: 0 global, 200 site, 253 link, 254 host
}

// Leftover is an address that is on the host and may be of an earlier run.
type Leftover struct {
	Address
	// Marked: it carries our Protocol, so that it is ours for sure. Otherwise
	// it equals a wanted address, and somebody else may have put it there.
	Marked bool
}

// Link is an interface.
type Link struct {
	Name  string
	Index int
	Up    bool // administratively up, with a carrier, operational
	MAC   net.HardwareAddr
	MTU   int
	Kind  string // "veth", "bridge", "vlan" …; "" for hardware
}

// Route is where a destination goes.
type Route struct {
	Index     int
	Interface string
	Gateway   netip.Addr // invalid when the destination is on the link
	Source    netip.Addr // the source address that the kernel would choose
	Local     bool       // the destination is this host
}

// Change is one thing that changed on the host. It is a closed set.
//
//sumtype:decl
type Change interface{ isChange() }

// LinkChange is the new state of an interface. Gone says that it does not
// exist (any more); Up is false then.
type LinkChange struct {
	Interface string
	Index     int
	Up, Gone  bool
}

// PrimaryChange is the new primary address of an interface, invalid for none.
type PrimaryChange struct {
	Interface string
	Addr      netip.Addr
}

// AddressChange is an IPv4 address that appeared or went. Marked is that of Leftover.
type AddressChange struct {
	Interface string
	Prefix    netip.Prefix
	Added     bool
	Marked    bool
}

func (LinkChange) isChange()    {}
func (PrimaryChange) isChange() {}
func (AddressChange) isChange() {}

// Network is the host's network. Its methods may be called concurrently.
type Network struct{ todo int }

// Open opens the network of the calling thread's network namespace.
func Open() (*Network, error) { panic("being written") }

// Close releases its sockets. It changes nothing on the host.
func (n *Network) Close() error { panic("being written") }

// SetVirtual tells which addresses are virtual ones: they are never the
// primary address of an interface, whoever added them. It replaces the last set.
func (n *Network) SetVirtual(addrs []netip.Addr) { panic("being written") }

// Addresses returns the addresses on the host that are ours: those that carry
// our mark, and, where the kernel keeps no mark, those that this Network
// added. Sorted by interface and address.
func (n *Network) Addresses() ([]Address, error) { panic("being written") }

// Add puts an address on its interface. One that is there already is fine.
func (n *Network) Add(a Address) error { panic("being written") }

// Remove takes an address off its interface, whoever added it. One that is
// gone already is fine, and so is an interface that is gone.
func (n *Network) Remove(a Address) error { panic("being written") }

// Leftovers returns the addresses that an earlier run may have left: all that
// carry our mark, and those equal to a wanted one (interface and address).
func (n *Network) Leftovers(want []Address) ([]Leftover, error) { panic("being written") }

// Link returns the interface of that name; the error wraps ErrNoInterface
// when there is none.
func (n *Network) Link(name string) (Link, error) { panic("being written") }

// Links returns all interfaces in the order of their index.
func (n *Network) Links() ([]Link, error) { panic("being written") }

// Primary returns the address that adverts of the interface come from: its
// first address that is neither virtual nor secondary. The error wraps
// ErrNoAddress or ErrNoInterface.
func (n *Network) Primary(iface string) (netip.Addr, error) { panic("being written") }

// Lookup returns the route to dst.
func (n *Network) Lookup(dst netip.Addr) (Route, error) { panic("being written") }

// Monitor streams changes until ctx ends; then the channel is closed. It
// starts with the present state: a LinkChange of every interface, its
// PrimaryChange when it has one, and an AddressChange for each address.
// A slow receiver loses nothing: what is pending is kept.
func (n *Network) Monitor(ctx context.Context) (<-chan Change, error) { panic("being written") }
