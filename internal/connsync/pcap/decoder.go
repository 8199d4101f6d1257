package pcap

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Decoder finds UDP datagrams in frames and puts fragmented ones together. It
// holds at most some 4 MB of fragments. The zero value is ready to use.
type Decoder struct {
	stats     Stats
	fragments reassembly
}

// Stats returns the counts so far.
func (d *Decoder) Stats() Stats { return d.stats }

// EtherTypes.
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherQinQ2 = 0x9100
)

// Decode takes a frame of which wire bytes were on the wire. It returns true
// when the frame is, or completes, a UDP datagram, which it then puts into out;
// the payload is part of frame or of the decoder's memory.
func (d *Decoder) Decode(t time.Time, link LinkType, frame []byte, wire int, out *Datagram) bool {
	d.stats.Packets++
	p := packet{whole: wire <= len(frame)}
	body, ether := network(link, frame)
	switch ether {
	case etherIPv4:
		p.parse4(body)
	case etherIPv6:
		p.parse6(body)
	default:
		d.stats.Other++
		return false
	}
	out.Fragments = 1
	if p.fragment && p.fate == udp {
		d.stats.Fragments++
		if !d.fragments.add(t, &p, &d.stats, &out.Fragments) {
			return false
		}
	}
	if p.fate == udp {
		p.parseUDP()
	}
	switch p.fate {
	case other:
		d.stats.Other++
	case truncated:
		d.stats.Truncated++
	case malformed:
		d.stats.Malformed++
	case udp:
		d.stats.Datagrams++
		out.Time, out.Payload = t, p.body
		out.Src, out.Dst = netip.AddrPortFrom(p.src, p.srcPort), netip.AddrPortFrom(p.dst, p.dstPort)
		return true
	}
	return false
}

// network finds the packet in a frame, and the EtherType that names its
// protocol; 0 if there is none.
func network(link LinkType, b []byte) ([]byte, uint16) {
	var typ, rest int
	switch link {
	case LinkEthernet:
		typ, rest = 12, 14
	case LinkSLL:
		typ, rest = 14, 16
	case LinkSLL2:
		typ, rest = 0, 20
	case LinkNull, LinkLoop:
		return byVersion(b, 4)
	case LinkRaw, LinkIPv4, LinkIPv6, linkRawBSD, linkRawBSD2:
		return byVersion(b, 0)
	default:
		return nil, 0
	}
	if len(b) < rest {
		return nil, 0
	}
	ether, b := binary.BigEndian.Uint16(b[typ:]), b[rest:]
	for (ether == etherVLAN || ether == etherQinQ || ether == etherQinQ2) && len(b) >= 4 {
		ether, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	return b, ether
}

// byVersion takes what follows n bytes for an IP packet. The number of the
// address family that some systems write there differs among them.
func byVersion(b []byte, n int) ([]byte, uint16) {
	if len(b) <= n {
		return nil, 0
	}
	switch b[n] >> 4 {
	case 4:
		return b[n:], etherIPv4
	case 6:
		return b[n:], etherIPv6
	}
	return nil, 0
}
