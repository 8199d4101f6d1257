package vrrpio

import (
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Kind says what a Tap saw.
type Kind uint8

// Kinds of Observation.
const (
	// AdvertOnWire is another router's advert for one of our VRIDs.
	AdvertOnWire Kind = iota + 1
	// ForeignARP is an ARP packet in which another MAC claims one of our
	// virtual addresses.
	ForeignARP
)

// Observation is something that was seen on the wire, before this host's
// packet filter.
type Observation struct {
	Time      time.Time
	Interface string
	Kind      Kind
	MAC       net.HardwareAddr // who sent it
	From      netip.Addr       // AdvertOnWire: source address
	VRID      uint8            // AdvertOnWire
	Priority  uint8            // AdvertOnWire
	VIP       netip.Addr       // ForeignARP: the address that was claimed
	// Count is how many such packets were seen since the last one reported
	// (this one included).
	Count int
}

// TapInterface is what to look for on one interface.
type TapInterface struct {
	Name  string
	VRIDs []uint8
	VIPs  []netip.Addr
}

// Tap observes interfaces by packet sockets.
type Tap struct{ log *slog.Logger }

// NewTap returns a Tap in the network namespace of the calling thread. The
// error says what is missing.
func NewTap(log *slog.Logger) (*Tap, error) { panic("being written") }

// Watch replaces the set of interfaces. One that is missing is tried again by itself.
func (t *Tap) Watch(ifaces []TapInterface) { panic("being written") }

// Observations returns what was seen: each (interface, kind, MAC, VRID or
// address) at most once a second. When nobody receives, the newest are lost.
func (t *Tap) Observations() <-chan Observation { panic("being written") }

// Close ends it and closes the channel.
func (t *Tap) Close() error { panic("being written") }
