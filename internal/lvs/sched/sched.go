package sched

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Flow is what a scheduler may look at of a new connection.
type Flow struct {
	Client netip.Addr
	Port   uint16 // the client's port
}

// Load is what a scheduler may look at of a destination besides its weight,
// at the moment of the pick.
type Load struct {
	Active, Inactive uint32
	Overloaded       bool // over its upper threshold: no new connections
}

// Overhead is the cost that lc and wlc compare: an active connection weighs
// as much as 256 inactive ones (ip_vs_dest_conn_overhead).
func (l Load) Overhead() uint64 { return uint64(l.Active)<<8 + uint64(l.Inactive) }

// ErrUnsupported is returned for a scheduler that this build does not have.
var ErrUnsupported = errors.New("scheduler not supported yet")

// ListOrder returns dests in LVS's list order, newest (last configured) first.
func ListOrder(dests []lvs.Destination) []lvs.Destination {
	out := slices.Clone(dests)
	slices.Reverse(out)
	return out
}

// Model is one virtual service's scheduler. It is not safe for concurrent
// use.
type Model struct {
	kind  lvs.Scheduler
	flags lvs.SchedulerFlags
	dests []lvs.Destination
	last  []int // each destination's last weight that was not 0, for mh

	cursor cursor  // rr, wrr
	table  []int32 // sh, mh
}

// New returns a model for dests, which are in LVS's list order.
func New(kind lvs.Scheduler, flags lvs.SchedulerFlags, dests []lvs.Destination) (*Model, error) {
	if !kind.Supported() {
		return nil, fmt.Errorf("scheduler %q: %w", kind, ErrUnsupported)
	}
	m := &Model{kind: kind, flags: flags}
	m.dests = slices.Clone(dests)
	m.last = make([]int, len(dests))
	for i, d := range dests {
		m.last[i] = d.Weight
	}
	m.cursor = start(weights(m.dests))
	m.retable()
	return m, nil
}

// Set changes the destinations, in LVS's list order, as one step: what rr and
// wrr do next and what mh remembers follow the kernel's rules for a change.
// Equal destinations change nothing.
func (m *Model) Set(dests []lvs.Destination) {
	if slices.Equal(m.dests, dests) {
		return
	}
	old, oldLast := m.dests, m.last
	m.dests = slices.Clone(dests)
	m.last = make([]int, len(dests))
	for i, d := range dests {
		m.last[i] = d.Weight
		// ip_vs_dest.last_weight: quiescing keeps a server's share of the
		// table, so that its clients find it again.
		if j := find(old, d); d.Weight == 0 && j >= 0 {
			m.last[i] = oldLast[j]
		}
	}
	switch m.kind {
	case lvs.RR:
		m.cursor.index = moved(old, m.cursor.index, m.dests)
	case lvs.WRR:
		m.cursor = m.cursor.changed(weights(m.dests))
	}
	m.retable()
}

// Destinations returns the destinations in list order; it is the model's own
// slice and must not be changed.
func (m *Model) Destinations() []lvs.Destination { return m.dests }

// LastWeights returns each destination's last weight that was not 0. The
// slice is the model's own.
func (m *Model) LastWeights() []int { return m.last }

// SetLastWeights restores what LastWeights returned, for a model that takes
// over from another process. It panics if the length differs.
func (m *Model) SetLastWeights(last []int) {
	if len(last) != len(m.dests) {
		panic(fmt.Sprintf("sched: %d last weights for %d destinations", len(last), len(m.dests)))
	}
	m.last = slices.Clone(last)
	m.retable()
}

// Table returns the lookup table of sh (256 entries) or mh (4093): indexes of
// destinations, -1 for none. It is nil for other schedulers. The slice is the
// model's own.
func (m *Model) Table() []int32 { return m.table }

// Pick schedules one new connection and returns the index of its destination;
// false is no destination available. loads are parallel to the destinations;
// nil stands for all idle.
func (m *Model) Pick(f Flow, loads []Load) (int, bool) {
	if loads == nil {
		loads = make([]Load, len(m.dests))
	}
	switch m.kind {
	case lvs.RR:
		return m.pickRR(loads)
	case lvs.WRR:
		return m.pickWRR(loads)
	case lvs.LC:
		return leastConnections(m.dests, loads, func(int) uint64 { return 1 })
	case lvs.WLC:
		return leastConnections(m.dests, loads, func(i int) uint64 { return uint64(m.dests[i].Weight) })
	case lvs.SH:
		return m.pickSH(f, loads)
	case lvs.MH:
		return m.pickMH(f, loads)
	}
	return 0, false
}

func (m *Model) retable() {
	switch m.kind {
	case lvs.SH:
		m.table = SHTable(m.dests)
	case lvs.MH:
		m.table = MHTable(m.dests, m.last)
	}
}

// usable is what every scheduler of LVS demands of a destination.
func usable(d lvs.Destination, l Load) bool { return d.Weight > 0 && !l.Overloaded }

func find(dests []lvs.Destination, d lvs.Destination) int {
	return slices.IndexFunc(dests, func(o lvs.Destination) bool { return o.AddrPort() == d.AddrPort() })
}

func weights(dests []lvs.Destination) []int {
	out := make([]int, len(dests))
	for i, d := range dests {
		out[i] = d.Weight
	}
	return out
}
