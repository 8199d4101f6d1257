package xdp

import "github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"

// Writes returns how many map writes Set has done so far.
func (d *Dataplane) Writes() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tab.writes
}

// Draining returns how many removed servers still have their slot.
func (d *Dataplane) Draining() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, r := range d.tab.dests {
		if r != nil && !r.available() {
			n++
		}
	}
	return n
}

// ForceClsact makes d attach to TC as on a kernel before 6.6.
func (d *Dataplane) ForceClsact() {
	d.mu.Lock()
	d.hooks.noTCX = true
	d.mu.Unlock()
}

// SetSchema pretends that another version wrote the maps.
func (d *Dataplane) SetSchema(n uint32) {
	if err := d.obj.maps["meta"].Put(uint32(0), &prog.Meta{Schema: n}); err != nil {
		panic(err)
	}
}
