package vrrp_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// A replay puts a Machine in the place of one of the two keepaliveds of a
// capture, gives it what the other one sent when it sent it, and wants it to
// send what keepalived sent.
type replay struct {
	name    string
	capture string
	self    string  // the address played
	start   float64 // seconds of the capture's clock, 0: with the capture
	stop    float64 // 0: when the capture shows the priority 0 of the end
	// deaf is when the segment was cut.
	deaf [2]float64
	spec vrrp.Spec
	// also gives more inputs for a packet that was heard (a second segment).
	also func(frame) []vrrp.Input
	// edgesOnly compares only the first and the last advert of each VRID.
	edgesOnly bool
	// maxLate is how much later than keepalived's an advert may be sent, or
	// earlier: the recording guest was slow at times.
	maxLate time.Duration
}

const (
	r1 = "10.7.0.11"
	r2 = "10.7.0.12"
)

// clock turns the seconds written in the captures' protocol into a time.
func clock(s float64) time.Time {
	return time.UnixMicro(int64(s * 1e6)).UTC()
}

func plain(name string, vrid, priority uint8, addrs ...string) vrrp.InstanceSpec {
	s := vrrp.InstanceSpec{
		Name: name, Interface: "eth0", VRID: vrid, Priority: priority,
		AdvertInterval: time.Second, Preempt: true, DownTimerAdverts: 3,
		GARP: vrrp.GARPSpec{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1, LowerPrioRepeat: 5, LowerPrioDelay: 5 * time.Second},
	}
	for _, a := range addrs {
		s.Addresses = append(s.Addresses, netip.MustParseAddr(a))
	}
	s.Announce = s.Addresses
	return s
}

func one(s vrrp.InstanceSpec, change ...func(*vrrp.InstanceSpec)) vrrp.Spec {
	for _, f := range change {
		f(&s)
	}
	return vrrp.Spec{Instances: []vrrp.InstanceSpec{s}}
}

func replays() []replay {
	vi1 := func(priority uint8) vrrp.InstanceSpec { return plain("VI_1", 51, priority, "10.7.0.100") }
	pass := func(s *vrrp.InstanceSpec) { s.Auth, s.Password = vrrp.AuthPass, "s3cret" }
	ah := func(s *vrrp.InstanceSpec) { s.Auth, s.Password = vrrp.AuthAH, "k@l" }
	nopreempt := func(s *vrrp.InstanceSpec) { s.Preempt = false }
	two := func(s *vrrp.InstanceSpec) { s.AdvertInterval = 2 * time.Second }
	three := plain("VI_1", 51, 90, "10.7.0.100", "10.7.0.101", "10.7.0.102")
	other := plain("VI_2", 52, 90, "10.8.0.100")
	other.Interface = "eth1"
	mismatched := vrrp.Spec{Instances: []vrrp.InstanceSpec{
		vi1(90), plain("VI_2", 52, 90, "10.7.0.101"), plain("VI_3", 53, 90, "10.7.0.103"),
	}}
	mismatched.Instances[0].Auth, mismatched.Instances[0].Password = vrrp.AuthPass, "two"
	mismatched.Instances[1].AdvertInterval = 2 * time.Second
	return []replay{
		{name: "password, backup of a master that stops, returns and is killed", capture: "v2-pass", self: r2, spec: one(vi1(90), pass)},
		{name: "AH: the sequence number goes on", capture: "v2-ah", self: r2, spec: one(vi1(90), ah)},
		{name: "AH: a killed master returns", capture: "v2-ah", self: r1, start: 1795196710.35, stop: 1795196718.5, spec: one(vi1(100), ah)},
		{name: "no authentication, 2 s", capture: "v2-plain", self: r2, spec: one(three, two)},
		{name: "nopreempt, the lower priority", capture: "nopreempt", self: r2, spec: one(vi1(90), nopreempt)},
		{name: "nopreempt, the higher priority returns and stays backup", capture: "nopreempt", self: r1, start: 1795196524.3, spec: one(vi1(100), nopreempt)},
		{
			name: "equal priority, the higher address", capture: "equal-priority", self: r2, spec: one(vi1(100)),
			// From the moment r2's port left the bridge; what it sends there nobody records.
			start: 1795197104.3, deaf: [2]float64{1795197113.251, 1795197120.881},
		},
		{name: "equal priority, the lower address yields", capture: "equal-priority", self: r1, start: 1795197104.03, spec: one(vi1(100))},
		{name: "the master's priority falls under ours", capture: "track-script", self: r2, spec: one(vi1(90)), maxLate: 100 * time.Millisecond},
		{name: "GARP options", capture: "garp-repeat", self: r2, spec: one(vi1(90))},
		{
			name: "sync group waits for the other segment", capture: "sync-group", self: r2,
			spec: vrrp.Spec{
				Instances: []vrrp.InstanceSpec{vi1(90), other},
				Groups:    []vrrp.GroupSpec{{Name: "G1", Members: []string{"VI_1", "VI_2"}}},
			},
			also: secondSegment,
		},
		{
			name: "mismatch: both are masters", capture: "mismatch", self: r2, spec: mismatched,
			start: 1795196479.83,
			// Compat: keepalived puts its own next advert off at each advert it
			// drops, up to silence; ours go on. So only the first and the last.
			edgesOnly: true,
		},
	}
}

