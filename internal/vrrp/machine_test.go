package vrrp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

var (
	t0   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	self = netip.MustParseAddr(r1)
	peer = netip.MustParseAddr(r2)
)

// rig is a machine with a clock.
type rig struct {
	m   *vrrp.Machine
	now time.Time
}

// boot starts a machine with eth0 up and our address on it.
func boot(spec vrrp.Spec) *rig {
	r := &rig{m: vrrp.New(spec), now: t0}
	r.step(vrrp.LinkChanged{Interface: "eth0", Up: true})
	r.step(vrrp.SourceChanged{Interface: "eth0", Addr: self})
	r.step(vrrp.Start{})
	return r
}

// bootActive starts it and lets it become Active.
func bootActive(spec vrrp.Spec) *rig {
	r := boot(spec)
	r.wait(4 * time.Second)
	return r
}

func (r *rig) step(in vrrp.Input) []vrrp.Action { return r.m.Step(r.now, in) }

// wait lets d pass, with the timers run in time.
func (r *rig) wait(d time.Duration) (all []vrrp.Action) {
	end := r.now.Add(d)
	for {
		due, ok := r.m.Deadline()
		if !ok || due.After(end) {
			r.now = end
			return all
		}
		r.now = due
		all = append(all, r.step(vrrp.TimerFired{})...)
	}
}

func (r *rig) hear(packet []byte) []vrrp.Action {
	return r.step(vrrp.PacketReceived{Interface: "eth0", Packet: packet})
}

func (r *rig) state() vrrp.State { return r.m.Status().Instances[0].State }

// from is a good advert of the peer's, changed.
func from(spec vrrp.InstanceSpec, priority uint8, change ...func(*vrrp.Packet)) []byte {
	p := vrrp.Packet{
		Src: peer, Dst: vrrp.Group, TTL: 255, TOS: 0xC0, ID: 1,
		Advert: vrrp.Advert{
			Version: 2, Type: 1, VRID: spec.VRID, Priority: priority, Auth: spec.Auth,
			Interval: spec.AdvertInterval, Addresses: spec.Addresses,
		},
	}
	switch spec.Auth {
	case vrrp.AuthPass:
		copy(p.Advert.AuthData[:], spec.Password)
	case vrrp.AuthAH:
		p.AH, p.SPI, p.Sequence = true, 0x0a07000c, 1000
	}
	for _, f := range change {
		f(&p)
	}
	return p.AppendTo(nil, spec.Password)
}

func kinds[T vrrp.Action](actions []vrrp.Action) (out []T) {
	for _, a := range actions {
		if a, ok := a.(T); ok {
			out = append(out, a)
		}
	}
	return out
}

// A heard number is not accepted again, by a Backup either: repeating the last
// advert would keep it Backup for ever.
func TestAHReplayToBackup(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	spec.Auth, spec.Password = vrrp.AuthAH, "k@l"
	r := boot(one(spec))
	if got := r.hear(from(spec, 200)); len(got) != 0 {
		t.Fatal(got)
	}
	got := kinds[vrrp.Ignored](r.hear(from(spec, 200)))
	if len(got) != 1 || got[0].Reason != vrrp.IgnoreReplay {
		t.Errorf("got %v", got)
	}
}

// Also at fault a router keeps up with the sequence number, so that the others
// do not refuse it when it takes over.
func TestAHSequenceWhileAtFault(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	spec.Auth, spec.Password = vrrp.AuthAH, "k@l"
	r := boot(one(spec))
	r.step(vrrp.LinkChanged{Interface: "eth0"})
	got := kinds[vrrp.Ignored](r.hear(from(spec, 200)))
	if len(got) != 1 || got[0].Reason != vrrp.IgnoreNotUp || r.m.Status().Instances[0].Sequence != 1000 {
		t.Errorf("got %v, sequence %d", got, r.m.Status().Instances[0].Sequence)
	}
}

// RFC 3768 §6.4.3: an Active router that hears priority 0 answers at once.
func TestActiveAnswersPriorityZero(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	r := bootActive(one(spec))
	sends := kinds[vrrp.SendPacket](r.hear(from(spec, 0)))
	if len(sends) != 1 || sends[0].Priority != 100 || r.state() != vrrp.Active {
		t.Errorf("got %v, state %v", sends, r.state())
	}
	if due, _ := r.m.Deadline(); due != r.now.Add(time.Second) {
		t.Errorf("next advert at +%v, want +1s", due.Sub(r.now))
	}
}

// A Backup of equal priority follows, whoever has the higher address.
func TestBackupFollowsEqualPriority(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	r := boot(one(spec))
	r.wait(3 * time.Second)
	lower := from(spec, 100, func(p *vrrp.Packet) { p.Src = netip.MustParseAddr("10.7.0.1") })
	if got := r.hear(lower); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if due, _ := r.m.Deadline(); due != r.now.Add(3*time.Second+156*time.Second/256) {
		t.Errorf("times out at +%v", due.Sub(r.now))
	}
}

