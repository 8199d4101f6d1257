package vrrpio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// election is a Spec of one instance VI on v0.
func election(priority uint8) vrrp.Spec {
	vip := []netip.Addr{netip.MustParseAddr("10.0.0.100")}
	return vrrp.Spec{Instances: []vrrp.InstanceSpec{{
		Name: "VI", Interface: "v0", VRID: 51, Priority: priority, AdvertInterval: time.Second,
		Preempt: true, Addresses: vip, Announce: vip, DownTimerAdverts: 3,
		GARP: vrrp.GARPSpec{Repeat: 5, RefreshRepeat: 1},
	}}}
}

// router is a Driver that runs.
type router struct {
	*vrrpio.Driver
	*station
	ended chan struct{}
}

// begin starts a router in the present bubble. Its events are not read.
func begin(l *lan, m vrrpio.Machine, spec vrrp.Spec, log *slog.Logger) *router {
	s := l.join()
	r := &router{station: s, ended: make(chan struct{})}
	r.Driver = vrrpio.New(vrrpio.Spec{Machine: m, Election: spec, Transport: s, Announcer: s, Logger: log})
	go func() {
		defer close(r.ended)
		_ = r.Run(context.Background())
	}()
	return r
}

// elect starts a router with the real Machine and the host's facts.
func elect(l *lan, addr string, priority uint8, log *slog.Logger) *router {
	spec := election(priority)
	r := begin(l, vrrp.New(spec), spec, log)
	r.Driver.Send(vrrp.LinkChanged{Interface: "v0", Up: true})
	r.Driver.Send(vrrp.SourceChanged{Interface: "v0", Addr: netip.MustParseAddr(addr)})
	r.Driver.Send(vrrp.Start{})
	return r
}

func (r *router) state() vrrp.State { return r.Status().Machine.Instances[0].State }

// stop stops a router and returns what it told.
func (r *router) stop() []vrrpio.Event {
	r.Driver.Send(vrrp.Stop{})
	<-r.ended
	var events []vrrpio.Event
	for e := range r.Events() {
		events = append(events, e)
	}
	return events
}

// states returns the transitions among events.
func states(events []vrrpio.Event) []string {
	var out []string
	for _, e := range events {
		if t, ok := e.Action.(vrrp.Transition); ok {
			out = append(out, t.From.String()+">"+t.To.String())
		}
	}
	return out
}

func TestElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		a, b := elect(l, "10.0.0.1", 150, nil), elect(l, "10.0.0.2", 100, nil)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if a.state() != vrrp.Active || b.state() != vrrp.Backup {
			t.Fatalf("after 4 s: %v and %v, want MASTER and BACKUP", a.state(), b.state())
		}
		a.Driver.Send(vrrp.AddressesReady{Instance: "VI"})
		synctest.Wait()
		want := []string{"3.4140625s 150", "4s announce [10.0.0.100] on v0 x5"}
		if d := cmp.Diff(want, l.take()); d != "" {
			t.Errorf("on the segment (-want +got):\n%s", d)
		}

		before := time.Since(l.start)
		told := states(a.stop())
		if d := cmp.Diff([]string{"INIT>BACKUP", "BACKUP>MASTER", "MASTER>STOP"}, told); d != "" {
			t.Errorf("the stopped one told (-want +got):\n%s", d)
		}
		sent := l.take()
		if len(sent) != 1 || sent[0] != fmt.Sprintf("%v 0", before) {
			t.Errorf("stopping sent %q, want priority 0 at once", sent)
		}
		time.Sleep(time.Second) // Skew_Time is 0.6 s
		synctest.Wait()
		if b.state() != vrrp.Active {
			t.Errorf("1 s after priority 0: %v, want MASTER", b.state())
		}
		b.stop()
	})
}

// TestSlowOwnerDelaysNothing: nobody reads events for an hour.
func TestSlowOwnerDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		a := elect(l, "10.0.0.1", 150, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		sent := l.take()
		if len(sent) != 3597 {
			t.Errorf("%d adverts in an hour from 3.4 s on, want 3597", len(sent))
		}
		if got := a.Status().Instances["VI"].AdvertsSent; got != uint64(len(sent)) {
			t.Errorf("counted %d adverts, sent %d", got, len(sent))
		}
		a.stop()
	})
}

