package prog_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/lvs/sched"
)

var schedulers = []struct {
	kind  lvs.Scheduler
	abi   uint32
	flags []lvs.SchedulerFlags
}{
	{lvs.RR, prog.SchedRing, []lvs.SchedulerFlags{0}},
	{lvs.WRR, prog.SchedRing, []lvs.SchedulerFlags{0}},
	{lvs.LC, prog.SchedLC, []lvs.SchedulerFlags{0}},
	{lvs.WLC, prog.SchedWLC, []lvs.SchedulerFlags{0}},
	{lvs.SH, prog.SchedSH, []lvs.SchedulerFlags{0, lvs.SchedPort, lvs.SchedFallback, lvs.SchedPort | lvs.SchedFallback}},
	{lvs.MH, prog.SchedMH, []lvs.SchedulerFlags{0, lvs.SchedPort, lvs.SchedFallback, lvs.SchedPort | lvs.SchedFallback}},
}

// pool is how many servers a scheduler test draws from.
const pool = 8

// rig is a service in the world and its model, kept alike.
type rig struct {
	w       *progtest.World
	a       progtest.Added
	s       progtest.Service
	m       *sched.Model
	kind    lvs.Scheduler
	members []int // servers by index, in LVS's list order
	weights [pool]int
	over    [pool]bool
	next    uint32 // client
}

func newRig(t testing.TB, w *progtest.World, kind lvs.Scheduler, abi uint32, flags lvs.SchedulerFlags) *rig {
	t.Helper()
	r := &rig{w: w, kind: kind, s: progtest.Service{Addr: vip, Port: 80, Proto: progtest.TCP, Sched: abi}}
	if flags&lvs.SchedPort != 0 {
		r.s.Flags |= prog.ServiceHashPort
	}
	if flags&lvs.SchedFallback != 0 {
		r.s.Flags |= prog.ServiceFallback
	}
	for i := range pool {
		r.s.Servers = append(r.s.Servers, progtest.Server{
			Addr: netip.AddrFrom4([4]byte{10, 1, 0, byte(i + 1)}), Port: 80, Method: prog.MethodDR,
		})
	}
	r.a = add(t, w, r.s)
	m, err := sched.New(kind, flags, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.m = m
	return r
}

// change sets members and weights, in the model and in the maps.
func (r *rig) change(t *rapid.T) {
	var dests []lvs.Destination
	for _, i := range r.members {
		dests = append(dests, lvs.Destination{Addr: r.s.Servers[i].Addr, Port: 80, Method: lvs.DR, Weight: r.weights[i]})
	}
	r.m.Set(dests)
	for i := range pool {
		s := r.s.Servers[i]
		s.Weight = uint32(r.weights[i])
		if err := r.w.SetDest(r.a.Dests[i], r.a.ID, 1, s); err != nil {
			t.Fatal(err)
		}
	}
	var slots []uint32
	put := func(i int32) {
		if i < 0 {
			slots = append(slots, prog.SlotEmpty)
			return
		}
		slots = append(slots, uint32(r.members[i]))
	}
	switch r.kind {
	case lvs.RR, lvs.WRR:
		ring := r.m.Lay(1 << 16)
		for _, i := range ring.Slots {
			put(i)
		}
		run := prog.ServiceRun{Cursor: uint32(r.m.Position(ring))}
		if err := r.w.Map("srun").Put(r.a.ID, &run); err != nil {
			t.Fatal(err)
		}
	case lvs.SH, lvs.MH:
		for _, i := range r.m.Table() {
			put(i)
		}
	default:
		for i := range r.members {
			put(int32(i))
		}
	}
	if err := r.w.Lay(r.a, r.s, slots); err != nil {
		t.Fatal(err)
	}
}

// connect opens a connection in both and compares.
func (r *rig) connect(t *rapid.T) {
	r.next++
	c := binary.BigEndian.AppendUint32(nil, 0x0a000000+r.next*2654435761>>8)
	addr, _ := netip.AddrFromSlice(c)
	port := uint16(r.next * 7919)
	loads := make([]sched.Load, len(r.members))
	for k, i := range r.members {
		d := r.w.Count(r.a.Dests[i])
		d.Flags &^= prog.DcountOverload
		if r.over[i] {
			d.Flags |= prog.DcountOverload
		}
		loads[k] = sched.Load{Active: uint32(d.Active), Inactive: uint32(d.Inactive), Overloaded: r.over[i]}
	}
	want, ok := r.m.Pick(sched.Flow{Client: addr, Port: port}, loads)
	p := fromClient(progtest.TCP, port, progtest.SYN)
	p.SrcIP = addr
	if _, _, err := r.w.Run(progtest.XDP, p.Bytes()); err != nil {
		t.Fatal(err)
	}
	e := r.w.Conn(progtest.FlowOf(p))
	switch {
	case !ok && e != nil:
		t.Fatalf("connection %d went to destination %d, the model refuses it", r.next, e.Dest)
	case ok && e == nil:
		t.Fatalf("connection %d was refused, the model picks server %d", r.next, r.members[want])
	case ok && e.Dest != r.a.Dests[r.members[want]]:
		t.Fatalf("connection %d went to destination %d, the model picks %d; members %v weights %v loads %v",
			r.next, e.Dest, r.a.Dests[r.members[want]], r.members, r.weights, loads)
	}
}

// The C schedulers pick what the Go models pick, under any weights, joins,
// leaves, overloads and loads.
func TestSchedulersEqualTheirModels(t *testing.T) {
	for _, s := range schedulers {
		for _, flags := range s.flags {
			t.Run(fmt.Sprintf("%s/flags %d", s.kind, flags), func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					w := world(t, progtest.Options{Sets: 4096})
					r := newRig(t, w, s.kind, s.abi, flags)
					for range rapid.IntRange(1, 4).Draw(rt, "changes") {
						r.members = slices.Clone(rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(rt, "order"))
						r.members = r.members[:rapid.IntRange(0, pool).Draw(rt, "members")]
						for i := range pool {
							r.weights[i] = rapid.IntRange(0, 6).Draw(rt, "weight")
							r.over[i] = rapid.IntRange(0, 5).Draw(rt, "overloaded") == 0
						}
						r.change(rt)
						for range rapid.IntRange(1, 20).Draw(rt, "connections") {
							r.connect(rt)
						}
					}
				})
			})
		}
	}
}

// A scan goes through 4096 destinations, the last of which may be the least
// loaded, in one run.
func TestLargeScan(t *testing.T) {
	w := world(t, progtest.Options{})
	s := progtest.Service{Addr: vip, Port: 80, Proto: progtest.TCP, Sched: prog.SchedWLC}
	for i := range prog.ScanMax {
		s.Servers = append(s.Servers, progtest.Server{
			Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Port: 80, Method: prog.MethodDR, Weight: 2,
		})
	}
	a := add(t, w, s)
	for _, d := range a.Dests {
		w.Count(d).Active = 2
	}
	last := a.Dests[len(a.Dests)-1]
	w.Count(last).Active = 1
	for _, h := range hooks {
		p := fromClient(progtest.TCP, uint16(len(h)), progtest.SYN)
		w.Count(last).Active = 1
		run(t, w, h, p)
		if e := w.Conn(progtest.FlowOf(p)); e == nil || e.Dest != last {
			t.Errorf("%s: entry %+v, want destination %d", h, e, last)
		}
	}
}
