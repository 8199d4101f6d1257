package progtest

import (
	"encoding/binary"
	"net/netip"
)

// MAC is an Ethernet address.
type MAC [6]byte

// TCP flags.
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	PSH = 0x08
	ACK = 0x10
)

// IP protocol numbers.
const (
	ICMP = 1
	TCP  = 6
	UDP  = 17
)

// Packet is an Ethernet frame with an IPv4 packet, by its fields. Bytes
// computes every length and checksum, so an expected packet is the packet
// sent with other fields.
type Packet struct {
	Dst, Src MAC
	VLAN     uint16 // TCI, 0 for untagged
	QinQ     bool   // the tag is 802.1ad

	SrcIP, DstIP netip.Addr
	TTL          uint8
	ID           uint16
	Frag         uint16 // flags and offset, as on the wire
	Options      []byte // padded by the caller to a multiple of 4
	Proto        uint8

	SPort, DPort uint16
	Flags        uint8 // TCP
	NoSum        bool  // UDP: checksum 0
	Partial      bool  // checksum left to offload: pseudo-header sum only
	Payload      []byte
	Raw          []byte // replaces the transport header and payload

	Trailer int // bytes of padding behind the IP packet
}

// Bytes is the frame.
func (p Packet) Bytes() []byte {
	l4 := p.Raw
	if l4 == nil {
		l4 = p.transport()
	}
	ip := p.ip(len(l4))
	f := append(append([]byte{}, p.Dst[:]...), p.Src[:]...)
	if p.VLAN != 0 {
		tpid := []byte{0x81, 0}
		if p.QinQ {
			tpid = []byte{0x88, 0xa8}
		}
		f = binary.BigEndian.AppendUint16(append(f, tpid...), p.VLAN)
	}
	f = append(append(append(f, 8, 0), ip...), l4...)
	return append(f, make([]byte, p.Trailer)...)
}

// IPBytes is the frame's IP packet alone.
func (p Packet) IPBytes() []byte {
	p.VLAN, p.Trailer = 0, 0
	return p.Bytes()[14:]
}

func (p Packet) ip(payload int) []byte {
	n := 20 + len(p.Options)
	h := make([]byte, 20, n)
	h[0] = 0x40 | byte(n/4)
	binary.BigEndian.PutUint16(h[2:], uint16(n+payload))
	binary.BigEndian.PutUint16(h[4:], p.ID)
	binary.BigEndian.PutUint16(h[6:], p.Frag)
	h[8], h[9] = p.TTL, p.Proto
	s, d := p.SrcIP.As4(), p.DstIP.As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
	h = append(h, p.Options...)
	binary.BigEndian.PutUint16(h[10:], ^Sum(h, 0))
	return h
}

func (p Packet) transport() []byte {
	var h []byte
	var at int
	switch p.Proto {
	case TCP:
		h = make([]byte, 20)
		binary.BigEndian.PutUint32(h[4:], 0x01020304)
		binary.BigEndian.PutUint32(h[8:], 0x0a0b0c0d)
		h[12], h[13] = 5<<4, p.Flags
		binary.BigEndian.PutUint16(h[14:], 0x7210)
		at = 16
	case UDP:
		h = make([]byte, 8)
		binary.BigEndian.PutUint16(h[4:], uint16(8+len(p.Payload)))
		at = 6
	default:
		return p.Payload
	}
	binary.BigEndian.PutUint16(h[0:], p.SPort)
	binary.BigEndian.PutUint16(h[2:], p.DPort)
	h = append(h, p.Payload...)
	if p.NoSum {
		return h
	}
	pseudo := p.pseudo(len(h))
	if p.Partial {
		binary.BigEndian.PutUint16(h[at:], Sum(pseudo, 0))
		return h
	}
	sum := ^Sum(h, uint32(Sum(pseudo, 0)))
	if sum == 0 && p.Proto == UDP {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(h[at:], sum)
	return h
}

func (p Packet) pseudo(n int) []byte {
	s, d := p.SrcIP.As4(), p.DstIP.As4()
	b := append(append([]byte{}, s[:]...), d[:]...)
	return append(b, 0, p.Proto, byte(n>>8), byte(n))
}

// Sum is the ones' complement sum of b, folded, starting from init.
func Sum(b []byte, init uint32) uint16 {
	s := init
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// ICMPError is the ICMP message of a type and code about the IP packet inner
// (its header and as much behind it as given); rest is the second word.
func ICMPError(typ, code uint8, rest uint32, inner []byte) []byte {
	m := []byte{typ, code, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(m[4:], rest)
	m = append(m, inner...)
	binary.BigEndian.PutUint16(m[2:], ^Sum(m, 0))
	return m
}
