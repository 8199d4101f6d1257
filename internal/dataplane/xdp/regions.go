package xdp

import (
	"slices"
	"time"
)

// grace is how long a replaced region of the ring stays untouched: any program
// run that may still read it has ended by then (abi.h, SCHEDULERS).
const grace = 100 * time.Millisecond

// region is a run of slots of the ring map.
type region struct{ off, len uint32 }

// regions hands out the slots of the ring map, first fit. Regions that are
// given back can be had again after the grace period.
type regions struct {
	free    []region // sorted, not adjacent
	resting []resting
}

type resting struct {
	region
	since time.Time
}

func newRegions(slots uint32) *regions {
	return &regions{free: []region{{0, slots}}}
}

// take returns a region of n slots; false is no room at the moment.
func (r *regions) take(n uint32, now time.Time) (region, bool) {
	if n == 0 {
		return region{}, true
	}
	r.wake(now)
	for i := range r.free {
		f := &r.free[i]
		if f.len < n {
			continue
		}
		got := region{f.off, n}
		f.off, f.len = f.off+n, f.len-n
		if f.len == 0 {
			r.free = slices.Delete(r.free, i, i+1)
		}
		return got, true
	}
	return region{}, false
}

// claim marks a region that an earlier process laid out as taken; false is
// that it overlaps another one or does not exist.
func (r *regions) claim(c region) bool {
	if c.len == 0 {
		return true
	}
	for i, f := range r.free {
		if c.off < f.off || c.off+c.len > f.off+f.len || c.off+c.len < c.off {
			continue
		}
		var rest []region
		if f.off < c.off {
			rest = append(rest, region{f.off, c.off - f.off})
		}
		if end := f.off + f.len; c.off+c.len < end {
			rest = append(rest, region{c.off + c.len, end - c.off - c.len})
		}
		r.free = slices.Replace(r.free, i, i+1, rest...)
		return true
	}
	return false
}

// give takes a region back.
func (r *regions) give(g region, now time.Time) {
	if g.len > 0 {
		r.resting = append(r.resting, resting{g, now})
	}
}

func (r *regions) wake(now time.Time) {
	n := 0
	for n < len(r.resting) && now.Sub(r.resting[n].since) >= grace {
		r.insert(r.resting[n].region)
		n++
	}
	r.resting = slices.Delete(r.resting, 0, n)
}

func (r *regions) insert(g region) {
	i, _ := slices.BinarySearchFunc(r.free, g, func(a, b region) int { return int(int64(a.off) - int64(b.off)) })
	r.free = slices.Insert(r.free, i, g)
	if i+1 < len(r.free) && g.off+g.len == r.free[i+1].off {
		r.free[i].len += r.free[i+1].len
		r.free = slices.Delete(r.free, i+1, i+2)
	}
	if i > 0 && r.free[i-1].off+r.free[i-1].len == r.free[i].off {
		r.free[i-1].len += r.free[i].len
		r.free = slices.Delete(r.free, i, i+1)
	}
}