// A higher priority heard cancels a preempt delay that has begun.
func TestPreemptDelayStartsAnew(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	spec.PreemptDelay = 5 * time.Second
	r := boot(one(spec))
	accepted := func(priority uint8) bool {
		return len(kinds[vrrp.Ignored](r.hear(from(spec, priority)))) == 0
	}
	for range 4 {
		if !accepted(90) {
			t.Fatal("not accepted during the delay")
		}
		r.wait(time.Second)
	}
	if !accepted(200) {
		t.Fatal("a higher priority is not accepted")
	}
	for n := range 5 {
		if !accepted(90) {
			t.Fatalf("%d s after the higher priority the old delay has ended", n)
		}
		r.wait(time.Second)
	}
	if accepted(90) {
		t.Error("accepted after the delay")
	}
}

// The driver's lateness does not add up, and missed adverts are not made up
// for.
func TestAdvertRhythm(t *testing.T) {
	r := bootActive(one(plain("VI_1", 51, 100, "10.7.0.100")))
	due, _ := r.m.Deadline()
	for n := range 5 {
		r.now = due.Add(20 * time.Millisecond)
		r.step(vrrp.TimerFired{})
		next, _ := r.m.Deadline()
		if next != due.Add(time.Second) {
			t.Fatalf("advert %d: next after %v", n, next.Sub(due))
		}
		due = next
	}
	r.now = due.Add(10 * time.Second)
	if sends := kinds[vrrp.SendPacket](r.step(vrrp.TimerFired{})); len(sends) != 1 {
		t.Errorf("%d adverts after a pause", len(sends))
	}
	if next, _ := r.m.Deadline(); next != r.now.Add(time.Second) {
		t.Errorf("next after %v", next.Sub(r.now))
	}
}

