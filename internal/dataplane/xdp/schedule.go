package xdp

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/lvs/sched"
)

// ringLimit bounds one service's ring of rr or wrr; heavier weights are scaled
// down together.
const ringLimit = 8192

// schedule lays out what the scheduler of s reads, for dests in list order,
// and points the service at it.
func (t *table) schedule(s *service, w lvs.ServiceSet, dests []*dest) error {
	if len(dests) > prog.ScanMax {
		return fmt.Errorf("%d servers, at most %d are possible", len(dests), prog.ScanMax)
	}
	list := make([]lvs.Destination, len(dests))
	for i, d := range dests {
		list[i] = d.want
	}
	model, seat, err := t.remodel(s, w.Service, list, dests)
	if err != nil {
		return err
	}
	rec := prog.Service{Id: s.id, Sched: schedKind(w.Scheduler)}
	if w.SchedulerFlags&lvs.SchedPort != 0 {
		rec.Flags |= prog.ServiceHashPort
	}
	if w.SchedulerFlags&lvs.SchedFallback != 0 {
		rec.Flags |= prog.ServiceFallback
	}
	ring, slots := layOut(model, w.Scheduler, dests)
	fb := fallback(list, dests)
	if err := t.point(s, rec, slots, fb); err != nil {
		return err
	}
	s.model, s.ring = model, ring
	if !seat || rec.Sched != prog.SchedRing {
		return nil
	}
	var run prog.ServiceRun
	if err := t.maps["srun"].Lookup(s.id, &run); err != nil {
		return fmt.Errorf("scheduler's cursor: %w", err)
	}
	run.Cursor = uint32(model.Position(ring))
	s.pos = run.Cursor
	return t.put("srun", s.id, &run)
}

// remodel returns the scheduler's model for list, carried on from the one that
// s has; seat is that the cursor of rr or wrr must be set for the new ring.
func (t *table) remodel(s *service, w lvs.Service, list []lvs.Destination, dests []*dest) (m *sched.Model, seat bool, err error) {
	same := s.model != nil && s.want.Scheduler == w.Scheduler && s.want.SchedulerFlags == w.SchedulerFlags
	if !same {
		if m, err = sched.New(w.Scheduler, w.SchedulerFlags, list); err != nil {
			return nil, false, err
		}
		last := make([]int, len(dests))
		for i, d := range dests {
			last[i] = int(*lastWeight(&d.rec))
		}
		m.SetLastWeights(last)
		// What was adopted goes on wherever its cursor is.
		return m, s.model != nil, nil
	}
	m = s.model
	if slices.Equal(m.Destinations(), list) {
		return m, false, nil
	}
	if w.Scheduler == lvs.RR || w.Scheduler == lvs.WRR {
		var run prog.ServiceRun
		if err := t.maps["srun"].Lookup(s.id, &run); err != nil {
			return nil, false, fmt.Errorf("scheduler's cursor: %w", err)
		}
		if run.Cursor != s.pos { // connections came since
			m.Seek(s.ring, uint64(run.Cursor))
		}
		seat = true
	}
	m.Set(list)
	return m, seat, nil
}

func schedKind(k lvs.Scheduler) uint32 {
	switch k {
	case lvs.SH:
		return prog.SchedSH
	case lvs.MH:
		return prog.SchedMH
	case lvs.LC:
		return prog.SchedLC
	case lvs.WLC:
		return prog.SchedWLC
	}
	return prog.SchedRing
}

// layOut returns the contents of the service's region: slots of the dests map.
func layOut(m *sched.Model, kind lvs.Scheduler, dests []*dest) (sched.Ring, []uint32) {
	switch kind {
	case lvs.RR, lvs.WRR:
		r := m.Lay(max(ringLimit, len(dests)))
		return r, named(r.Slots, dests)
	case lvs.SH, lvs.MH:
		return sched.Ring{}, named(m.Table(), dests)
	}
	slots := make([]uint32, len(dests))
	for i, d := range dests {
		slots[i] = d.slot
	}
	return sched.Ring{}, slots
}

func named(indexes []int32, dests []*dest) []uint32 {
	slots := make([]uint32, len(indexes))
	for i, x := range indexes {
		slots[i] = prog.SlotEmpty
		if x >= 0 {
			slots[i] = dests[x].slot
		}
	}
	return slots
}

// fallback lays out the ring by which flows are balanced while the connection
// table has no room: DR servers only, since nothing could translate the
// replies of NAT without an entry.
func fallback(list []lvs.Destination, dests []*dest) []uint32 {
	usable := make([]lvs.Destination, len(list))
	n := 0
	for i, d := range list {
		if usable[i] = d; d.Method != lvs.DR {
			usable[i].Weight = 0
		} else if d.Weight > 0 {
			n++
		}
	}
	size := 61 // primes; some slots for each server, so that shares are fair
	for _, prime := range []int{251, 1021, 4093, 16381} {
		if size < 12*n {
			size = prime
		}
	}
	if n == 0 {
		return nil
	}
	return named(sched.Spread(usable, size), dests)
}

// point writes the regions that changed and then the service.
func (t *table) point(s *service, rec prog.Service, slots, fb []uint32) error {
	ring, err := t.place(region{s.rec.RingOff, s.rec.RingLen}, s.slots, slots)
	if err != nil {
		return err
	}
	spare, err := t.place(region{s.rec.FbOff, s.rec.FbLen}, s.fb, fb)
	if err != nil {
		return err
	}
	rec.RingOff, rec.RingLen, rec.FbOff, rec.FbLen = ring.off, ring.len, spare.off, spare.len
	if !s.live || rec != s.rec {
		t.writes++
		key := serviceKeyOf(s.key)
		if err := t.maps["services"].Put(&key, &rec); err != nil {
			return fmt.Errorf("map services: %w", err)
		}
	}
	now := time.Now()
	if ring.off != s.rec.RingOff || ring.len != s.rec.RingLen {
		t.regions.give(region{s.rec.RingOff, s.rec.RingLen}, now)
	}
	if spare.off != s.rec.FbOff || spare.len != s.rec.FbLen {
		t.regions.give(region{s.rec.FbOff, s.rec.FbLen}, now)
	}
	s.rec, s.live, s.slots, s.fb = rec, true, slots, fb
	return nil
}

// place returns a region that holds want: the old one if it does, else a new
// one.
func (t *table) place(old region, has, want []uint32) (region, error) {
	if slices.Equal(has, want) {
		return old, nil
	}
	r, ok := t.regions.take(uint32(len(want)), time.Now())
	if !ok {
		// Regions given back lately rest; after the grace period they are free.
		time.Sleep(grace)
		if r, ok = t.regions.take(uint32(len(want)), time.Now()); !ok {
			return region{}, errors.New("no room for its scheduling table; use fewer services with mh or sh")
		}
	}
	if len(want) == 0 {
		return r, nil
	}
	keys := make([]uint32, len(want))
	for i := range keys {
		keys[i] = r.off + uint32(i)
	}
	t.writes++
	if _, err := t.maps["ring"].BatchUpdate(keys, want, nil); err != nil {
		return region{}, fmt.Errorf("map ring: %w", err)
	}
	return r, nil
}
