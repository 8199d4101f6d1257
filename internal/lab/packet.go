package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Packet is one captured frame.
type Packet struct {
	Time     time.Time
	Outgoing bool // sent by the host it was captured on
	Data     []byte
}

// Summary is what a test or a reader asks of a packet.
type Summary struct {
	SrcMAC, DstMAC net.HardwareAddr
	EtherType      uint16
	Src, Dst       netip.AddrPort // port 0 where the protocol has none
	Protocol       uint8          // of IP; 0 when it is not IP
	TTL            uint8
	TCPFlags       uint8  // as on the wire: FIN 1, SYN 2, RST 4, PSH 8, ACK 16
	Payload        []byte // behind the TCP or UDP header, else behind IP's
}

// TCP header flags.
const (
	TCPFin = 1 << 0
	TCPSyn = 1 << 1
	TCPRst = 1 << 2
	TCPAck = 1 << 4
)

// Decode reads Ethernet and IPv4 with TCP or UDP as far as they are there; it
// never fails, what cannot be read stays zero.
func (p Packet) Decode() Summary {
	var s Summary
	d := p.Data
	if len(d) < 14 {
		return s
	}
	s.DstMAC, s.SrcMAC = net.HardwareAddr(d[0:6]), net.HardwareAddr(d[6:12])
	s.EtherType = binary.BigEndian.Uint16(d[12:])
	d = d[14:]
	if s.EtherType == unix.ETH_P_IP {
		s.ipv4(d)
	}
	return s
}

func (s *Summary) ipv4(d []byte) {
	if len(d) < 20 || d[0]>>4 != 4 {
		return
	}
	header, total := int(d[0]&0xf)*4, int(binary.BigEndian.Uint16(d[2:]))
	if header < 20 || total < header || total > len(d) {
		return
	}
	s.TTL, s.Protocol = d[8], d[9]
	s.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(d[12:16])), 0)
	s.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(d[16:20])), 0)
	s.Payload = d[header:total]
	if binary.BigEndian.Uint16(d[6:])&0x1fff != 0 {
		return // a later fragment has no ports
	}
	switch l4 := s.Payload; {
	case s.Protocol == unix.IPPROTO_TCP && len(l4) >= 20:
		s.ports(l4)
		s.TCPFlags = l4[13]
		s.Payload = l4[min(len(l4), int(l4[12]>>4)*4):]
	case s.Protocol == unix.IPPROTO_UDP && len(l4) >= 8:
		s.ports(l4)
		s.Payload = l4[8:]
	}
}

func (s *Summary) ports(l4 []byte) {
	s.Src = netip.AddrPortFrom(s.Src.Addr(), binary.BigEndian.Uint16(l4))
	s.Dst = netip.AddrPortFrom(s.Dst.Addr(), binary.BigEndian.Uint16(l4[2:]))
}

// String is one line, in the manner of packet analysers.
func (s Summary) String() string {
	if s.Protocol == 0 {
		return fmt.Sprintf("%s > %s ethertype %#04x", s.SrcMAC, s.DstMAC, s.EtherType)
	}
	out := fmt.Sprintf("%s > %s %s > %s", s.SrcMAC, s.DstMAC, s.Src, s.Dst)
	if s.Protocol != unix.IPPROTO_TCP {
		return fmt.Sprintf("%s protocol %d, %d bytes", out, s.Protocol, len(s.Payload))
	}
	var flags strings.Builder
	for i, c := range "FSRPA" {
		if s.TCPFlags>>i&1 == 1 {
			flags.WriteString(string(c))
		}
	}
	return fmt.Sprintf("%s tcp [%s], %d bytes", out, flags.String(), len(s.Payload))
}
