package xdp

import (
	"sync/atomic"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// scanSlices is how many steps one pass over the table takes, and suspicions
// how many passes in a row must find the same difference before the counts of
// a destination are audited.
const (
	scanSlices = 20
	suspicions = 3
)

// scanner walks the connection table in slices: it frees what is dead, counts
// what lives, finds what a crash left behind, and audits the counts. It keeps
// no reference into the table between slices. Callers hold Dataplane.mu.
type scanner struct {
	mem *memory
	tab *table

	next    int // set to look at
	pass    uint64
	entries uint64 // forward entries in this pass
	replies uint64
	tally   []tally          // by destination, of this pass
	odd     map[uint32]int32 // destination -> difference of its total found in a row
	oddRuns map[uint32]int
	stuck   map[uint32]stuckWay // prog.Ways that looked abandoned in the last pass
	maybe   map[uint32]stuckWay // ... in this one

	total, freed, repaired, corrected uint64 // for Status and tests
	lastEntries                       uint64
}

type tally struct{ active, inactive int32 }

type stuckWay struct{ tag, word uint32 }

func newScanner(mem *memory, tab *table) *scanner {
	return &scanner{
		mem: mem, tab: tab, tally: make([]tally, len(mem.counts)), odd: map[uint32]int32{}, oddRuns: map[uint32]int{},
		stuck: map[uint32]stuckWay{}, maybe: map[uint32]stuckWay{},
	}
}

// slice looks at the next part of the table, and reports whether that ended a
// pass.
func (s *scanner) slice(now uint32) bool {
	n := max(1, len(s.mem.conns)/scanSlices)
	end := min(s.next+n, len(s.mem.conns))
	for i := s.next; i < end; i++ {
		set := &s.mem.conns[i]
		for w := range prog.Ways {
			if tag := atomic.LoadUint32(&set.Tag[w]); tag != prog.TagFree {
				s.look(i, w, tag, now)
			}
		}
	}
	s.next = end
	if end < len(s.mem.conns) {
		return false
	}
	s.endPass()
	return true
}

func (s *scanner) look(set, way int, tag, now uint32) {
	e, loc := &s.mem.conns[set].Way[way], prog.Locator(uint32(set), way)
	word := atomic.LoadUint32(&e.State)
	switch {
	case tag == prog.TagClaimed || !live(word):
		s.abandoned(loc, stuckWay{tag, word})
	case word&prog.WordReply != 0:
		if s.mem.orphaned(asReply(e)) {
			s.mem.free(loc, word, s.overload)
			return
		}
		s.replies++
	case s.mem.dead(e, now, s.generation):
		if s.mem.free(loc, word, s.overload) {
			s.freed++
		}
	default:
		s.entries++
		if int(e.Dest) >= len(s.tally) {
			return
		}
		if countsActive(word) {
			s.tally[e.Dest].active++
		} else {
			s.tally[e.Dest].inactive++
		}
	}
}

// abandoned handles a way that is inside a step of the protocol. The packet
// path ends a step within microseconds, so one that is found so in two passes
// was left by a process that died in the middle.
func (s *scanner) abandoned(loc uint32, now stuckWay) {
	if s.stuck[loc] != now {
		s.maybe[loc] = now
		return
	}
	tag, e := s.mem.at(loc)
	if now.word&prog.StateMask != prog.StateDead {
		// So that a reply entry which names it is seen to be an orphan.
		if !atomic.CompareAndSwapUint32(&e.State, now.word, now.word|prog.StateDead) {
			return
		}
	}
	if atomic.CompareAndSwapUint32(tag, now.tag, prog.TagFree) {
		s.repaired++
	}
}

func (s *scanner) generation(dest uint32) uint32 {
	if int(dest) < len(s.tab.dests) && s.tab.dests[dest] != nil {
		return s.tab.dests[dest].rec.Generation
	}
	return 0 // nobody's: generations count from 1
}

// overload clears a destination's overload mark when a freed entry made room.
func (s *scanner) overload(dest uint32) {
	if int(dest) >= len(s.tab.dests) {
		return
	}
	c, want := &s.mem.counts[dest], lvs.Destination{}
	if d := s.tab.dests[dest]; d != nil {
		want = d.want
	}
	for range 2 { // the totals may move between the look and the change
		total := atomic.LoadInt32(&c.Active) + atomic.LoadInt32(&c.Inactive)
		was := atomic.LoadUint32(&c.Flags)&prog.DcountOverload != 0
		if !was || overloaded(want, total, was) {
			return
		}
		clearBits(&c.Flags, prog.DcountOverload)
		if overloaded(want, atomic.LoadInt32(&c.Active)+atomic.LoadInt32(&c.Inactive), true) {
			setBits(&c.Flags, prog.DcountOverload)
		}
	}
}

// endPass draws the conclusions of a pass and starts the next one.
func (s *scanner) endPass() {
	s.lastEntries, s.total = s.entries, s.entries+s.replies
	for slot, d := range s.tab.dests {
		if d == nil {
			continue
		}
		s.suspect(uint32(slot))
		if !d.available() {
			s.drained(d)
		}
	}
	clear(s.tally)
	s.stuck, s.maybe = s.maybe, s.stuck
	clear(s.maybe)
	s.next, s.entries, s.replies = 0, 0, 0
	s.pass++
}

// drained notes that no entry named a removed server in this pass.
func (s *scanner) drained(d *dest) {
	c := &s.mem.counts[d.slot]
	if s.tally[d.slot] != (tally{}) || atomic.LoadInt32(&c.Active) != 0 || atomic.LoadInt32(&c.Inactive) != 0 {
		d.empty = 0
		return
	}
	d.empty++
}

// suspect compares a destination's counts with this pass's tally. The table
// changed while the pass went on, so a difference means nothing by itself; one
// that stays is looked at closely.
func (s *scanner) suspect(slot uint32) {
	c := &s.mem.counts[slot]
	t := s.tally[slot]
	active, inactive := atomic.LoadInt32(&c.Active), atomic.LoadInt32(&c.Inactive)
	if active == t.active && inactive == t.inactive || s.stashed() {
		delete(s.odd, slot)
		delete(s.oddRuns, slot)
		return
	}
	diff := (active - t.active) ^ (inactive-t.inactive)<<16
	if s.odd[slot] != diff {
		s.odd[slot], s.oddRuns[slot] = diff, 1
		return
	}
	if s.oddRuns[slot]++; s.oddRuns[slot] >= suspicions {
		s.audit(slot)
		delete(s.oddRuns, slot)
		delete(s.odd, slot)
	}
}

// stashed reports whether entries are outside of the table, which the tally
// does not see.
func (s *scanner) stashed() bool { return atomic.LoadInt32(&s.mem.runtime.StashCount) != 0 }

// audit recounts one destination in one go, and corrects its counts if nothing
// moved them meanwhile.
func (s *scanner) audit(slot uint32) {
	c := &s.mem.counts[slot]
	active, inactive := atomic.LoadInt32(&c.Active), atomic.LoadInt32(&c.Inactive)
	t, clean := s.recount(slot)
	if !clean || active != atomic.LoadInt32(&c.Active) || inactive != atomic.LoadInt32(&c.Inactive) {
		return
	}
	if t.active != active {
		atomic.AddInt32(&c.Active, t.active-active)
		s.corrected++
	}
	if t.inactive != inactive {
		atomic.AddInt32(&c.Inactive, t.inactive-inactive)
		s.corrected++
	}
	s.overload(slot)
}

// recount counts a destination's entries; clean is that none was in the middle
// of a step.
func (s *scanner) recount(slot uint32) (t tally, clean bool) {
	clean = true
	for i := range s.mem.conns {
		set := &s.mem.conns[i]
		for w := range prog.Ways {
			tag := atomic.LoadUint32(&set.Tag[w])
			if tag == prog.TagFree {
				continue
			}
			e := &set.Way[w]
			word := atomic.LoadUint32(&e.State)
			switch {
			case tag == prog.TagClaimed || !live(word):
				clean = false
			case word&prog.WordReply != 0 || e.Dest != slot:
			case countsActive(word):
				t.active++
			default:
				t.inactive++
			}
		}
	}
	return t, clean
}
