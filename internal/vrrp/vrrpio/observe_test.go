package vrrpio

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ethernet puts a payload into a frame from 02:00:00:00:00:02.
func ethernet(etherType uint16, payload []byte) []byte {
	f := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2}
	return append(binary.BigEndian.AppendUint16(f, etherType), payload...)
}

// arp returns an ARP packet in which 02:00:00:00:00:03 says it is sender.
func arp(op byte, sender, target string) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, op, 2, 0, 0, 0, 0, 3}
	b = append(b, netip.MustParseAddr(sender).AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, netip.MustParseAddr(target).AsSlice()...)
}

// advert returns a version 2 advert without authentication from 10.0.0.2.
func advert(vrid, priority byte) []byte {
	b := []byte{
		0x45, 0xc0, 0, 40, 0, 1, 0, 0, 255, 112, 0, 0, 10, 0, 0, 2, 224, 0, 0, 18,
		0x21, vrid, priority, 1, 0, 1, 0, 0, 10, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	return b
}

func lookFor() watch {
	return newWatch(TapInterface{VRIDs: []uint8{51}, VIPs: []netip.Addr{netip.MustParseAddr("10.0.0.100")}})
}

func TestObserve(t *testing.T) {
	const isARP, isIP = 0x0806, 0x0800
	claim := &Observation{
		Kind: ForeignARP, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 3}, VIP: netip.MustParseAddr("10.0.0.100"),
	}
	tests := []struct {
		name  string
		frame []byte
		want  *Observation
	}{
		{"gratuitous request", ethernet(isARP, arp(1, "10.0.0.100", "10.0.0.100")), claim},
		{"reply", ethernet(isARP, arp(2, "10.0.0.100", "10.0.0.9")), claim},
		{"padded", ethernet(isARP, append(arp(2, "10.0.0.100", "10.0.0.9"), make([]byte, 18)...)), claim},
		{"somebody asks for the address", ethernet(isARP, arp(1, "10.0.0.9", "10.0.0.100")), nil},
		{"another address", ethernet(isARP, arp(2, "10.0.0.101", "10.0.0.9")), nil},
		{"ARP cut off", ethernet(isARP, arp(2, "10.0.0.100", "10.0.0.9")[:27]), nil},
		{"advert", ethernet(isIP, advert(51, 150)), &Observation{
			Kind: AdvertOnWire, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
			From: netip.MustParseAddr("10.0.0.2"), VRID: 51, Priority: 150,
		}},
		{"another VRID", ethernet(isIP, advert(52, 150)), nil},
		{"advert cut off", ethernet(isIP, advert(51, 150)[:30]), nil},
		{"something else", ethernet(0x86dd, make([]byte, 60)), nil},
		{"no header", []byte{1, 2, 3}, nil},
	}
	addrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := lookFor().observe(tt.frame)
			if ok != (tt.want != nil) {
				t.Fatalf("observed %v, %+v, want %+v", ok, got, tt.want)
			}
			if tt.want == nil {
				return
			}
			if d := cmp.Diff(*tt.want, got, addrs); d != "" {
				t.Errorf("observation (-want +got):\n%s", d)
			}
			for i := range tt.frame { // the frame's room is used again
				tt.frame[i] = 0
			}
			if d := cmp.Diff(*tt.want, got, addrs); d != "" {
				t.Errorf("observation shares the frame (-want +got):\n%s", d)
			}
		})
	}
}

// FuzzObserve: no frame breaks it, and what it reports is what was asked for.
func FuzzObserve(f *testing.F) {
	f.Add(ethernet(0x0806, arp(1, "10.0.0.100", "10.0.0.100")))
	f.Add(ethernet(0x0800, advert(51, 150)))
	f.Add(ethernet(0x0800, append([]byte{0x45, 0, 0, 20, 0, 0, 0, 0, 255, 51}, make([]byte, 10)...)))
	f.Fuzz(func(t *testing.T, frame []byte) {
		o, ok := lookFor().observe(frame)
		if !ok {
			return
		}
		switch o.Kind {
		case AdvertOnWire:
			ok = o.VRID == 51 && o.From.Is4()
		case ForeignARP:
			ok = o.VIP == netip.MustParseAddr("10.0.0.100")
		}
		if !ok || len(o.MAC) != 6 {
			t.Errorf("observed %+v in %x", o, frame)
		}
	})
}

func TestLimiter(t *testing.T) {
	l := newLimiter()
	start := time.Unix(1000, 0)
	a := Observation{Interface: "v0", Kind: AdvertOnWire, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, VRID: 51}
	b := a
	b.VRID = 52
	steps := []struct {
		after time.Duration
		o     Observation
		want  int
	}{
		{0, a, 1},
		{0, b, 1},
		{300 * time.Millisecond, a, 0},
		{600 * time.Millisecond, a, 0},
		{time.Second, a, 3},
		{1001 * time.Millisecond, b, 1},
		{1500 * time.Millisecond, a, 0},
	}
	for _, s := range steps {
		if got := l.allow(start.Add(s.after), s.o); got != s.want {
			t.Errorf("after %v: allowed %d, want %d", s.after, got, s.want)
		}
	}
}

// TestLimiterIsBounded: somebody makes MAC addresses up.
func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter()
	made := func(n int) Observation {
		return Observation{MAC: net.HardwareAddr{2, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}}
	}
	now, allowed := time.Unix(1000, 0), 0
	for n := range 5 * maxSources {
		allowed += l.allow(now, made(n))
	}
	if allowed != maxSources || len(l.seen) != maxSources {
		t.Errorf("allowed %d, remembers %d, want %d each", allowed, len(l.seen), maxSources)
	}
	if l.allow(now.Add(time.Minute), made(-1)) != 1 {
		t.Error("nothing was forgotten after a minute")
	}
}
