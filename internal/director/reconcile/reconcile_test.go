package reconcile_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/director/reconcile"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func addr(dev, prefix string) desired.Address {
	return desired.Address{Interface: dev, Prefix: netip.MustParsePrefix(prefix)}
}

func service(port uint16, weights ...int) lvs.ServiceSet {
	s := lvs.ServiceSet{Service: lvs.Service{
		ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.1"), Port: port},
		Scheduler:  lvs.RR,
	}}
	for i, w := range weights {
		s.Destinations = append(s.Destinations, lvs.Destination{
			Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Port: port, Method: lvs.DR, Weight: w,
		})
	}
	return s
}

// active and standby are the two sides of a failover.
var (
	active = desired.State{
		Addresses:  []desired.Address{addr("eth0", "192.0.2.1/24"), addr("eth1", "10.0.0.254/24")},
		Services:   []lvs.ServiceSet{service(80, 1, 2), service(443, 1)},
		Timeouts:   lvs.Timeouts{TCP: 300 * time.Second},
		Interfaces: []string{"eth0", "eth1"},
	}
	standby = desired.State{Services: active.Services, Timeouts: active.Timeouts, Interfaces: active.Interfaces}
)

func texts(ops []reconcile.Op) []string {
	var all []string
	for _, op := range ops {
		all = append(all, op.String())
	}
	return all
}

