package sched_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/lvs/sched"
)

// dests makes destinations named a, b, c … in list order.
func dests(weights ...int) []lvs.Destination {
	out := make([]lvs.Destination, len(weights))
	for i, w := range weights {
		out[i] = dest(i, w)
	}
	return out
}

func dest(id, weight int) lvs.Destination {
	return lvs.Destination{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(id)}), Port: 80, Weight: weight}
}

// fataler is what both testing.T and rapid.T are.
type fataler interface {
	Helper()
	Fatal(...any)
}

func model(t fataler, kind lvs.Scheduler, flags lvs.SchedulerFlags, d []lvs.Destination) *sched.Model {
	t.Helper()
	m, err := sched.New(kind, flags, d)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// picks names n picks by the destinations' last byte: 0 is a.
func picks(m *sched.Model, n int, loads []sched.Load) string {
	var b strings.Builder
	for range n {
		i, ok := m.Pick(sched.Flow{}, loads)
		if !ok {
			b.WriteByte('-')
			continue
		}
		b.WriteByte('a' + m.Destinations()[i].Addr.As4()[3])
	}
	return b.String()
}

func TestRoundRobins(t *testing.T) {
	over := func(n int, which ...int) []sched.Load {
		l := make([]sched.Load, n)
		for _, i := range which {
			l[i].Overloaded = true
		}
		return l
	}
	for _, tt := range []struct {
		name  string
		kind  lvs.Scheduler
		dests []lvs.Destination
		loads []sched.Load
		want  string
	}{
		{"rr", lvs.RR, dests(1, 1, 1), nil, "abcabcab"},
		{"rr ignores weights but 0", lvs.RR, dests(7, 0, 1), nil, "acacacac"},
		{"rr skips overloaded", lvs.RR, dests(1, 1, 1), over(3, 0), "bcbcbcbc"},
		{"rr with nobody", lvs.RR, nil, nil, "--------"},
		{"rr all quiesced", lvs.RR, dests(0, 0), nil, "--------"},
		{"wrr interleaves", lvs.WRR, dests(4, 3, 2), nil, "aababcabcaababcabc"},
		{"wrr divides by the common divisor", lvs.WRR, dests(400, 300, 200), nil, "aababcabc"},
		{"wrr skips overloaded", lvs.WRR, dests(4, 3, 2), over(3, 0), "bbcbcbbc"},
		{"wrr all overloaded", lvs.WRR, dests(4, 3), over(2, 0, 1), "----"},
		{"wrr all quiesced", lvs.WRR, dests(0, 0), nil, "----"},
		{"wrr one", lvs.WRR, dests(5), nil, "aaaa"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, picks(model(t, tt.kind, 0, tt.dests), len(tt.want), tt.loads)); diff != "" {
				t.Errorf("picks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChangeKeepsTheTurn(t *testing.T) {
	for _, tt := range []struct {
		name          string
		kind          lvs.Scheduler
		before, after []lvs.Destination
		n             int // picks before the change
		want          string
	}{
		{"rr join at the head", lvs.RR, dests(1, 1), []lvs.Destination{dest(5, 1), dest(0, 1), dest(1, 1)}, 1, "bfab"},
		{"rr leave of the last used", lvs.RR, dests(1, 1, 1), []lvs.Destination{dest(0, 1), dest(2, 1)}, 2, "caca"},
		{"rr leave of the first, used last", lvs.RR, dests(1, 1, 1), []lvs.Destination{dest(1, 1), dest(2, 1)}, 1, "bcbc"},
		{"rr quiesce", lvs.RR, dests(1, 1, 1), dests(1, 0, 1), 1, "caca"},
		// wrr goes back to the head of the list within its round (3 of 4,3,2).
		{"wrr weight change", lvs.WRR, dests(4, 3, 2), dests(4, 3, 1), 2, "abababc"},
		{"wrr round above the new maximum", lvs.WRR, dests(4, 1), dests(2, 1), 1, "aabaab"},
		{"wrr back from all quiesced", lvs.WRR, dests(0, 0), dests(2, 1), 0, "aabaab"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := model(t, tt.kind, 0, tt.before)
			picks(m, tt.n, nil)
			m.Set(tt.after)
			if diff := cmp.Diff(tt.want, picks(m, len(tt.want), nil)); diff != "" {
				t.Errorf("picks after the change (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeastConnections(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  lvs.Scheduler
		dests []lvs.Destination
		loads []sched.Load
		want  int
		ok    bool
	}{
		{"tie goes to the head", lvs.LC, dests(1, 1), []sched.Load{{}, {}}, 0, true},
		{"lc active outweighs inactive", lvs.LC, dests(1, 1), []sched.Load{{Active: 1}, {Inactive: 255}}, 1, true},
		{"lc 256 inactive equal one active", lvs.LC, dests(1, 1), []sched.Load{{Active: 1}, {Inactive: 256}}, 0, true},
		{"lc ignores weights", lvs.LC, dests(1, 100), []sched.Load{{}, {Inactive: 1}}, 0, true},
		{"wlc by weight", lvs.WLC, dests(1, 3), []sched.Load{{Active: 1}, {Active: 2}}, 1, true},
		{"wlc idle tie goes to the head", lvs.WLC, dests(1, 9), []sched.Load{{}, {}}, 0, true},
		{"quiesced is skipped", lvs.WLC, dests(0, 1), []sched.Load{{}, {Active: 9}}, 1, true},
		{"overloaded is skipped", lvs.LC, dests(1, 1), []sched.Load{{Overloaded: true}, {Active: 9}}, 1, true},
		{"nobody", lvs.WLC, dests(0, 0), []sched.Load{{}, {}}, 0, false},
		{"no overflow", lvs.WLC, dests(1<<30, 1<<30), []sched.Load{{Active: 1 << 23}, {Active: 1<<23 - 1}}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, ok := model(t, tt.kind, 0, tt.dests).Pick(sched.Flow{}, tt.loads)
			if i != tt.want || ok != tt.ok {
				t.Errorf("Pick = %d, %v, want %d, %v", i, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestSourceHash(t *testing.T) {
	d := dests(1, 2, 0)
	table := sched.SHTable(d)
	if diff := cmp.Diff([]int32{0, 1, 1, 2, 0, 1, 1, 2}, table[:8]); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	client := netip.MustParseAddr("10.1.0.2")
	golden := uint32(0x61c88647)
	if got, want := sched.SHHash(client, 7), (uint32(0x0a010002+7)*golden)>>24; got != want {
		t.Errorf("SHHash = %d, want %d", got, want)
	}
	quiesced, fallback := 0, 0
	for i := range 1000 {
		f := sched.Flow{Client: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Port: uint16(i)}
		j, ok := model(t, lvs.SH, 0, d).Pick(f, nil)
		if ok && j == 2 {
			t.Fatalf("%v went to the quiesced destination", f)
		}
		if table[sched.SHHash(f.Client, 0)] == 2 {
			quiesced++
			if ok {
				t.Errorf("%v hashed to a quiesced destination and was sent to %d without sh-fallback", f, j)
			}
			if _, ok := model(t, lvs.SH, lvs.SchedFallback, d).Pick(f, nil); ok {
				fallback++
			}
		}
	}
	if quiesced == 0 || fallback != quiesced {
		t.Errorf("%d flows hashed to the quiesced destination, sh-fallback sent %d elsewhere", quiesced, fallback)
	}
}

func TestMaglevKeepsTheShareOfAQuiescedServer(t *testing.T) {
	m := model(t, lvs.MH, lvs.SchedFallback, dests(3, 3, 1))
	before := append([]int32(nil), m.Table()...)
	m.Set(dests(3, 0, 1))
	if diff := cmp.Diff(before, m.Table()); diff != "" {
		t.Errorf("table moved on quiescing:\n%s", diff)
	}
	last := m.LastWeights()
	n := model(t, lvs.MH, lvs.SchedFallback, dests(3, 0, 1))
	if cmp.Equal(before, n.Table()) {
		t.Error("a model that never saw the weight gives the quiesced server a share")
	}
	n.SetLastWeights(last)
	if diff := cmp.Diff(before, n.Table()); diff != "" {
		t.Errorf("table after SetLastWeights:\n%s", diff)
	}
}

func TestUnsupported(t *testing.T) {
	if _, err := sched.New(lvs.DH, 0, nil); !errors.Is(err, sched.ErrUnsupported) {
		t.Errorf("dh: %v, want ErrUnsupported", err)
	}
}

func TestListOrder(t *testing.T) {
	d := dests(1, 2, 3)
	got := sched.ListOrder(d)
	if fmt.Sprint(got[0].Weight, got[1].Weight, got[2].Weight) != "3 2 1" || d[0].Weight != 1 {
		t.Errorf("ListOrder = %v of %v", got, d)
	}
}