// TestContextEndReleases: the end of the context is a Stop.
func TestContextEndReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		s, spec := l.join(), election(150)
		d := vrrpio.New(vrrpio.Spec{Machine: vrrp.New(spec), Election: spec, Transport: s, Announcer: s})
		d.Send(vrrp.LinkChanged{Interface: "v0", Up: true})
		d.Send(vrrp.SourceChanged{Interface: "v0", Addr: netip.MustParseAddr("10.0.0.1")})
		d.Send(vrrp.Start{})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
		if sent := l.take(); len(sent) == 0 || sent[len(sent)-1] != "5s 0" {
			t.Errorf("sent %q, want priority 0 last", sent)
		}
		d.Send(vrrp.Start{}) // too late, and no harm
		for range d.Events() {
			continue
		}
	})
}

// script is a Machine that does as the test says and writes its inputs down.
type script struct {
	inputs   []string
	deadline time.Time
	step     func(now time.Time, in vrrp.Input) []vrrp.Action
}

func (s *script) Step(now time.Time, in vrrp.Input) []vrrp.Action {
	s.inputs = append(s.inputs, strings.TrimPrefix(fmt.Sprintf("%T", in), "vrrp."))
	if s.step == nil {
		return nil
	}
	return s.step(now, in)
}

func (s *script) Deadline() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }
func (s *script) Status() vrrp.Status         { return vrrp.Status{} }

// TestPacketsBeforeTimer: this process was late; the packets that came in time
// count before the timer that expired since.
func TestPacketsBeforeTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		other := l.join()
		m := &script{deadline: time.Now().Add(time.Second)}
		m.step = func(_ time.Time, in vrrp.Input) []vrrp.Action {
			switch in.(type) {
			case vrrp.Start: // the process is held up for longer than the deadline
				for range 3 {
					_ = other.Send("v0", nil)
				}
				time.Sleep(2 * time.Second)
			case vrrp.TimerFired:
				m.deadline = time.Time{}
			}
			return nil
		}
		r := begin(l, m, vrrp.Spec{}, nil)
		r.Driver.Send(vrrp.Start{})
		time.Sleep(3 * time.Second)
		r.stop()
		want := []string{"Start", "PacketReceived", "PacketReceived", "PacketReceived", "TimerFired", "Stop"}
		if d := cmp.Diff(want, m.inputs); d != "" {
			t.Errorf("inputs (-want +got):\n%s", d)
		}
	})
}

// lastMoment is a Transport whose wait ends at the deadline, and a packet comes
// in that same moment, as it may with real sockets.
type lastMoment struct {
	*station
	once bool
}

func (l *lastMoment) Receive(deadline time.Time) (string, []byte, bool) {
	if wait := time.Until(deadline); !deadline.IsZero() && wait > 0 && !l.once {
		l.once = true
		time.Sleep(wait)
		l.in <- frame{"v0", nil}
		return "", nil, false
	}
	return l.station.Receive(deadline)
}

func TestPacketOfTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &script{deadline: time.Now().Add(time.Second)}
		m.step = func(_ time.Time, in vrrp.Input) []vrrp.Action {
			if _, ok := in.(vrrp.TimerFired); ok {
				m.deadline = time.Time{}
			}
			return nil
		}
		s := &lastMoment{station: newLAN().join()}
		d := vrrpio.New(vrrpio.Spec{Machine: m, Transport: s, Announcer: s})
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff([]string{"PacketReceived", "TimerFired", "Stop"}, m.inputs); d != "" {
			t.Errorf("inputs (-want +got):\n%s", d)
		}
	})
}

// TestFloodDoesNotStarveTimer: packets without end must not keep a master from
// sending its adverts, nor commands from being heard.
func TestFloodDoesNotStarveTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		other := l.join()
		m := &script{deadline: time.Now().Add(time.Second)}
		fired, packets := 0, 0
		m.step = func(now time.Time, in vrrp.Input) []vrrp.Action {
			switch in.(type) {
			case vrrp.PacketReceived:
				packets++
				time.Sleep(time.Millisecond)
				_ = other.Send("v0", nil) // and another one is there
			case vrrp.TimerFired:
				fired++
				m.deadline = now.Add(time.Second)
			}
			return nil
		}
		r := begin(l, m, vrrp.Spec{}, nil)
		_ = other.Send("v0", nil)
		time.Sleep(10 * time.Second)
		r.stop()
		if fired < 5 || packets < 5000 {
			t.Errorf("in 10 s of flood the timer fired %d times between %d packets", fired, packets)
		}
	})
}