// The identification counts from 1 and leaves 0 out: the kernel would fill it.
func TestIPIdentification(t *testing.T) {
	spec := one(plain("VI_1", 51, 255, "10.7.0.100"))
	m := vrrp.New(spec)
	m.Step(t0, vrrp.LinkChanged{Interface: "eth0", Up: true})
	m.Step(t0, vrrp.SourceChanged{Interface: "eth0", Addr: self})
	actions := m.Step(t0, vrrp.Start{Resume: []vrrp.Resume{{Instance: "VI_1", State: vrrp.Active, IPID: 0xfffe}}})
	actions = append(actions, m.Step(t0.Add(time.Second), vrrp.TimerFired{})...)
	var got []uint16
	for _, s := range kinds[vrrp.SendPacket](actions) {
		var p vrrp.Packet
		if err := p.Decode(s.Packet); err != nil {
			t.Fatal(err)
		}
		got = append(got, p.ID)
	}
	if diff := cmp.Diff([]uint16{0xffff, 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestStopIsFinal(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	r := bootActive(one(spec))
	before := r.m.Resumes()
	again := vrrp.Start{Resume: []vrrp.Resume{{Instance: "VI_1", State: vrrp.Active, Sequence: 77, IPID: 77}}}
	if got := r.step(again); len(got) != 0 || !cmp.Equal(before, r.m.Resumes()) {
		t.Errorf("a second Start: %v", got)
	}
	if got := kinds[vrrp.SendPacket](r.step(vrrp.Stop{})); len(got) != 1 || got[0].Priority != 0 {
		t.Errorf("Stop sends %v", got)
	}
	for _, in := range []vrrp.Input{vrrp.Stop{}, vrrp.Start{}, vrrp.TimerFired{}, vrrp.Reconfigure{Spec: one(spec)}} {
		if got := r.step(in); len(got) != 0 {
			t.Errorf("%T after Stop: %v", in, got)
		}
	}
	if due, ok := r.m.Deadline(); ok {
		t.Errorf("deadline %v after Stop", due)
	}
	if r.state() != vrrp.Stopped {
		t.Errorf("state %v", r.state())
	}
}

// Announcements wait for the addresses also when somebody contends.
func TestContendedBeforeAddressesAreReady(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	r := bootActive(one(spec))
	if got := kinds[vrrp.Announce](r.hear(from(spec, 90))); len(got) != 0 {
		t.Errorf("announced before the host has the addresses: %v", got)
	}
	r.step(vrrp.AddressesReady{Instance: "VI_1"})
	actions := r.hear(from(spec, 90))
	if len(kinds[vrrp.Announce](actions)) != 1 || len(kinds[vrrp.Contended](actions)) != 1 {
		t.Errorf("got %v", actions)
	}
	// Once more after garp_lower_prio_delay and after garp_master_delay.
	if got := kinds[vrrp.Announce](r.wait(6 * time.Second)); len(got) != 2 {
		t.Errorf("%d more announcements", len(got))
	}
}

// Two instances cannot share VRID and interface; names unknown to the machine
// change nothing.
func TestOddSpecAndInputs(t *testing.T) {
	spec := one(plain("VI_1", 51, 100, "10.7.0.100"))
	spec.Instances = append(spec.Instances, plain("twin", 51, 90, "10.7.0.101"))
	spec.Groups = []vrrp.GroupSpec{{Name: "G1", Members: []string{"VI_1", "nobody"}}, {Name: "G2", Members: []string{"VI_1"}}, {Name: "empty"}}
	r := bootActive(spec)
	s := r.m.Status()
	if len(s.Instances) != 1 || s.Instances[0].State != vrrp.Active {
		t.Errorf("instances %+v", s.Instances)
	}
	want := []string{"VI_1"}
	if diff := cmp.Diff(want, s.Groups[0].Members); diff != "" || s.Groups[0].State != vrrp.Active || s.Groups[1].Members != nil {
		t.Errorf("groups %+v", s.Groups)
	}
	for _, in := range []vrrp.Input{
		vrrp.AddressesReady{Instance: "nobody"},
		vrrp.AddressLost{Instance: "nobody"},
		vrrp.Failover{Instance: "nobody"},
		vrrp.ScriptResult{Script: "nobody"},
		vrrp.LinkChanged{Interface: "eth7"},
		vrrp.SourceChanged{Interface: "eth7"},
	} {
		if got := r.step(in); len(got) != 0 {
			t.Errorf("%+v: %v", in, got)
		}
	}
}

// A restarted director's view of itself is complete.
func TestStatusAndResumes(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	spec.Auth, spec.Password = vrrp.AuthAH, "k@l"
	r := bootActive(one(spec))
	got := r.m.Status().Instances[0]
	want := vrrp.InstanceStatus{
		Name: "VI_1", Interface: "eth0", VRID: 51, State: vrrp.Active, Since: t0.Add(3*time.Second + 156*time.Second/256),
		Reason: "no advert heard", Priority: 100, EffectivePriority: 100, AdvertInterval: time.Second,
		Source: self, Master: self, MasterPriority: 100, Sequence: 1, IPID: 1,
	}
	if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
		t.Error(diff)
	}
	resumes := []vrrp.Resume{{Instance: "VI_1", State: vrrp.Active, Sequence: 1, IPID: 1}}
	if diff := cmp.Diff(resumes, r.m.Resumes()); diff != "" {
		t.Error(diff)
	}
	r.now = r.now.Add(time.Second)
	r.hear(from(spec, 200))
	got = r.m.Status().Instances[0]
	if got.State != vrrp.Backup || got.Master != peer || got.MasterPriority != 200 || got.LastAdvert != r.now || got.Received != 1 || got.Sequence != 1000 {
		t.Errorf("after a higher priority: %+v", got)
	}
}

// The delay begins anew after each term as Active.
func TestPreemptDelayAfterYield(t *testing.T) {
	spec := plain("VI_1", 51, 100, "10.7.0.100")
	spec.PreemptDelay = 2 * time.Second
	r := boot(one(spec))
	for r.state() != vrrp.Active {
		r.hear(from(spec, 90))
		r.wait(time.Second)
	}
	r.hear(from(spec, 200))
	if r.state() != vrrp.Backup {
		t.Fatalf("state %v", r.state())
	}
	if got := r.hear(from(spec, 90)); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// many is a director with all VRIDs of one segment, at the pace of version 3's
// fastest configurations.
func many() (vrrp.Spec, []byte) {
	var s vrrp.Spec
	for n := 1; n <= 255; n++ {
		i := plain("VI", uint8(n), 100, "10.7.0.100")
		i.AdvertInterval = 10 * time.Millisecond
		s.Instances = append(s.Instances, i)
	}
	return s, from(s.Instances[100], 200)
}

// BenchmarkActive is one advert of each instance of a director with 255 Active
// ones: a hundred of these make a second.
func BenchmarkActive(b *testing.B) {
	spec, _ := many()
	r := bootActive(spec)
	b.ReportAllocs()
	for b.Loop() {
		r.now, _ = r.m.Deadline()
		if got := r.step(vrrp.TimerFired{}); len(got) != 255 {
			b.Fatalf("%d adverts sent", len(got))
		}
	}
}

// BenchmarkBackup is one advert heard by a director with 255 of them.
func BenchmarkBackup(b *testing.B) {
	spec, packet := many()
	r := boot(spec)
	b.ReportAllocs()
	for b.Loop() {
		r.now = r.now.Add(time.Microsecond)
		if got := r.hear(packet); len(got) != 0 {
			b.Fatal(got)
		}
	}
}
