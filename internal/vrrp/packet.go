package vrrp

import (
	"encoding/binary"
	"fmt"
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

// What every advert's IP header says: RFC 3768 §5.2.3 demands the TTL,
// keepalived sets the TOS to "internetwork control".
const (
	advertTTL = 255
	advertTOS = 0xC0
)

const (
	typeAdvertisement = 1
	ipHeaderLen       = 20
	messageHeaderLen  = 8
	authDataLen       = 8
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

// DecodeError says why bytes are not an advert.
type DecodeError struct {
	Reason IgnoreReason // IgnoreMalformed, IgnoreVersion or IgnoreDestination
	Detail string
}

// Error implements error.
func (e *DecodeError) Error() string { return "vrrp: " + e.Detail }

func malformed(format string, args ...any) error {
	return &DecodeError{Reason: IgnoreMalformed, Detail: fmt.Sprintf(format, args...)}
}

// Decode reads one IPv4 packet, header included, into p and keeps nothing of
// b. Bytes behind the packet's own length (Ethernet padding) are passed over.
// It checks the form only: the values of TTL, version 2's checksum and the
// authentication are the caller's to judge (ChecksumOK, VerifyICV). The
// capacity of p.Advert.Addresses is reused. After an error the fields decoded
// so far are set, the rest is zero. The error is a *DecodeError.
func (p *Packet) Decode(b []byte) error {
	*p = Packet{Advert: Advert{Addresses: p.Advert.Addresses[:0]}}
	payload, protocol, err := p.decodeIP(b)
	if err != nil {
		return err
	}
	if protocol == ProtocolAH {
		if payload, err = p.decodeAH(payload); err != nil {
			return err
		}
	}
	return p.Advert.Decode(payload, p.Src, p.Dst)
}

// decodeIP reads the IPv4 header and returns what it carries.
func (p *Packet) decodeIP(b []byte) (payload []byte, protocol uint8, err error) {
	if len(b) < ipHeaderLen {
		return nil, 0, malformed("packet of %d bytes is too short for an IPv4 header", len(b))
	}
	if b[0]>>4 != 4 {
		return nil, 0, malformed("IP version %d, want 4", b[0]>>4)
	}
	headerLen, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if headerLen < ipHeaderLen || total < headerLen || total > len(b) {
		return nil, 0, malformed("IPv4 header of %d bytes and total length %d in a packet of %d bytes", headerLen, total, len(b))
	}
	p.TOS, p.TTL, protocol = b[1], b[8], b[9]
	p.ID = binary.BigEndian.Uint16(b[4:])
	p.Src = netip.AddrFrom4([4]byte(b[12:16]))
	p.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	// An advert fits any MTU: a fragment is no advert (more-fragments or offset).
	if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return nil, 0, malformed("fragment")
	}
	if protocol != ProtocolVRRP && protocol != ProtocolAH {
		return nil, 0, malformed("IP protocol %d, want %d or %d", protocol, ProtocolVRRP, ProtocolAH)
	}
	return b[headerLen:total], protocol, nil
}

// Decode reads a VRRP message, version 2 or 3, that came from src to dst (both
// are in version 3's checksum). The rules are those of Packet.Decode.
func (a *Advert) Decode(b []byte, src, dst netip.Addr) error {
	*a = Advert{Addresses: a.Addresses[:0]}
	if len(b) < messageHeaderLen {
		return malformed("VRRP message of %d bytes, at least %d expected", len(b), messageHeaderLen)
	}
	a.Version, a.Type = b[0]>>4, b[0]&0xf
	a.VRID, a.Priority = b[1], b[2]
	count := int(b[3])
	switch a.Version {
	case 2:
		a.Auth = AuthType(b[4])
		a.Interval = time.Duration(b[5]) * time.Second
	case 3:
		a.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0xfff) * (10 * time.Millisecond)
	default:
		return &DecodeError{Reason: IgnoreVersion, Detail: fmt.Sprintf("VRRP version %d", a.Version)}
	}
	size := addressSize(src)
	want := messageHeaderLen + count*size
	if a.Version == 2 {
		want += authDataLen
	}
	if len(b) < want {
		return malformed("VRRP message too short: %d bytes, %d expected for %d addresses", len(b), want, count)
	}
	b = b[:want]
	for i := range count {
		addr, _ := netip.AddrFromSlice(b[messageHeaderLen+i*size:][:size])
		a.Addresses = append(a.Addresses, addr)
	}
	if a.Version == 2 {
		copy(a.AuthData[:], b[want-authDataLen:])
		a.ChecksumOK = checksum(0, b) == 0
		return nil
	}
	a.ChecksumOK = checksum(pseudoHeader(src, dst, len(b)), b) == 0
	return nil
}

func addressSize(a netip.Addr) int {
	if a.Is6() {
		return 16
	}
	return 4
}

// AppendTo appends the packet to b. password keys the ICV when p.AH; p.ICV is
// not read. Src, Dst and the addresses must be of the same family, IPv4; at
// most 255 addresses are written.
func (p *Packet) AppendTo(b []byte, password string) []byte {
	start := len(b)
	protocol := byte(ProtocolVRRP)
	if p.AH {
		protocol = ProtocolAH
	}
	src, dst := p.Src.As4(), p.Dst.As4()
	b = append(b, 0x45, p.TOS, 0, 0)
	b = binary.BigEndian.AppendUint16(b, p.ID)
	b = append(b, 0, 0, p.TTL, protocol, 0, 0)
	b = append(append(b, src[:]...), dst[:]...)
	if p.AH {
		b = p.appendAH(b)
	}
	b = p.Advert.AppendTo(b, p.Src, p.Dst)

	ip := b[start:]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	if p.AH {
		signAH(ip, password)
	}
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip[:ipHeaderLen]))
	return b
}

// AppendTo appends the VRRP message to b, with its checksum for a packet from
// src to dst.
func (a *Advert) AppendTo(b []byte, src, dst netip.Addr) []byte {
	start := len(b)
	addrs := a.Addresses[:min(len(a.Addresses), 255)]
	b = append(b, a.Version<<4|a.Type&0xf, a.VRID, a.Priority, byte(len(addrs)))
	if a.Version == 2 {
		b = append(b, byte(a.Auth), byte(a.Interval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/(10*time.Millisecond))&0xfff)
	}
	b = append(b, 0, 0)
	for _, addr := range addrs {
		b = appendAddr(b, addr)
	}
	if a.Version == 2 {
		b = append(b, a.AuthData[:]...)
	}
	msg := b[start:]
	var sum uint32
	if a.Version != 2 {
		sum = pseudoHeader(src, dst, len(msg))
	}
	binary.BigEndian.PutUint16(msg[6:], checksum(sum, msg))
	return b
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is6() {
		v := a.As16()
		return append(b, v[:]...)
	}
	v := a.As4()
	return append(b, v[:]...)
}

// checksum is the Internet checksum (RFC 1071) of b on top of sum, in host
// order; over a message with its checksum in place it is 0.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// pseudoHeader is the sum of the pseudo header that version 3 includes for
// both families (RFC 5798 §5.2.8, and keepalived for IPv4 too).
func pseudoHeader(src, dst netip.Addr, length int) uint32 {
	var buf [32]byte
	b := appendAddr(appendAddr(buf[:0], src), dst)
	sum := uint32(length) + ProtocolVRRP
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	return sum
}
