package sched_test

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/lvs/sched"
)

func someDests(t *rapid.T, maxWeight int) []lvs.Destination {
	return dests(rapid.SliceOfN(rapid.IntRange(0, maxWeight), 0, 12).Draw(t, "weights")...)
}

// The ring that BPF walks is what the kernel's list walk does.
func TestRingIsTheModelsSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]lvs.Scheduler{lvs.RR, lvs.WRR}).Draw(t, "kind")
		d := someDests(t, 40)
		m := model(t, kind, 0, d)
		r := m.Lay(1 << 16)
		if !r.Exact {
			t.Fatal("a ring of 65536 slots was scaled")
		}
		for lap := range 2 {
			for k, want := range r.Slots {
				if got, ok := m.Pick(sched.Flow{}, nil); !ok || got != int(want) {
					t.Fatalf("lap %d, slot %d is %d, the model picks %d, %v", lap, k, want, got, ok)
				}
			}
		}
		if _, ok := m.Pick(sched.Flow{}, nil); ok != (len(r.Slots) > 0) {
			t.Fatalf("pick after an empty ring: %v", ok)
		}
	})
}

// Overloaded destinations are slots to be skipped, no more.
func TestRingSkipsOverloaded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]lvs.Scheduler{lvs.RR, lvs.WRR}).Draw(t, "kind")
		d := someDests(t, 9)
		m := model(t, kind, 0, d)
		r := m.Lay(1 << 16)
		pos := 0
		for range 30 {
			loads := make([]sched.Load, len(d))
			for i := range loads {
				loads[i].Overloaded = rapid.Bool().Draw(t, "overloaded")
			}
			want, found := 0, false
			for step := range r.Slots {
				if s := r.Slots[(pos+step)%len(r.Slots)]; !loads[s].Overloaded {
					want, found, pos = int(s), true, (pos+step+1)%len(r.Slots)
					break
				}
			}
			got, ok := m.Pick(sched.Flow{}, loads)
			if ok != found || ok && got != want {
				t.Fatalf("model %d, %v; ring %d, %v", got, ok, want, found)
			}
		}
	})
}

func TestSeekAndPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]lvs.Scheduler{lvs.RR, lvs.WRR}).Draw(t, "kind")
		d := someDests(t, 20)
		m := model(t, kind, 0, d)
		r := m.Lay(1 << 16)
		if len(r.Slots) == 0 {
			return
		}
		pos := rapid.Uint64Range(0, 1<<40).Draw(t, "pos")
		m.Seek(r, pos)
		if got, want := m.Position(r), pos%uint64(len(r.Slots)); got != want {
			t.Fatalf("Position after Seek(%d) = %d, want %d of %d", pos, got, want, len(r.Slots))
		}
		got, _ := m.Pick(sched.Flow{}, nil)
		if want := r.Slots[pos%uint64(len(r.Slots))]; int32(got) != want {
			t.Fatalf("pick after Seek(%d) = %d, want %d", pos, got, want)
		}
	})
}

// A ring that does not fit keeps everybody and everybody's share.
func TestScaledRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := dests(rapid.SliceOfN(rapid.IntRange(0, 65535), 2, 12).Draw(t, "weights")...)
		const limit = 1024
		r := model(t, lvs.WRR, 0, d).Lay(limit)
		if len(r.Slots) > limit {
			t.Fatalf("%d slots, limit %d", len(r.Slots), limit)
		}
		sum := 0
		for _, x := range d {
			sum += x.Weight
		}
		for i, x := range d {
			got := 0
			for _, s := range r.Slots {
				if int(s) == i {
					got++
				}
			}
			if (got > 0) != (x.Weight > 0) {
				t.Fatalf("destination %d of weight %d has %d slots", i, x.Weight, got)
			}
			want := float64(x.Weight) / float64(max(sum, 1))
			if share := float64(got) / float64(max(len(r.Slots), 1)); math.Abs(share-want) > 0.03 {
				t.Fatalf("destination %d: share %.3f, want %.3f", i, share, want)
			}
		}
	})
}

