package pcap

import (
	"net/netip"
	"time"
)

// LinkType is what a frame begins with (www.tcpdump.org/linktypes.html).
type LinkType uint16

// The link types that Decoder knows.
const (
	LinkNull     LinkType = 0   // BSD loopback: 4 bytes before the packet
	LinkEthernet LinkType = 1   // with or without VLAN tags
	LinkRaw      LinkType = 101 // an IP packet
	LinkLoop     LinkType = 108 // OpenBSD loopback
	LinkSLL      LinkType = 113 // Linux "any" device
	LinkIPv4     LinkType = 228
	LinkIPv6     LinkType = 229
	LinkSLL2     LinkType = 276 // Linux "any" device, second version

	linkRawBSD  LinkType = 12 // LinkRaw as some systems write it
	linkRawBSD2 LinkType = 14
)

// Datagram is one UDP datagram, whole.
type Datagram struct {
	Time     time.Time
	Src, Dst netip.AddrPort
	// Payload is valid until the next call of what filled it in.
	Payload []byte
	// Fragments is how many IP fragments it came in, 1 for none.
	Fragments int
}

// Stats count what a Decoder saw. Every packet is in exactly one of the counts
// from Datagrams to Malformed, or is a fragment.
type Stats struct {
	Packets   uint64
	Datagrams uint64 // handed out, the reassembled ones among them
	Other     uint64 // neither UDP nor a fragment of it, or of an unknown link type
	Truncated uint64 // the capture has less of it than was on the wire (snaplen)
	Malformed uint64
	Fragments uint64
	// Incomplete is how many fragmented datagrams were given up: a fragment did
	// not come in 30 s, or too many others had begun meanwhile.
	Incomplete uint64
}
