package vrrp

import (
	"net/netip"
	"time"
)

// Group is where multicast adverts go (RFC 3768 §5.2.2).
var Group = netip.AddrFrom4([4]byte{224, 0, 0, 18})

// IP protocol numbers of adverts: plain, and inside an authentication header.
const (
	ProtocolVRRP = 112
	ProtocolAH   = 51
)

// Advert is the VRRP message of a packet, version 2 (RFC 3768 §5.1, with the
// authentication data of RFC 2338 §5.3) or 3 (RFC 5798 §5.1).
type Advert struct {
	Version   uint8
	Type      uint8 // 1: ADVERTISEMENT
	VRID      uint8
	Priority  uint8
	Auth      AuthType      // version 2
	Interval  time.Duration // whole seconds (version 2) or centiseconds (version 3)
	Addresses []netip.Addr
	AuthData  [8]byte // version 2

	// ChecksumOK is set by decoding; encoding writes the right checksum.
	ChecksumOK bool
}

// Packet is an IPv4 packet with an advert.
type Packet struct {
	Src, Dst netip.Addr
	TTL, TOS uint8
	ID       uint16 // IP identification

	// AH tells that the advert is inside an authentication header as
	// keepalived speaks it, with SPI, Sequence and ICV.
	AH       bool
	SPI      uint32
	Sequence uint32
	ICV      [12]byte

	Advert Advert
}
