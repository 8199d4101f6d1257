package sched

import "github.com/kaname-lb/kaname/internal/lvs"

// leastConnections walks the list once for the smallest overhead per weight.
// Ties go to the destination nearer to the head. The quotients are compared
// by cross-multiplication, as the kernel does, so there is no rounding.
func leastConnections(dests []lvs.Destination, loads []Load, weight func(int) uint64) (int, bool) {
	best := -1
	for i, d := range dests {
		if !usable(d, loads[i]) {
			continue
		}
		if best < 0 || loads[best].Overhead()*weight(i) > loads[i].Overhead()*weight(best) {
			best = i
		}
	}
	return max(best, 0), best >= 0
}
