package vrrp_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// anySpec draws specs, also ones that config would refuse.
func anySpec(t *rapid.T) vrrp.Spec {
	s := vrrp.Spec{StartupDelay: time.Duration(rapid.IntRange(0, 2).Draw(t, "startup")) * time.Second}
	names := []string{"a", "b", "c", "d"}
	name := rapid.SampledFrom(names)
	tracks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) vrrp.TrackSpec {
		return vrrp.TrackSpec{
			Name:   rapid.SampledFrom([]string{"eth0", "eth1", "s", "u"}).Draw(t, "name"),
			Weight: rapid.IntRange(-300, 300).Draw(t, "weight"), Reverse: rapid.Bool().Draw(t, "reverse"),
		}
	}), 0, 2)
	for range rapid.IntRange(0, 4).Draw(t, "instances") {
		s.Instances = append(s.Instances, vrrp.InstanceSpec{
			Name:            name.Draw(t, "name"),
			Interface:       rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "interface"),
			VRID:            rapid.Uint8Range(0, 3).Draw(t, "vrid"),
			Priority:        rapid.Uint8().Draw(t, "priority"),
			AdvertInterval:  time.Duration(rapid.IntRange(-1, 3000).Draw(t, "interval")) * time.Millisecond,
			Auth:            vrrp.AuthType(rapid.IntRange(0, 2).Draw(t, "auth")),
			Password:        rapid.StringN(0, 12, 12).Draw(t, "password"),
			Preempt:         rapid.Bool().Draw(t, "preempt"),
			PreemptDelay:    time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * time.Second,
			Addresses:       []netip.Addr{netip.MustParseAddr("10.7.0.100"), netip.MustParseAddr("fd00::1"), {}},
			Announce:        []netip.Addr{netip.MustParseAddr("10.7.0.100")},
			GARP:            vrrp.GARPSpec{Repeat: 1, Delay: time.Second, Refresh: time.Duration(rapid.IntRange(-1, 2).Draw(t, "refresh")) * time.Second},
			TrackInterfaces: tracks.Draw(t, "interfaces"),
			TrackScripts:    tracks.Draw(t, "scripts"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "groups") {
		s.Groups = append(s.Groups, vrrp.GroupSpec{
			Name:            rapid.SampledFrom([]string{"", "g", "h"}).Draw(t, "group"),
			Members:         rapid.SliceOfN(name, 0, 3).Draw(t, "members"),
			TrackInterfaces: tracks.Draw(t, "interfaces"),
			TrackScripts:    tracks.Draw(t, "scripts"),
		})
	}
	if rapid.Bool().Draw(t, "script") {
		s.Scripts = []vrrp.ScriptSpec{{Name: "s", Rise: rapid.IntRange(-1, 2).Draw(t, "rise"), Fall: 2}}
	}
	return s
}

func anyInput(t *rapid.T, sent [][]byte) vrrp.Input {
	iface := rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "on")
	name := rapid.SampledFrom([]string{"a", "b", "c", "d", "z"}).Draw(t, "of")
	switch rapid.IntRange(0, 11).Draw(t, "input") {
	case 0:
		return vrrp.Start{Resume: []vrrp.Resume{{Instance: name, State: vrrp.State(rapid.Uint8Range(0, 6).Draw(t, "was")), Sequence: rapid.Uint32().Draw(t, "sequence")}}}
	case 1:
		return vrrp.LinkChanged{Interface: iface, Up: rapid.Bool().Draw(t, "up")}
	case 2:
		return vrrp.SourceChanged{Interface: iface, Addr: rapid.SampledFrom([]netip.Addr{{}, self, netip.MustParseAddr("fd00::2")}).Draw(t, "source")}
	case 3:
		return vrrp.ScriptResult{Script: "s", OK: rapid.Bool().Draw(t, "ok")}
	case 4:
		return vrrp.AddressesReady{Instance: name}
	case 5:
		return vrrp.AddressLost{Instance: name}
	case 6:
		return vrrp.Failover{Instance: name}
	case 7:
		return vrrp.Reconfigure{Spec: anySpec(t)}
	case 8:
		return vrrp.PacketReceived{Interface: iface, Packet: rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "packet")}
	case 9:
		if len(sent) > 0 { // an own one, from another address and changed
			b := bytes.Clone(rapid.SampledFrom(sent).Draw(t, "sent"))
			b[15] = 99
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= rapid.Byte().Draw(t, "bits")
			return vrrp.PacketReceived{Interface: iface, Packet: b}
		}
	case 10:
		if rapid.IntRange(0, 20).Draw(t, "stop") == 0 {
			return vrrp.Stop{}
		}
	}
	return vrrp.TimerFired{}
}

// TestMachineSurvivesAnything: whatever comes in, in whatever order, the
// machine does not panic (an illegal transition does), it asks for the future,
// and its status is where its transitions led.
func TestMachineSurvivesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := vrrp.New(anySpec(t))
		now := t0
		var sent [][]byte
		last := map[string]vrrp.State{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "later")) * time.Millisecond)
			in := anyInput(t, sent)
			for _, a := range m.Step(now, in) {
				switch a := a.(type) {
				case vrrp.SendPacket:
					var p vrrp.Packet
					if err := p.Decode(a.Packet); err != nil || !p.Advert.ChecksumOK || p.Dst != vrrp.Group || p.TTL != 255 {
						t.Fatalf("%T sends %x: %v", in, a.Packet, err)
					}
					sent = append(sent, a.Packet)
				case vrrp.Transition:
					last[a.Instance] = a.To
				default: // not of interest here
				}
			}
			if due, ok := m.Deadline(); ok {
				if _, fired := in.(vrrp.TimerFired); fired && !due.After(now) {
					t.Fatalf("deadline %v is not after %v", due, now)
				}
			}
			if _, reloaded := in.(vrrp.Reconfigure); reloaded {
				// Names may mean others now.
				clear(last)
				for _, i := range m.Status().Instances {
					last[i.Name] = i.State
				}
			}
			if err := agrees(m.Status(), last); err != nil {
				t.Fatalf("after %T: %v", in, err)
			}
		}
	})
}

// agrees compares the instances whose name is theirs alone.
func agrees(s vrrp.Status, last map[string]vrrp.State) error {
	names := map[string]int{}
	for _, i := range s.Instances {
		names[i.Name]++
	}
	for _, i := range s.Instances {
		if i.EffectivePriority == 0 {
			return fmt.Errorf("%s has priority 0", i.Name)
		}
		if names[i.Name] == 1 && i.State != last[i.Name] {
			return fmt.Errorf("%s is %v, transitions led to %v", i.Name, i.State, last[i.Name])
		}
	}
	return nil
}
