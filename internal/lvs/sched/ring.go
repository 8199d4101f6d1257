package sched

import (
	"github.com/kaname-lb/kaname/internal/lvs"
)

// cursor is where rr and wrr stand: the destination used last (-1 is the
// list's head) and, for wrr, the weight that a destination needs in this
// round. They are cl and cw of struct ip_vs_wrr_mark.
type cursor struct {
	index int
	need  int
}

// start is the cursor of a new service: head of the list, heaviest round.
func start(weights []int) cursor {
	mw, _ := span(weights)
	return cursor{index: -1, need: mw}
}

// span returns wrr's mw and di: the need of the first round and the step from
// one round to the next, which is the weights' greatest common divisor. mw is
// the maximum less di-1, so that the last round's need is 1.
func span(weights []int) (mw, di int) {
	g, top := 0, 0
	for _, w := range weights {
		if w > 0 {
			g, top = gcd(w, g), max(top, w)
		}
	}
	di = max(g, 1)
	return top - (di - 1), di
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// changed is what ip_vs_wrr_dest_changed does: back to the head, in the same
// round if there still is one. Resetting the round too would favour heavy
// servers whenever checks change weights often.
func (c cursor) changed(weights []int) cursor {
	mw, di := span(weights)
	switch {
	case c.need > mw || c.need == 0:
		c.need = mw
	case di > 1:
		c.need = c.need/di*di + 1
	}
	return cursor{index: -1, need: c.need}
}

// moved follows rr's cursor through a change of the list: the destination
// used last, or the nearest one before it that is still there.
func moved(old []lvs.Destination, index int, dests []lvs.Destination) int {
	for ; index >= 0; index-- {
		if j := find(dests, old[index]); j >= 0 {
			return j
		}
	}
	return -1
}

func (m *Model) pickRR(loads []Load) (int, bool) {
	n, start := len(m.dests), m.cursor.index
	for step := 1; step <= n; step++ {
		i := (start + step) % n
		if m.dests[i].Weight <= 0 {
			continue
		}
		m.cursor.index = i
		if !loads[i].Overloaded {
			return i, true
		}
	}
	return 0, false
}

// pickWRR walks the list round by round until a destination is heavy enough
// and free. A walk that finds nobody is a whole lap.
func (m *Model) pickWRR(loads []Load) (int, bool) {
	w := weights(m.dests)
	mw, di := span(w)
	c := m.cursor
	for passed := 0; passed < length(w); {
		for i := c.index + 1; i < len(w) && passed < length(w); i++ {
			if w[i] < c.need {
				continue
			}
			passed++
			m.cursor = cursor{index: i, need: c.need}
			if !loads[i].Overloaded {
				return i, true
			}
		}
		c.index = -1
		if c.need -= di; c.need <= 0 {
			c.need = mw
		}
	}
	return 0, false
}

// Ring is one whole cycle of rr or wrr from its start: slot k holds the index
// of the destination that the k-th connection gets when nobody is overloaded.
// Destinations of weight 0 are not in it. BPF takes the next slot and skips
// overloaded destinations, which is what the kernel's walk amounts to.
type Ring struct {
	Slots []int32
	// Exact is false when the weights did not fit in the ring and were
	// scaled down together: shares are kept within a slot.
	Exact bool

	weights []int // as laid out: after scaling; rr: 1 for usable, else 0
}

// Lay lays out the ring of a rr or wrr service in at most limit slots (at
// least one per destination of non-zero weight is needed). Other schedulers
// have no ring of their own; for them it panics.
func (m *Model) Lay(limit int) Ring {
	w := weights(m.dests)
	switch m.kind {
	case lvs.RR:
		for i := range w {
			w[i] = min(w[i], 1)
		}
	case lvs.WRR:
	default:
		panic("sched: " + string(m.kind) + " has no ring")
	}
	r := Ring{Exact: true, weights: w}
	if length(w) > limit {
		r.Exact, r.weights = false, scale(w, limit)
	}
	mw, di := span(r.weights)
	for need := mw; need > 0; need -= di {
		for i, w := range r.weights {
			if w >= need {
				r.Slots = append(r.Slots, int32(i))
			}
		}
	}
	return r
}

// length is the number of slots that weights need.
func length(weights []int) int {
	_, di := span(weights)
	n := 0
	for _, w := range weights {
		n += max(w, 0) / di
	}
	return n
}

// scale shrinks weights to a sum of at most limit; none becomes 0 that was
// not.
func scale(weights []int, limit int) []int {
	sum, positive := 0, 0
	for _, w := range weights {
		if w > 0 {
			sum, positive = sum+w, positive+1
		}
	}
	if positive > limit {
		panic("sched: ring limit is below the number of destinations")
	}
	out := make([]int, len(weights))
	for i, w := range weights {
		if w > 0 {
			// One slot each is set aside first, the rest is shared out.
			out[i] = 1 + int(int64(w)*int64(limit-positive)/int64(sum))
		}
	}
	return out
}

// Seek puts the model where it stands when pos slots of r have been used up,
// so that Set carries on from there. 0 is the start.
func (m *Model) Seek(r Ring, pos uint64) {
	if len(r.Slots) == 0 {
		return
	}
	mw, di := span(r.weights)
	if pos == 0 {
		m.seat(r, cursor{index: -1, need: mw})
		return
	}
	last := int((pos - 1) % uint64(len(r.Slots)))
	slot := 0
	for need := mw; need > 0; need -= di {
		for i, w := range r.weights {
			if w < need {
				continue
			}
			if slot == last {
				m.seat(r, cursor{index: i, need: need})
				return
			}
			slot++
		}
	}
}

// seat takes over c, found in r. A scaled ring's rounds are not those of the
// true weights, so only its share of the way is kept.
func (m *Model) seat(r Ring, c cursor) {
	if !r.Exact {
		rmw, _ := span(r.weights)
		mw, di := span(weights(m.dests))
		c.need = (c.need*mw/max(rmw, 1))/di*di + 1
		c.need = min(c.need, max(mw, 1))
	}
	m.cursor = c
}

// Position returns the slot of r that comes next, 0 to len(r.Slots)-1, and 0
// for an empty ring. After a Seek to pos it is pos modulo the ring's length.
func (m *Model) Position(r Ring) uint64 {
	c := m.cursor
	if m.kind == lvs.RR {
		c.need = 1
	} else if !r.Exact {
		rmw, rdi := span(r.weights)
		mw, _ := span(weights(m.dests))
		c.need = min((c.need*rmw/max(mw, 1))/rdi*rdi+1, max(rmw, 1))
	}
	mw, di := span(r.weights)
	slot := uint64(0)
	for need := mw; need > 0; need -= di {
		for i, w := range r.weights {
			if w < need {
				continue
			}
			if need < c.need || (need-di < c.need && i > c.index) {
				return slot
			}
			slot++
		}
	}
	return 0
}
