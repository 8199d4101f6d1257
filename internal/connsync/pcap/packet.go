package pcap

import (
	"encoding/binary"
	"net/netip"
)

// fate is what became of a packet so far.
type fate uint8

const (
	udp fate = iota
	other
	truncated
	malformed
)

// packet is an IP packet that is being taken apart.
type packet struct {
	whole    bool // all of it was captured
	fate     fate
	src, dst netip.Addr
	protocol uint8
	body     []byte // what follows the headers read so far

	fragment bool
	more     bool
	id       uint32
	offset   int

	srcPort, dstPort uint16
}

// IP protocol numbers, and with IPv6 numbers of extension headers.
const (
	protoHopByHop    = 0
	protoUDP         = 17
	protoRouting     = 43
	protoFragment    = 44
	protoAH          = 51
	protoDestination = 60
	protoMobility    = 135
)

// short ends the parsing where bytes are missing.
func (p *packet) short() {
	if p.fate = malformed; !p.whole {
		p.fate = truncated
	}
}

// cut takes the part of b that the packet says it has. A length of 0 is that
// of segments which the network card was to cut.
func (p *packet) cut(b []byte, header, total int) bool {
	if total == header && len(b) > header || total == 0 {
		total = len(b)
	}
	if total < header || total > len(b) {
		p.short()
		return false
	}
	p.body, p.whole = b[header:total], true
	return true
}

func (p *packet) parse4(b []byte) {
	if len(b) < 20 || int(b[0]&15)*4 < 20 || len(b) < int(b[0]&15)*4 {
		p.short()
		return
	}
	p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.protocol = b[9]
	frag := binary.BigEndian.Uint16(b[6:])
	p.offset, p.more, p.id = int(frag&0x1fff)*8, frag&0x2000 != 0, uint32(binary.BigEndian.Uint16(b[4:]))
	p.fragment = p.more || p.offset > 0
	if p.protocol != protoUDP && p.protocol != protoAH {
		p.fate = other
		return
	}
	if p.cut(b, int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))) && !p.fragment {
		p.extensions()
	}
}

func (p *packet) parse6(b []byte) {
	const header = 40
	if len(b) < header {
		p.short()
		return
	}
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.protocol = b[6]
	if p.cut(b, header, header+int(binary.BigEndian.Uint16(b[4:]))) {
		p.extensions()
	}
}

// extensions passes over what stands before the UDP header: IPv6's extension
// headers and the authentication header. It stops at a fragment header.
func (p *packet) extensions() {
	for p.fate == udp && p.protocol != protoUDP {
		b, n := p.body, 0
		if len(b) < 8 {
			p.unknown(p.protocol)
			if p.fate == udp {
				p.short()
			}
			return
		}
		switch p.protocol {
		case protoHopByHop, protoRouting, protoDestination, protoMobility:
			n = (int(b[1]) + 1) * 8
		case protoAH:
			n = (int(b[1]) + 2) * 4
		case protoFragment:
			if p.fragment {
				p.fate = malformed
				return
			}
			w := binary.BigEndian.Uint16(b[2:])
			p.protocol, p.body = b[0], b[8:]
			p.offset, p.more, p.id = int(w&0xfff8), w&1 != 0, binary.BigEndian.Uint32(b[4:])
			if p.fragment = p.more || p.offset > 0; p.fragment {
				p.unknown(p.protocol)
				return
			}
			continue
		default:
			p.fate = other
			return
		}
		if n > len(b) {
			p.short()
			return
		}
		p.protocol, p.body = b[0], b[n:]
	}
}

// unknown gives up a packet whose next header cannot lead to UDP.
func (p *packet) unknown(next uint8) {
	switch next {
	case protoUDP, protoHopByHop, protoRouting, protoDestination, protoMobility, protoAH, protoFragment:
	default:
		p.fate = other
	}
}

func (p *packet) parseUDP() {
	b := p.body
	if len(b) < 8 {
		p.short()
		return
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n == 0 {
		n = len(b) // a jumbogram, or a segment for the network card to cut
	}
	if n < 8 || n > len(b) {
		p.short()
		return
	}
	p.srcPort, p.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	p.body = b[8:n]
}