// slowARP is an Announcer that takes a millisecond a packet.
type slowARP struct{ *station }

func (s slowARP) Announce(_ string, addrs []netip.Addr, repeat int) error {
	time.Sleep(time.Duration(len(addrs)*repeat) * time.Millisecond)
	return nil
}

// TestAnnouncingDelaysNoAdverts: announcing thousands of addresses takes longer
// than the adverts' interval, and each advert is sent in time all the same.
func TestAnnouncingDelaysNoAdverts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, spec := newLAN(), election(150)
		for i := range 2000 {
			addr := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
			spec.Instances[0].Announce = append(spec.Instances[0].Announce, addr)
		}
		s := l.join()
		r := &router{station: s, ended: make(chan struct{})}
		r.Driver = vrrpio.New(vrrpio.Spec{Machine: vrrp.New(spec), Election: spec, Transport: s, Announcer: slowARP{s}})
		go func() {
			defer close(r.ended)
			_ = r.Run(context.Background())
		}()
		r.Driver.Send(vrrp.LinkChanged{Interface: "v0", Up: true})
		r.Driver.Send(vrrp.SourceChanged{Interface: "v0", Addr: netip.MustParseAddr("10.0.0.1")})
		r.Driver.Send(vrrp.Start{})
		time.Sleep(4 * time.Second)
		r.Driver.Send(vrrp.AddressesReady{Instance: "VI"}) // 2001 addresses, 5 times
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if got := len(l.take()); got != 9 { // at 3.4 s, 4.4 s … 11.4 s, each less than 64 ms late
			t.Errorf("%d adverts while addresses were announced, want 9", got)
		}
		r.stop()
	})
}

// TestReleaseInsists: the last advert finds a full queue, and is sent all the same.
func TestReleaseInsists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		m := &script{step: func(_ time.Time, in vrrp.Input) []vrrp.Action {
			if _, ok := in.(vrrp.Stop); ok {
				return []vrrp.Action{vrrp.SendPacket{Instance: "VI", Interface: "v0", Packet: make([]byte, 40)}}
			}
			return []vrrp.Action{vrrp.SendPacket{Instance: "VI", Interface: "v0", Packet: make([]byte, 40), Priority: 100}}
		}}
		r := begin(l, m, election(100), nil)
		r.set(func(s *station) { s.busy = 1 })
		r.Driver.Send(vrrp.Start{}) // an ordinary advert is given up
		synctest.Wait()
		r.set(func(s *station) { s.busy = 5 })
		r.stop()
		if d := cmp.Diff([]string{"50ms 0"}, l.take()); d != "" {
			t.Errorf("sent (-want +got):\n%s", d)
		}
		got := r.Status().Instances["VI"]
		if got.SendErrors != 1 || got.AdvertsSent != 1 || got.PriorityZeroSent != 1 {
			t.Errorf("counted %+v, want one advert, of priority 0, and one error", got)
		}
	})
}

