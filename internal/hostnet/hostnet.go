package hostnet

import (
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
	// ParentIndex is the interface below a VLAN, 0 for every other kind.
	ParentIndex int
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

// Synced follows the present state with which Monitor starts: what comes after
// it is news.
type Synced struct{}

func (Synced) isChange()        {}
func (LinkChange) isChange()    {}
func (PrimaryChange) isChange() {}
func (AddressChange) isChange() {}
