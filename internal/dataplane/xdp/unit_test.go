package xdp

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/lvs"
)

func TestSnapHZ(t *testing.T) {
	for _, tt := range []struct {
		jiffies, ns uint64
		hz          uint64
		ok          bool
		shift       uint32
	}{
		{4, 40e6, 100, true, 0},
		{10, 40e6, 250, true, 1},
		{12, 40e6, 300, true, 1},
		{40, 40e6, 1000, true, 3},
		{41, 40e6, 1000, true, 3},
		{10, 41e6, 250, true, 1},
		{11, 40e6, 0, false, 0},
		{3, 0, 0, false, 0},
	} {
		hz, ok := snapHZ(tt.jiffies, tt.ns)
		if hz != tt.hz || ok != tt.ok {
			t.Errorf("snapHZ(%d, %d) = %d, %v, want %d, %v", tt.jiffies, tt.ns, hz, ok, tt.hz, tt.ok)
		}
		if ok && tickShift(hz) != tt.shift {
			t.Errorf("tickShift(%d) = %d, want %d", hz, tickShift(hz), tt.shift)
		}
	}
}

func TestPinNames(t *testing.T) {
	for _, name := range []string{"eth0", "eth0.100", "br-lan", "a@b"} {
		for _, m := range []Mode{Native, TC, Generic} {
			file := pinName(name, m)
			got, mode, ok := parsePinName(file)
			if got != name || mode != m || !ok {
				t.Errorf("parsePinName(%q) = %q, %q, %v", file, got, mode, ok)
			}
		}
	}
	for _, bad := range []string{"", "eth0", "@tc", "eth0@fast"} {
		if _, _, ok := parsePinName(bad); ok {
			t.Errorf("parsePinName(%q) is accepted", bad)
		}
	}
}

func TestPreferredModes(t *testing.T) {
	for driver, want := range map[string]Mode{"ixgbe": Native, "virtio_net": Native, "veth": TC, "bridge": TC, "unknown": TC, "e1000": TC} {
		if order, _ := prefer(driver); order[0] != want {
			t.Errorf("%s: %v first, want %v", driver, order[0], want)
		}
	}
	for _, tt := range []struct {
		driver string
		mode   Mode
		want   bool
	}{
		{"veth", TC, false},
		{"veth", Native, true},
		{"veth", Generic, true},
		{"virtio_net", Native, false},
		{"virtio_net", Generic, true},
		{"tun", Generic, true},
		{"ixgbe", Generic, false},
		{"ixgbe", Native, false},
	} {
		if got := partialChecksums(tt.driver, tt.mode); got != tt.want {
			t.Errorf("partialChecksums(%s, %s) = %v", tt.driver, tt.mode, got)
		}
	}
}

func TestOverloaded(t *testing.T) {
	for _, tt := range []struct {
		upper, lower uint32
		total        int32
		was, want    bool
	}{
		{0, 0, 1000, true, false},
		{8, 0, 8, false, true},
		{8, 0, 7, false, false},
		{8, 0, 6, true, true},
		{8, 0, 5, true, false},
		{8, 4, 4, true, true},
		{8, 4, 3, true, false},
		{8, 4, 7, false, false},
		{8, 0, -1, true, false},
	} {
		d := lvs.Destination{UpperThreshold: tt.upper, LowerThreshold: tt.lower}
		if got := overloaded(d, tt.total, tt.was); got != tt.want {
			t.Errorf("overloaded(%d/%d, %d, %v) = %v", tt.upper, tt.lower, tt.total, tt.was, got)
		}
	}
}

// A steady flow is shown at its rate after some periods, as LVS's estimator
// does: half a minute to within a few percent.
func TestEstimator(t *testing.T) {
	var e estimate
	var c lvs.Counters
	for range 30 {
		c.Conns += 20
		c.InPkts += 2000
		c.InBytes += 3_000_000
		e.step(c)
	}
	r := e.rates()
	if r.CPS != 10 || math.Abs(float64(r.InPPS)-1000) > 2 || math.Abs(float64(r.InBPS)-1.5e6) > 3000 || r.OutPPS != 0 {
		t.Errorf("rates %+v", r)
	}
	for range 60 {
		e.step(c)
	}
	if r := e.rates(); r.CPS > 1 || r.InPPS > 1 || r.InBPS > 1 {
		t.Errorf("rates after two idle minutes: %+v", r)
	}
}

// Regions never overlap, and all room comes back.
func TestRegions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 256
		r := newRegions(slots)
		now := time.Unix(0, 0)
		var held []region
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				g, ok := r.take(rapid.Uint32Range(1, 64).Draw(t, "n"), now)
				if !ok {
					return
				}
				for _, h := range held {
					if g.off < h.off+h.len && h.off < g.off+g.len {
						t.Fatalf("%v overlaps %v", g, h)
					}
				}
				if g.off+g.len > slots {
					t.Fatalf("%v is out of range", g)
				}
				held = append(held, g)
			},
			"give": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("nothing held")
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				r.give(held[i], now)
				held = append(held[:i], held[i+1:]...)
			},
			"wait": func(*rapid.T) { now = now.Add(grace) },
		})
		other := newRegions(slots)
		for _, h := range held {
			if !other.claim(h) {
				t.Fatalf("claim of %v", h)
			}
			if other.claim(h) {
				t.Fatalf("%v claimed twice", h)
			}
			r.give(h, now)
		}
		if g, ok := r.take(slots, now.Add(grace)); !ok || g.len != slots {
			t.Fatalf("all given back, and %d slots are not there: %v", slots, r.free)
		}
	})
}

func TestRegionsRest(t *testing.T) {
	r := newRegions(10)
	now := time.Unix(0, 0)
	g, _ := r.take(10, now)
	r.give(g, now)
	if _, ok := r.take(1, now.Add(grace-1)); ok {
		t.Error("a region is handed out within the grace period")
	}
	if _, ok := r.take(10, now.Add(grace)); !ok {
		t.Error("a region is not handed out after the grace period")
	}
}