func TestCounters(t *testing.T) {
	var logged bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		peer := netip.MustParseAddr("10.0.0.2")
		actions := []vrrp.Action{
			vrrp.Ignored{Instance: "VI", From: peer, Reason: vrrp.IgnorePassword, Detail: "first"},
			vrrp.Ignored{Instance: "VI", From: peer, Reason: vrrp.IgnorePassword, Detail: "second"},
			vrrp.Ignored{Reason: vrrp.IgnoreVersion, From: peer},
			vrrp.Ignored{Instance: "gone", Reason: vrrp.IgnoreTTL},
			vrrp.Transition{Instance: "VI", From: vrrp.Backup, To: vrrp.Active},
			vrrp.Ignored{Instance: "VI", From: peer, Reason: vrrp.IgnorePassword, Detail: "third"},
			vrrp.Contended{Instance: "VI", From: peer, Priority: 90},
			vrrp.Transition{Instance: "VI", From: vrrp.Active, To: vrrp.Backup},
		}
		m := &script{step: func(_ time.Time, in vrrp.Input) []vrrp.Action {
			if _, ok := in.(vrrp.PacketReceived); ok {
				return actions
			}
			return nil
		}}
		r := begin(l, m, election(100), slog.New(slog.NewTextHandler(&logged, nil)))
		_ = l.join().Send("v0", nil)
		synctest.Wait()
		now := time.Now()
		got := r.Status()
		events := r.stop()
		want := vrrpio.InstanceStats{
			BecameMaster: 1, ReleasedMaster: 1, Contended: 1, LastContended: now, LastContender: peer,
			Ignored: map[vrrp.IgnoreReason]vrrpio.Ignored{
				vrrp.IgnorePassword: {Count: 3, Last: now, From: peer, Detail: "third"},
			},
		}
		addrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
		if d := cmp.Diff(want, got.Instances["VI"], addrs); d != "" {
			t.Errorf("instance (-want +got):\n%s", d)
		}
		if d := cmp.Diff(vrrpio.InterfaceStats{Delivered: 1, LastDelivered: now}, got.Interfaces["v0"]); d != "" {
			t.Errorf("interface (-want +got):\n%s", d)
		}
		if got.Unmatched[vrrp.IgnoreVersion].Count != 1 || len(got.Instances) != 1 {
			t.Errorf("got %+v", got)
		}
		var kinds []string
		for _, e := range events {
			kinds = append(kinds, fmt.Sprintf("%T", e.Action))
		}
		if d := cmp.Diff([]string{"vrrp.Transition", "vrrp.Contended", "vrrp.Transition"}, kinds); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
	})
	// Once in each state, not for each packet.
	if n := strings.Count(logged.String(), "reason=password"); n != 2 {
		t.Errorf("logged %d wrong passwords, want 2:\n%s", n, &logged)
	}
}

func TestTroubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN()
		a := elect(l, "10.0.0.1", 150, nil)
		time.Sleep(5 * time.Second)
		a.set(func(s *station) { s.sendErr = errors.New("the firewall says no") })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := a.Status().Interfaces["v0"].Trouble; got != "the firewall says no" {
			t.Errorf("trouble %q", got)
		}
		a.set(func(s *station) { s.sendErr = nil })
		time.Sleep(2 * time.Second)
		a.set(func(s *station) { s.troubles = map[string]error{"v0": errors.New("no such interface")} })
		time.Sleep(2 * time.Second)
		var told []string
		for _, e := range a.stop() {
			if e.Trouble != nil {
				told = append(told, fmt.Sprintf("%s %v", e.Trouble.Interface, e.Trouble.Err))
			}
		}
		want := []string{"v0 the firewall says no", "v0 <nil>", "v0 no such interface"}
		if d := cmp.Diff(want, told); d != "" {
			t.Errorf("told (-want +got):\n%s", d)
		}
		if got := a.Status().Instances["VI"].SendErrors; got != 10 {
			t.Errorf("%d send errors, want 10", got)
		}
	})
}

func TestReconfigureOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := elect(newLAN(), "10.0.0.1", 150, nil)
		synctest.Wait()
		next := election(150)
		next.Instances[0].Auth = vrrp.AuthAH
		second := next.Instances[0]
		second.Name, second.Interface, second.Auth = "V2", "v1", vrrp.AuthNone
		next.Instances = append(next.Instances, second)
		r.Driver.Send(vrrp.Reconfigure{Spec: next})
		synctest.Wait()
		var opened []vrrpio.Interface
		r.set(func(s *station) { opened = slices.Clone(s.opened) })
		if d := cmp.Diff([]vrrpio.Interface{{Name: "v0", AH: true}, {Name: "v1"}}, opened); d != "" {
			t.Errorf("opened (-want +got):\n%s", d)
		}
		next.Instances = next.Instances[1:]
		r.Driver.Send(vrrp.Reconfigure{Spec: next})
		synctest.Wait()
		if s := r.Status(); len(s.Instances) != 1 || len(s.Interfaces) != 1 || len(s.Machine.Instances) != 1 {
			t.Errorf("after the removal: %+v", s)
		}
		r.stop()
	})
}
