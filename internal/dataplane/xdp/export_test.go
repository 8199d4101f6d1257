package xdp

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
