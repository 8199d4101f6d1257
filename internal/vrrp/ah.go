package vrrp

import (
	"crypto/hmac"
	"crypto/md5" // RFC 2403 HMAC-MD5-96 is what the other routers check
	"encoding/binary"
	"net/netip"
)

// The authentication header (RFC 4302 §2) as keepalived writes it: 24 bytes,
// next header 112, SPI the sender's address, ICV of 96 bits.
const (
	ahLen    = 24
	icvLen   = 12
	icvStart = ahLen - icvLen
)

// ahPayloadLen is the header's length field: 32-bit words less 2.
const ahPayloadLen = ahLen/4 - 2

func (p *Packet) decodeAH(b []byte) ([]byte, error) {
	if len(b) < ahLen {
		return nil, malformed("authentication header of %d bytes, %d expected", len(b), ahLen)
	}
	if b[0] != ProtocolVRRP {
		return nil, malformed("authentication header before IP protocol %d, want %d", b[0], ProtocolVRRP)
	}
	if b[1] != ahPayloadLen {
		return nil, malformed("authentication header of length %d, want %d", b[1], ahPayloadLen)
	}
	p.AH = true
	p.SPI = binary.BigEndian.Uint32(b[4:])
	p.Sequence = binary.BigEndian.Uint32(b[8:])
	copy(p.ICV[:], b[icvStart:])
	return b[ahLen:], nil
}

// appendAH writes the header with a zero ICV; signAH fills it in.
func (p *Packet) appendAH(b []byte) []byte {
	b = append(b, ProtocolVRRP, ahPayloadLen, 0, 0)
	b = binary.BigEndian.AppendUint32(b, p.SPI)
	b = binary.BigEndian.AppendUint32(b, p.Sequence)
	return append(b, make([]byte, icvLen)...)
}

// signAH writes the ICV of an IPv4 packet without options.
func signAH(ip []byte, password string) {
	icv := icvOf(ip, ipHeaderLen, password)
	copy(ip[ipHeaderLen+icvStart:], icv[:])
}

// VerifyICV tells whether the ICV in a packet that Decode accepted, with AH,
// is the one password gives.
func VerifyICV(packet []byte, password string) bool {
	if len(packet) < ipHeaderLen {
		return false
	}
	headerLen, total := int(packet[0]&0xf)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if headerLen < ipHeaderLen || total > len(packet) || total < headerLen+ahLen {
		return false
	}
	packet = packet[:total]
	want := icvOf(packet, headerLen, password)
	return hmac.Equal(want[:], packet[headerLen+icvStart:headerLen+ahLen])
}

// icvOf is HMAC-MD5-96 over the whole packet, with the ICV itself and what may
// change on the way counted as zero.
//
// Compat: RFC 4302 §3.3.3.1.1 zeroes the TTL too; keepalived zeroes only TOS,
// fragment offset and header checksum, and includes the TTL as it is, 255.
func icvOf(ip []byte, headerLen int, password string) (icv [icvLen]byte) {
	var header [60]byte
	copy(header[:headerLen], ip)
	header[1] = 0
	header[6], header[7] = 0, 0
	header[10], header[11] = 0, 0

	mac := hmac.New(md5.New, []byte(password))
	mac.Write(header[:headerLen])
	mac.Write(ip[headerLen : headerLen+icvStart])
	mac.Write(icv[:]) // still zero
	mac.Write(ip[headerLen+ahLen:])
	copy(icv[:], mac.Sum(nil))
	return icv
}

// spiOf is the security parameters index keepalived uses: the sender's
// address.
func spiOf(src netip.Addr) uint32 {
	a := src.As4()
	return binary.BigEndian.Uint32(a[:])
}
