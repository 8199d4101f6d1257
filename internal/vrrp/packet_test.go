package vrrp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

var compareAddrs = cmpopts.EquateComparable(netip.Addr{})

// captures lists every capture with IPv4 adverts and what is in it.
var captures = []struct {
	name     string
	version  uint8
	auth     vrrp.AuthType
	password string
	interval time.Duration
	adverts  int
}{
	{name: "v2-plain", version: 2, interval: 2 * time.Second},
	{name: "v2-pass", version: 2, auth: vrrp.AuthPass, password: "s3cret", interval: time.Second},
	{name: "v2-ah", version: 2, auth: vrrp.AuthAH, password: "k@l", interval: time.Second, adverts: 26},
	{name: "sync-group", version: 2, interval: time.Second},
	{name: "nopreempt", version: 2, interval: time.Second},
	{name: "equal-priority", version: 2, interval: time.Second},
	{name: "track-script", version: 2, interval: time.Second},
	{name: "garp-options", version: 2, interval: time.Second},
	{name: "garp-repeat", version: 2, interval: time.Second},
	{name: "mismatch", version: 2},
	{name: "unicast", version: 2, interval: time.Second},
	{name: "vmac", version: 2, interval: time.Second},
	{name: "vmac2", version: 2, interval: time.Second},
	{name: "v3", version: 3, interval: time.Second},
	{name: "v3-centisecond", version: 3, interval: 100 * time.Millisecond},
}

func TestCapturesRoundTrip(t *testing.T) {
	for _, c := range captures {
		t.Run(c.name, func(t *testing.T) {
			packets := adverts(t, c.name)
			if len(packets) < 10 || c.adverts != 0 && len(packets) != c.adverts {
				t.Fatalf("%d adverts in the capture", len(packets))
			}
			for n, f := range packets {
				var p vrrp.Packet
				if err := p.Decode(f.ip); err != nil {
					t.Fatalf("advert %d: %v", n, err)
				}
				a := p.Advert
				if p.TTL != 255 || p.TOS != 0xC0 || a.Version != c.version || a.Type != 1 || !a.ChecksumOK || len(a.Addresses) == 0 {
					t.Errorf("advert %d: %+v", n, p)
				}
				if c.interval != 0 && (a.Auth != c.auth || a.Interval != c.interval) {
					t.Errorf("advert %d: auth %v, interval %v", n, a.Auth, a.Interval)
				}
				if c.auth == vrrp.AuthAH {
					checkICV(t, f.ip, &p, c.password)
				}
				if got := p.AppendTo(nil, c.password); !bytes.Equal(got, f.ip) {
					t.Errorf("advert %d encodes as\n%x, was\n%x", n, got, f.ip)
				}
			}
		})
	}
}

func checkICV(t *testing.T, packet []byte, p *vrrp.Packet, password string) {
	t.Helper()
	if !p.AH || netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, p.SPI))) != p.Src {
		t.Errorf("AH %v with SPI %#x from %v", p.AH, p.SPI, p.Src)
	}
	if !vrrp.VerifyICV(packet, password) {
		t.Errorf("sequence %d: ICV does not verify", p.Sequence)
	}
	if vrrp.VerifyICV(packet, password+"!ve1") {
		t.Errorf("sequence %d: ICV verifies with a wrong password", p.Sequence)
	}
	for _, at := range []int{4, 8, 16, 24, 30, 44, len(packet) - 1} {
		forged := bytes.Clone(packet)
		forged[at] ^= 1
		if vrrp.VerifyICV(forged, password) {
			t.Errorf("sequence %d: ICV verifies with byte %d changed", p.Sequence, at)
		}
	}
}

func TestDecodeVersion3OverIPv6(t *testing.T) {
	seen := 0
	for _, f := range readCapture(t, "v3-ipv6") {
		if f.ip[0]>>4 != 6 || f.ip[6] != 112 {
			continue
		}
		seen++
		src, dst := netip.AddrFrom16([16]byte(f.ip[8:24])), netip.AddrFrom16([16]byte(f.ip[24:40]))
		msg := f.ip[40:]
		var a vrrp.Advert
		if err := a.Decode(msg, src, dst); err != nil {
			t.Fatal(err)
		}
		want := []netip.Addr{netip.MustParseAddr("fe80::7:100"), netip.MustParseAddr("fd07::100")}
		if a.Version != 3 || !a.ChecksumOK || a.Interval != time.Second || !cmp.Equal(a.Addresses, want, compareAddrs) {
			t.Errorf("got %+v", a)
		}
		if got := a.AppendTo(nil, src, dst); !bytes.Equal(got, msg) {
			t.Errorf("encodes as\n%x, was\n%x", got, msg)
		}
	}
	if seen < 10 {
		t.Fatalf("%d adverts in the capture", seen)
	}
}

