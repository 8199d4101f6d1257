package announce

import "net/netip"

// Announcer sends gratuitous ARP in the network namespace it was made in. It
// is not safe for concurrent use.
type Announcer struct{ fd int }

// New opens the one socket it needs. The error says what is missing.
func New() (*Announcer, error) { panic("being written") }

// Announce sends repeat requests for each of addrs on the interface: all
// addresses once, then again. IPv6 addresses are an error. It does not block.
func (a *Announcer) Announce(iface string, addrs []netip.Addr, repeat int) error {
	panic("being written")
}

// Close closes the socket.
func (a *Announcer) Close() error { panic("being written") }