// rr against the kernel's own data structure: a linked list with a cursor,
// newest at the head, a removed cursor stepping back.
func TestRRAgainstALinkedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type node struct {
			d          lvs.Destination
			prev, next *node
		}
		head := &node{}
		head.prev, head.next = head, head
		at, id := head, 0
		m := model(t, lvs.RR, 0, nil)
		list := func() (out []lvs.Destination) {
			for n := head.next; n != head; n = n.next {
				out = append(out, n.d)
			}
			return out
		}
		nth := func() *node {
			l := list()
			if len(l) == 0 {
				return nil
			}
			n := head.next
			for range rapid.IntRange(0, len(l)-1).Draw(t, "which") {
				n = n.next
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				n := &node{d: dest(id, rapid.IntRange(0, 2).Draw(t, "weight")), prev: head, next: head.next}
				id = (id + 1) % 256
				head.next.prev, head.next = n, n
				m.Set(list())
			},
			"leave": func(t *rapid.T) {
				n := nth()
				if n == nil {
					return
				}
				if at == n {
					at = n.prev
				}
				n.prev.next, n.next.prev = n.next, n.prev
				m.Set(list())
			},
			"pick": func(t *rapid.T) {
				want := at
				ok := false
				for range len(list()) + 1 {
					if want = want.next; want != head && want.d.Weight > 0 {
						ok = true
						break
					}
				}
				got, gotOK := m.Pick(sched.Flow{}, nil)
				if ok != gotOK || ok && m.Destinations()[got] != want.d {
					t.Fatalf("model %d, %v; list %v, %v", got, gotOK, want.d, ok)
				}
				if ok {
					at = want
				}
			},
		})
	})
}

func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := dests(rapid.SliceOfN(rapid.IntRange(1, 10), 1, 8).Draw(t, "weights")...)
		sum := 0
		for _, x := range d {
			sum += x.Weight
		}
		for name, table := range map[string][]int32{
			"mh":     model(t, lvs.MH, 0, d).Table(),
			"spread": sched.Spread(d, 1021),
		} {
			for i, x := range d {
				got := 0
				for _, s := range table {
					if int(s) == i {
						got++
					}
				}
				want := float64(len(table)) * float64(x.Weight) / float64(sum)
				if math.Abs(float64(got)-want) > 11 {
					t.Fatalf("%s: destination %d of weight %d/%d has %d entries, want about %.0f", name, i, x.Weight, sum, got, want)
				}
			}
		}
	})
}

// Maglev's promise: when one of n leaves, its share moves and little else.
func TestMinimalDisruption(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 20).Draw(t, "n")
		w := make([]int, n)
		for i := range w {
			w[i] = 1
		}
		d := dests(w...)
		gone := rapid.IntRange(0, n-1).Draw(t, "gone")
		rest := slices.Delete(slices.Clone(d), gone, gone+1)
		a, b := model(t, lvs.MH, 0, d).Table(), model(t, lvs.MH, 0, rest).Table()
		moved := 0
		for i := range a {
			if int(a[i]) != gone && d[a[i]] != rest[b[i]] {
				moved++
			}
		}
		if moved > len(a)/4 {
			t.Fatalf("%d of %d entries of others moved when one of %d left", moved, len(a), n)
		}
	})
}

func TestHashesPickUsable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]lvs.Scheduler{lvs.SH, lvs.MH}).Draw(t, "kind")
		flags := lvs.SchedulerFlags(rapid.IntRange(0, 3).Draw(t, "flags"))
		d := someDests(t, 5)
		loads := make([]sched.Load, len(d))
		free := false
		for i := range loads {
			loads[i].Overloaded = rapid.Bool().Draw(t, "overloaded")
			free = free || d[i].Weight > 0 && !loads[i].Overloaded
		}
		m := model(t, kind, flags, d)
		f := sched.Flow{
			Client: netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "client"))),
			Port:   rapid.Uint16().Draw(t, "port"),
		}
		i, ok := m.Pick(f, loads)
		if ok && (d[i].Weight == 0 || loads[i].Overloaded) {
			t.Fatalf("picked unusable %d", i)
		}
		if flags&lvs.SchedFallback != 0 && ok != free {
			t.Fatalf("with fallback: %v, somebody free: %v", ok, free)
		}
		if j, again := m.Pick(f, loads); j != i || again != ok {
			t.Fatalf("second pick %d, %v differs from %d, %v", j, again, i, ok)
		}
		if flags&lvs.SchedPort == 0 {
			f.Port++
			if j, again := m.Pick(f, loads); j != i || again != ok {
				t.Fatal("the port mattered without the port flag")
			}
		}
	})
}
