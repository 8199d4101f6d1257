package vrrpio

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

const (
	ethernetLen = 14
	arpLen      = 28
)

// tapFilter lets through ARP and IPv4 of protocols 112 and 51, without VLAN
// tag (a tagged one is seen again on its VLAN's interface), that others sent.
func tapFilter() (*unix.SockFprog, error) {
	const accept, drop = 0x40000, 0
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: 9},
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 7},
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: 4},
		bpf.LoadAbsolute{Off: ethernetLen + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: vrrp.ProtocolVRRP, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: vrrp.ProtocolAH, SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: drop},
	})
	if err != nil {
		return nil, err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}, nil
}

// watch is what to look for on one interface.
type watch struct {
	vrids map[uint8]bool
	vips  map[netip.Addr]bool
}

func newWatch(i TapInterface) watch {
	w := watch{vrids: map[uint8]bool{}, vips: map[netip.Addr]bool{}}
	for _, v := range i.VRIDs {
		w.vrids[v] = true
	}
	for _, a := range i.VIPs {
		w.vips[a.Unmap()] = true
	}
	return w
}

// observe reads one Ethernet frame. ok is false when it is none of what is
// looked for.
func (w watch) observe(frame []byte) (o Observation, ok bool) {
	if len(frame) < ethernetLen {
		return Observation{}, false
	}
	source, payload := net.HardwareAddr(frame[6:12]), frame[ethernetLen:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_ARP:
		o, ok = w.arp(payload)
	case unix.ETH_P_IP:
		o, ok = w.advert(payload)
		o.MAC = source
	}
	o.MAC = append(net.HardwareAddr(nil), o.MAC...) // the frame's room is used again
	return o, ok && len(o.MAC) == 6
}

// arp looks for one of our addresses as the sender's (RFC 826): a request, a
// gratuitous one or a reply, each makes the segment believe it.
func (w watch) arp(b []byte) (Observation, bool) {
	if len(b) < arpLen || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP || b[4] != 6 || b[5] != 4 {
		return Observation{}, false
	}
	vip := netip.AddrFrom4([4]byte(b[14:18]))
	return Observation{Kind: ForeignARP, MAC: net.HardwareAddr(b[8:14]), VIP: vip}, w.vips[vip]
}

// advert looks for an advert of one of our virtual routers. One that we would
// ignore for its authentication or interval is an advert all the same.
func (w watch) advert(b []byte) (Observation, bool) {
	var p vrrp.Packet
	if err := p.Decode(b); err != nil {
		return Observation{}, false
	}
	a := p.Advert
	return Observation{Kind: AdvertOnWire, From: p.Src, VRID: a.VRID, Priority: a.Priority}, w.vrids[a.VRID]
}

// reportEvery is how often the same observation is reported.
const reportEvery = time.Second

// maxSources bounds what is remembered: somebody may make MAC addresses up.
const maxSources = 1024

// limiter holds observations back that were reported just now.
type limiter struct {
	seen  map[source]*sighting
	swept time.Time
}

// source is what makes two observations the same.
type source struct {
	iface string
	kind  Kind
	mac   [6]byte
	vrid  uint8
	vip   netip.Addr
}

type sighting struct {
	reported time.Time
	count    int
}

func newLimiter() *limiter { return &limiter{seen: map[source]*sighting{}} }

// allow returns how many were seen since the last one that was reported, 0
// when this one is not to be.
func (l *limiter) allow(now time.Time, o Observation) int {
	key := source{o.Interface, o.Kind, [6]byte(o.MAC), o.VRID, o.VIP}
	s := l.seen[key]
	if s == nil {
		if len(l.seen) >= maxSources && !l.forget(now) {
			return 0
		}
		s = &sighting{}
		l.seen[key] = s
	}
	s.count++
	if now.Sub(s.reported) < reportEvery {
		return 0
	}
	n := s.count
	s.reported, s.count = now, 0
	return n
}

// forget makes room by what was not seen lately. It reports whether it could,
// and looks no more often than things can have changed.
func (l *limiter) forget(now time.Time) bool {
	if now.Sub(l.swept) < reportEvery {
		return false
	}
	l.swept = now
	before := len(l.seen)
	for k, s := range l.seen {
		if now.Sub(s.reported) > 10*reportEvery {
			delete(l.seen, k)
		}
	}
	return len(l.seen) < before
}