func TestDecodeErrors(t *testing.T) {
	good := adverts(t, "v2-ah")[0].ip
	change := func(at int, to ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], to)
		return b
	}
	for _, tt := range []struct {
		name   string
		packet []byte
		reason vrrp.IgnoreReason
	}{
		{"empty", nil, vrrp.IgnoreMalformed},
		{"short IP header", good[:19], vrrp.IgnoreMalformed},
		{"IPv6", change(0, 0x65), vrrp.IgnoreMalformed},
		{"header length under 20", change(0, 0x44), vrrp.IgnoreMalformed},
		{"header longer than packet", change(2, 0, 20, 0, 1, 0, 0), vrrp.IgnoreMalformed},
		{"total length over the packet", change(2, 0xff, 0xff), vrrp.IgnoreMalformed},
		{"total length under the header", change(2, 0, 19), vrrp.IgnoreMalformed},
		{"first fragment", change(6, 0x20, 0), vrrp.IgnoreMalformed},
		{"later fragment", change(6, 0, 1), vrrp.IgnoreMalformed},
		{"other protocol", change(9, 17), vrrp.IgnoreMalformed},
		{"AH truncated", append(change(2, 0, 43)[:43:43], 0), vrrp.IgnoreMalformed},
		{"AH before something else", change(20, 6), vrrp.IgnoreMalformed},
		{"AH of another length", change(21, 5), vrrp.IgnoreMalformed},
		{"message truncated", change(2, 0, 50), vrrp.IgnoreMalformed},
		{"more addresses than there is room", change(47, 2), vrrp.IgnoreMalformed},
		{"version 4", change(44, 0x41), vrrp.IgnoreVersion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p vrrp.Packet
			var bad *vrrp.DecodeError
			if err := p.Decode(tt.packet); !errors.As(err, &bad) || bad.Reason != tt.reason || bad.Detail == "" {
				t.Errorf("Decode(%x) = %v (%+v), want reason %d", tt.packet, err, bad, tt.reason)
			}
		})
	}
}

// Ethernet pads short frames: what is behind the packet's length is not read.
func TestDecodeIgnoresPadding(t *testing.T) {
	good := adverts(t, "v2-ah")[0].ip
	var p, q vrrp.Packet
	if err := p.Decode(good); err != nil {
		t.Fatal(err)
	}
	padded := append(bytes.Clone(good), 1, 2, 3, 4, 5, 6)
	if err := q.Decode(padded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, q, compareAddrs); diff != "" {
		t.Error(diff)
	}
	if !vrrp.VerifyICV(padded, "k@l") {
		t.Error("ICV does not verify with padding behind")
	}
}

func TestDecodeTellsWrongChecksum(t *testing.T) {
	for _, name := range []string{"v2-pass", "v3"} {
		packet := bytes.Clone(adverts(t, name)[0].ip)
		packet[22]-- // priority
		var p vrrp.Packet
		if err := p.Decode(packet); err != nil || p.Advert.ChecksumOK {
			t.Errorf("%s: error %v, ChecksumOK %v", name, err, p.Advert.ChecksumOK)
		}
	}
}

// FuzzDecode: no bytes make the decoder panic, and what it accepts it writes
// back so that it reads the same.
func FuzzDecode(f *testing.F) {
	for _, c := range captures {
		packets := adverts(f, c.name)
		f.Add(packets[0].ip)
		f.Add(packets[len(packets)-1].ip)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p vrrp.Packet
		vrrp.VerifyICV(b, "k@l")
		if err := p.Decode(b); err != nil {
			return
		}
		again := p.AppendTo(nil, "k@l")
		var q vrrp.Packet
		if err := q.Decode(again); err != nil {
			t.Fatalf("%x decodes to %+v, which encodes as %x: %v", b, p, again, err)
		}
		if p.AH && !vrrp.VerifyICV(again, "k@l") {
			t.Errorf("%x: own ICV does not verify", again)
		}
		ignore := cmpopts.IgnoreFields(vrrp.Packet{}, "ICV")
		sum := cmpopts.IgnoreFields(vrrp.Advert{}, "ChecksumOK")
		if diff := cmp.Diff(p, q, compareAddrs, ignore, sum); diff != "" {
			t.Error(diff)
		}
		if !q.Advert.ChecksumOK {
			t.Errorf("%x: own checksum is wrong", again)
		}
	})
}