// secondSegment makes up what r1 sent as VI_2 on the segment that was not
// recorded: the same as on the first, but its priority 0 went nowhere.
func secondSegment(f frame) []vrrp.Input {
	var p vrrp.Packet
	if err := p.Decode(f.ip); err != nil || p.Advert.Priority == 0 && f.at.Before(clock(1795196570)) {
		return nil
	}
	p.Src = netip.MustParseAddr("10.8.0.11")
	p.Advert.VRID = 52
	p.Advert.Addresses = []netip.Addr{netip.MustParseAddr("10.8.0.100")}
	return []vrrp.Input{vrrp.PacketReceived{Interface: "eth1", Packet: p.AppendTo(nil, "")}}
}

// sent is an advert, as far as it must be the same.
type sent struct {
	at       time.Time
	vrid     uint8
	priority uint8
	sequence uint32
}

func decodeSent(t *testing.T, at time.Time, packet []byte) sent {
	t.Helper()
	var p vrrp.Packet
	if err := p.Decode(packet); err != nil {
		t.Fatalf("advert at %v: %v", at, err)
	}
	return sent{at, p.Advert.VRID, p.Advert.Priority, p.Sequence}
}

func (r *replay) cut(at time.Time) bool {
	return at.After(clock(r.deaf[0])) && at.Before(clock(r.deaf[1]))
}

// run plays it and returns what the machine sent on the recorded segment and
// what keepalived did.
func (r *replay) run(t *testing.T) (got, want []sent) {
	t.Helper()
	self := netip.MustParseAddr(r.self)
	frames := adverts(t, r.capture)
	start, stop := frames[0].at.Add(-time.Second), frames[len(frames)-1].at
	if r.start != 0 {
		start = clock(r.start)
	}
	if r.stop != 0 {
		stop = clock(r.stop)
	}
	m := vrrp.New(r.spec)
	step := func(at time.Time, in vrrp.Input) {
		for _, a := range m.Step(at, in) {
			if p, ok := a.(vrrp.SendPacket); ok && p.Interface == "eth0" && !r.cut(at) {
				got = append(got, decodeSent(t, at, p.Packet))
			}
		}
	}
	until := func(at time.Time) {
		for due, ok := m.Deadline(); ok && due.Before(at); due, ok = m.Deadline() {
			step(due, vrrp.TimerFired{})
		}
	}
	for _, i := range r.spec.Instances {
		step(start, vrrp.LinkChanged{Interface: i.Interface, Up: true})
	}
	step(start, vrrp.SourceChanged{Interface: "eth0", Addr: self})
	step(start, vrrp.SourceChanged{Interface: "eth1", Addr: netip.MustParseAddr("10.8.0.12")})
	step(start, vrrp.Start{})
	for _, f := range frames {
		if f.at.Before(start) || f.at.After(stop) || r.cut(f.at) {
			continue
		}
		until(f.at)
		var p vrrp.Packet
		if err := p.Decode(f.ip); err != nil {
			t.Fatal(err)
		}
		if p.Src != self {
			step(f.at, vrrp.PacketReceived{Interface: "eth0", Packet: f.ip})
			if r.also != nil {
				for _, in := range r.also(f) {
					step(f.at, in)
				}
			}
			continue
		}
		want = append(want, decodeSent(t, f.at, f.ip))
		if p.Advert.Priority == 0 {
			step(f.at, vrrp.Stop{})
		}
	}
	until(stop)
	return got, want
}

func TestReplayAgainstKeepalived(t *testing.T) {
	for _, r := range replays() {
		t.Run(r.name, func(t *testing.T) {
			got, want := r.run(t)
			if len(want) == 0 {
				t.Fatal("keepalived sent nothing: the replay shows nothing")
			}
			if r.edgesOnly {
				got, want = edges(got), edges(want)
			}
			if diff := compareSent(got, want, max(r.maxLate, 60*time.Millisecond)); diff != "" {
				t.Errorf("%s\ngot  %s\nwant %s", diff, timeline(got), timeline(want))
			}
		})
	}
}

// compareSent compares VRID by VRID.
func compareSent(got, want []sent, within time.Duration) string {
	for _, vrid := range []uint8{51, 52, 53} {
		g, w := only(got, vrid), only(want, vrid)
		if len(g) != len(w) {
			return fmt.Sprintf("VRID %d: %d adverts, keepalived sent %d", vrid, len(g), len(w))
		}
		for n := range w {
			late := g[n].at.Sub(w[n].at)
			if late.Abs() > within {
				return fmt.Sprintf("VRID %d: advert %d is %v later than keepalived's", vrid, n, late)
			}
			if g[n].priority != w[n].priority || g[n].sequence != w[n].sequence {
				return fmt.Sprintf("VRID %d: advert %d has priority %d and sequence %d, keepalived's %d and %d",
					vrid, n, g[n].priority, g[n].sequence, w[n].priority, w[n].sequence)
			}
		}
	}
	return ""
}

func only(all []sent, vrid uint8) (out []sent) {
	for _, s := range all {
		if s.vrid == vrid {
			out = append(out, s)
		}
	}
	return out
}

func edges(all []sent) (out []sent) {
	for _, vrid := range []uint8{51, 52, 53} {
		if of := only(all, vrid); len(of) > 1 {
			out = append(out, of[0], of[len(of)-1])
		}
	}
	return out
}

func timeline(all []sent) string {
	out := ""
	for _, s := range all {
		out += fmt.Sprintf(" %s/%d/%d", s.at.Format("05.000"), s.vrid, s.priority)
	}
	return out
}