func TestSet(t *testing.T) {
	labelled := active
	labelled.Addresses = slices.Clone(active.Addresses)
	labelled.Addresses[0].Label = "eth0:vip"
	moved := active
	moved.Addresses = []desired.Address{addr("eth0", "192.0.2.2/24"), active.Addresses[1]}
	moved.Services = []lvs.ServiceSet{service(80, 1, 0), service(8080, 1)}
	for _, c := range []struct {
		name     string
		from, to desired.State
		want     []string
	}{
		{"start as backup", desired.State{}, standby, []string{
			"set timeouts tcp 5m0s tcpfin 0s udp 0s", "set services (2 added, 0 changed, 0 removed)", "set interfaces eth0 eth1",
		}},
		{"take over", standby, active, []string{"add address eth0 192.0.2.1/24", "add address eth1 10.0.0.254/24"}},
		{"release", active, standby, []string{"remove address eth0 192.0.2.1/24", "remove address eth1 10.0.0.254/24"}},
		{"stop", active, desired.State{}, []string{
			"remove address eth0 192.0.2.1/24", "remove address eth1 10.0.0.254/24",
			"set timeouts tcp 0s tcpfin 0s udp 0s", "set services (0 added, 0 changed, 2 removed)", "set interfaces (none)",
		}},
		{"an address is added before one is removed", active, moved, []string{
			"add address eth0 192.0.2.2/24", "remove address eth0 192.0.2.1/24", "set services (1 added, 1 changed, 1 removed)",
		}},
		{"a label changes in place", active, labelled, []string{
			"remove address eth0 192.0.2.1/24", "add address eth0 192.0.2.1/24 label eth0:vip",
		}},
		{"nothing", active, active, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := &reconcile.FakeHost{}
			r := reconcile.New(host, host)
			if rep := r.Set(c.from); rep.Retry() {
				t.Fatalf("first Set: %v", rep.Err())
			}
			rep := r.Set(c.to)
			if rep.Retry() || rep.Err() != nil {
				t.Errorf("Set: %v", rep.Err())
			}
			if diff := cmp.Diff(c.want, texts(rep.Done)); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.to.String(), host.String()); diff != "" {
				t.Errorf("host (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTwice: the second Set of a State does nothing at all.
func TestTwice(t *testing.T) {
	host := &reconcile.FakeHost{}
	r := reconcile.New(host, host)
	r.Set(active)
	before := host.Ops()
	if rep := r.Set(active); len(rep.Done) > 0 || host.Ops() != before {
		t.Errorf("second Set did %v", texts(rep.Done))
	}
}

// TestUnknownDataplane: what a dataplane holds that was opened just now is not
// known, so that even an empty State is told once.
func TestUnknownDataplane(t *testing.T) {
	host := &reconcile.FakeHost{}
	r := reconcile.New(host, host)
	if rep := r.Set(desired.State{}); len(rep.Done) != 3 {
		t.Errorf("first Set of nothing: %v, want the three parts of the dataplane", texts(rep.Done))
	}
	r.Set(active)
	r.Forget()
	if rep := r.Set(active); len(rep.Done) != 3 {
		t.Errorf("after Forget: %v, want the three parts of the dataplane", texts(rep.Done))
	}
}

// TestStolenAddress: an address that somebody removed comes back.
func TestStolenAddress(t *testing.T) {
	host := &reconcile.FakeHost{}
	r := reconcile.New(host, host)
	r.Set(active)
	host.Steal(active.Addresses[0])
	if diff := cmp.Diff([]string{"add address eth0 192.0.2.1/24"}, texts(r.Set(active).Done)); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
}

// TestLeftovers: addresses of an earlier life that are not wanted now go;
// those of others stay, even beside ours.
func TestLeftovers(t *testing.T) {
	host := &reconcile.FakeHost{Foreign: []desired.Address{addr("eth0", "192.0.2.9/24")}}
	earlier := reconcile.New(host, host)
	earlier.Set(desired.State{Addresses: []desired.Address{addr("eth0", "192.0.2.77/24"), active.Addresses[0]}})
	reconcile.New(host, host).Set(active)
	if diff := cmp.Diff("foreign eth0 192.0.2.9/24\n"+active.String(), host.String()); diff != "" {
		t.Errorf("host (-want +got):\n%s", diff)
	}
}

// TestGoesOn: one address that cannot be added stops nothing else and is told
// with what it was about.
func TestGoesOn(t *testing.T) {
	host := &reconcile.FakeHost{Foreign: active.Addresses[:1]}
	r := reconcile.New(host, host)
	rep := r.Set(active)
	if !rep.Retry() || len(rep.Failed) != 1 || len(rep.Done) != 4 {
		t.Fatalf("done %v, failed %v", texts(rep.Done), rep.Failed)
	}
	if text := rep.Err().Error(); !strings.HasPrefix(text, "add address eth0 192.0.2.1/24: ") {
		t.Errorf("error %q does not say what failed", text)
	}
	if rep := r.Set(active); len(rep.Done) != 0 || len(rep.Failed) != 1 {
		t.Errorf("retry did %v and failed %v, want only the address tried again", texts(rep.Done), rep.Failed)
	}
}

// blind cannot read its addresses.
type blind struct{ *reconcile.FakeHost }

var errBlind = errors.New("netlink is silent")

func (blind) Addresses() ([]desired.Address, error) { return nil, errBlind }

func TestUnreadableAddresses(t *testing.T) {
	host := &reconcile.FakeHost{}
	rep := reconcile.New(blind{host}, host).Set(active)
	if !errors.Is(rep.Err(), errBlind) || !rep.Retry() {
		t.Errorf("err = %v, retry %v", rep.Err(), rep.Retry())
	}
	if diff := cmp.Diff(standby.String(), host.String()); diff != "" {
		t.Errorf("addresses touched, or services not set (-want +got):\n%s", diff)
	}
}

// genState draws States from few enough values that they overlap.
func genState(t *rapid.T) desired.State {
	var st desired.State
	devs := []string{"eth0", "eth1"}
	seen := map[desired.Address]bool{}
	for range rapid.IntRange(0, 5).Draw(t, "addresses") {
		a := addr(rapid.SampledFrom(devs).Draw(t, "dev"),
			rapid.SampledFrom([]string{"192.0.2.1/24", "192.0.2.1/32", "192.0.2.2/24", "2001:db8::1/64"}).Draw(t, "prefix"))
		if seen[a] {
			continue
		}
		seen[a] = true
		a.Label = rapid.SampledFrom([]string{"", a.Interface + ":1"}).Draw(t, "label")
		st.Addresses = append(st.Addresses, a)
	}
	slices.SortFunc(st.Addresses, desired.Address.Compare)
	for port := range uint16(3) {
		if rapid.Bool().Draw(t, "service") {
			st.Services = append(st.Services, service(port+80, rapid.SliceOfN(rapid.IntRange(0, 2), 0, 3).Draw(t, "weights")...))
		}
	}
	st.Timeouts.UDP = time.Duration(rapid.IntRange(0, 2).Draw(t, "udp")) * time.Second
	st.Interfaces = rapid.SampledFrom([][]string{nil, {"eth0"}, {"eth0", "eth1"}}).Draw(t, "interfaces")
	return st
}

// TestAnyWay: from any State to any other, the host ends as asked, at the
// first Set, and a second does nothing.
func TestAnyWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := &reconcile.FakeHost{Foreign: []desired.Address{addr("eth9", "198.51.100.1/24")}}
		r := reconcile.New(host, host)
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			want := genState(t)
			if rep := r.Set(want); rep.Retry() {
				t.Fatalf("Set: %v", rep.Err())
			}
			if diff := cmp.Diff("foreign eth9 198.51.100.1/24\n"+want.String(), host.String()); diff != "" {
				t.Fatalf("host (-want +got):\n%s", diff)
			}
			before := host.Ops()
			if r.Set(want); host.Ops() != before {
				t.Fatalf("second Set made %d calls", host.Ops()-before)
			}
		}
	})
}

// TestFaultyConverges: with a host that fails half of all calls, before or
// after they took effect, Sets repeated while Retry says so end as asked.
func TestFaultyConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := &reconcile.FakeHost{}
		seed := rapid.Uint64().Draw(t, "seed")
		faulty := &reconcile.Faulty{Network: host, Dataplane: host, P: 0.5, Rand: rand.New(rand.NewPCG(seed, 1))}
		r := reconcile.New(faulty, faulty)
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			want := genState(t)
			tries := 0
			for r.Set(want).Retry() {
				if tries++; tries > 1000 {
					t.Fatalf("no convergence after %d tries; host:\n%s", tries, host)
				}
			}
			if diff := cmp.Diff(want.String(), host.String()); diff != "" {
				t.Fatalf("after %d tries (-want +got):\n%s", tries, diff)
			}
		}
	})
}
