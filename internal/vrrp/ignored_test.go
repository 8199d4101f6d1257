package vrrp_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// flipped returns the packet with bits of one byte changed.
func flipped(packet []byte, at int) []byte {
	b := bytes.Clone(packet)
	b[at] ^= 1
	return b
}

func TestIgnored(t *testing.T) {
	none := plain("VI_1", 51, 100, "10.7.0.100", "10.7.0.101")
	pass, ah := none, none
	pass.Auth, pass.Password = vrrp.AuthPass, "s3cret"
	ah.Auth, ah.Password = vrrp.AuthAH, "k@l"
	with := func(f func(*vrrp.Packet)) []byte { return from(none, 200, f) }
	for _, tt := range []struct {
		name   string
		spec   vrrp.InstanceSpec
		packet []byte
		want   vrrp.IgnoreReason // 0: accepted
	}{
		{"good", none, from(none, 200), 0},
		{"good with password", pass, from(pass, 200), 0},
		{"good with AH", ah, from(ah, 200), 0},
		{"addresses in another order", none, with(func(p *vrrp.Packet) {
			p.Advert.Addresses = []netip.Addr{none.Addresses[1], none.Addresses[0]}
		}), 0},
		{"empty", none, nil, vrrp.IgnoreMalformed},
		{"TTL 254", none, with(func(p *vrrp.Packet) { p.TTL = 254 }), vrrp.IgnoreTTL},
		{"version 3", none, with(func(p *vrrp.Packet) { p.Advert.Version = 3 }), vrrp.IgnoreVersion},
		{"version 1", none, with(func(p *vrrp.Packet) { p.Advert.Version = 1 }), vrrp.IgnoreVersion},
		{"VRID", none, with(func(p *vrrp.Packet) { p.Advert.VRID = 52 }), vrrp.IgnoreVRID},
		{"password where none is", none, from(pass, 200), vrrp.IgnoreAuthType},
		{"none where a password is", pass, from(none, 200), vrrp.IgnoreAuthType},
		{"AH type without the header", ah, from(ah, 200, func(p *vrrp.Packet) { p.AH = false }), vrrp.IgnoreAuthType},
		{"AH around no authentication", none, from(none, 200, func(p *vrrp.Packet) { p.AH = true }), vrrp.IgnoreAuthType},
		{"auth type 9", none, with(func(p *vrrp.Packet) { p.Advert.Auth = 9 }), vrrp.IgnoreAuthType},
		{"password", pass, from(pass, 200, func(p *vrrp.Packet) { p.Advert.AuthData[7] = 'x' }), vrrp.IgnorePassword},
		{"AH, priority forged", ah, flipped(from(ah, 200), 46), vrrp.IgnoreICV},
		{"AH, SPI not the sender", ah, from(ah, 200, func(p *vrrp.Packet) { p.SPI = 0x0a07000d }), vrrp.IgnoreICV},
		{"AH, old", ah, from(ah, 200, func(p *vrrp.Packet) { p.Sequence = 0 }), vrrp.IgnoreReplay},
		{"interval", none, with(func(p *vrrp.Packet) { p.Advert.Interval = 2 * time.Second }), vrrp.IgnoreInterval},
		{"type", none, with(func(p *vrrp.Packet) { p.Advert.Type = 2 }), vrrp.IgnoreType},
		{"checksum", none, flipped(from(none, 200), 27), vrrp.IgnoreChecksum},
		{"sent to us alone", none, with(func(p *vrrp.Packet) { p.Dst = self }), vrrp.IgnoreDestination},
		{"an address more", none, with(func(p *vrrp.Packet) {
			p.Advert.Addresses = append(slices.Clone(none.Addresses), netip.MustParseAddr("10.7.0.102"))
		}), vrrp.IgnoreAddresses},
		{"another address", none, with(func(p *vrrp.Packet) {
			p.Advert.Addresses = []netip.Addr{none.Addresses[0], none.Addresses[0]}
		}), vrrp.IgnoreAddresses},
		{"our own", none, with(func(p *vrrp.Packet) { p.Src = self }), vrrp.IgnoreOwn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := bootActive(one(tt.spec))
			actions := r.hear(tt.packet)
			ignored := kinds[vrrp.Ignored](actions)
			if tt.want == 0 {
				if r.state() != vrrp.Backup || len(ignored) != 0 || r.m.Status().Instances[0].Received != 1 {
					t.Errorf("not accepted: %v", actions)
				}
				return
			}
			if len(actions) != 1 || len(ignored) != 1 || ignored[0].Reason != tt.want || r.state() != vrrp.Active {
				t.Fatalf("got %+v, state %v, want only Ignored for %v", actions, r.state(), tt.want)
			}
			wantName := "VI_1"
			if tt.want == vrrp.IgnoreVRID || tt.want == vrrp.IgnoreMalformed {
				wantName = ""
			}
			if ignored[0].Instance != wantName {
				t.Errorf("for instance %q, want %q", ignored[0].Instance, wantName)
			}
		})
	}
}

// A packet heard on another interface is another virtual router's.
func TestIgnoredOnOtherInterface(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	r := bootActive(one(spec))
	got := r.step(vrrp.PacketReceived{Interface: "eth1", Packet: from(spec, 200)})
	want := []vrrp.Action{vrrp.Ignored{From: peer, Reason: vrrp.IgnoreVRID, Detail: "VRID 51"}}
	if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
		t.Error(diff)
	}
}
