package vrrptest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// The invariants, checked after every event:
//
//  1. when everybody hears everybody, and enough time has passed since the
//     last disturbance for elections to settle, at most one router is Active
//     for a VRID on a segment;
//  2. and some router is, when one can be;
//  3. and no router that preempts has a higher priority than the Active one;
//     an Active router yields only to a higher priority, or to the same and a
//     higher address;
//  4. a Backup never sends adverts, and an Active router that ends sends
//     priority 0 exactly once;
//  5. members of a sync group share one state.

func (l *lan) fail(format string, args ...any) {
	if l.violation == nil {
		l.violation = fmt.Errorf("at %.6fs: %s", l.now.Sub(epoch).Seconds(), fmt.Sprintf(format, args...))
	}
}

// judge checks what one step of one router did.
func (l *lan) judge(r *router, in vrrp.Input, before map[string]vrrp.State, actions []vrrp.Action) {
	releases := map[string]int{}
	for _, a := range actions {
		switch a := a.(type) {
		case vrrp.SendPacket:
			if a.Priority == 0 {
				releases[a.Instance]++
			} else if before[a.Instance] != vrrp.Active && r.states[a.Instance] != vrrp.Active {
				l.fail("invariant 4: %s %s sent an advert as %v", r.name, a.Instance, r.states[a.Instance])
			}
		case vrrp.Transition:
			if a.From != before[a.Instance] && before[a.Instance] != vrrp.Stopped {
				l.fail("%s %s went from %v, was %v", r.name, a.Instance, a.From, before[a.Instance])
			}
		default: // the others follow from no state
		}
	}
	for name, n := range releases {
		if n != 1 || before[name] != vrrp.Active || r.states[name] == vrrp.Active {
			l.fail("invariant 4: %s %s sent priority 0 %d times on its way from %v to %v", r.name, name, n, before[name], r.states[name])
		}
	}
	switch in := in.(type) {
	case vrrp.Stop:
		for name, was := range before {
			if was == vrrp.Active && releases[name] != 1 {
				l.fail("invariant 4: %s %s stopped and sent priority 0 %d times", r.name, name, releases[name])
			}
		}
	case vrrp.PacketReceived:
		l.judgeYield(r, in, before)
	default: // no rule of its own
	}
}

// judgeYield is the second half of invariant 3.
func (l *lan) judgeYield(r *router, in vrrp.PacketReceived, before map[string]vrrp.State) {
	var p vrrp.Packet
	if err := p.Decode(in.Packet); err != nil {
		l.fail("a packet on the LAN does not decode: %v", err)
		return
	}
	for _, i := range r.running.Instances {
		if i.VRID != p.Advert.VRID || i.Interface != in.Interface || before[i.Name] != vrrp.Active || r.states[i.Name] == vrrp.Active {
			continue
		}
		mine, self := r.priorities[i.Name], r.sources[i.Interface]
		if p.Advert.Priority < mine || p.Advert.Priority == mine && p.Src.Less(self) {
			l.fail("invariant 3: %s %s with priority %d yields to %v with %d", r.name, i.Name, mine, p.Src, p.Advert.Priority)
		}
	}
}

// check is invariants 1, 2, 3 and 5.
func (l *lan) check() {
	for _, r := range l.routers {
		if r.machine != nil {
			l.checkGroups(r)
		}
	}
	if !l.clean() || l.now.Sub(l.disturbed) < l.bound() {
		return
	}
	seen := make([]virtualRouter, 0, 8)
	for _, r := range l.routers {
		for n := range r.running.Instances {
			v := virtualRouter{r.running.Instances[n].Interface, r.running.Instances[n].VRID}
			if !slices.Contains(seen, v) {
				seen = append(seen, v)
				l.checkVirtualRouter(v)
			}
		}
	}
}

// virtualRouter is a VRID on a segment.
type virtualRouter struct {
	segment string
	vrid    uint8
}

func (v virtualRouter) String() string { return fmt.Sprintf("VRID %d on %s", v.vrid, v.segment) }

func (l *lan) checkGroups(r *router) {
	for _, g := range r.running.Groups {
		var state vrrp.State
		for n, name := range g.Members {
			s := r.states[name]
			if n > 0 && s != state {
				l.fail("invariant 5: %s group %s: %s is %v, %s is %v", r.name, g.Name, g.Members[0], state, name, s)
			}
			state = s
		}
	}
}

// bound is how long any election may take: one router times out, another one
// of a sync group with it, and refused AH sequence numbers cost a third round.
func (l *lan) bound() time.Duration {
	var longest time.Duration
	for _, r := range l.routers {
		for n := range r.running.Instances {
			i := &r.running.Instances[n]
			down := 3*i.AdvertInterval + time.Second
			longest = max(longest, 3*down+2*i.AdvertInterval+i.PreemptDelay+r.running.StartupDelay)
		}
	}
	return longest + 2*l.delayMax
}

// side is one router's part in a virtual router.
type side struct {
	name     string
	addr     netip.Addr
	priority uint8
	preempts bool
}

func (s side) String() string { return fmt.Sprintf("%s (%v, priority %d)", s.name, s.addr, s.priority) }

func (l *lan) checkVirtualRouter(v virtualRouter) {
	active, all := make([]side, 0, 8), make([]side, 0, 8)
	for _, r := range l.routers {
		if r.machine == nil {
			continue
		}
		for n := range r.running.Instances {
			i := &r.running.Instances[n]
			if i.VRID != v.vrid || i.Interface != v.segment {
				continue
			}
			s := side{r.name, r.sources[v.segment], r.priorities[i.Name], i.Preempt || i.Priority == 255}
			switch r.states[i.Name] {
			case vrrp.Active:
				active = append(active, s)
				all = append(all, s)
			case vrrp.Backup:
				all = append(all, s)
			case vrrp.Initialize, vrrp.Fault, vrrp.Stopped:
			}
		}
	}
	switch {
	case len(active) > 1:
		l.fail("invariant 1: %v has %d Active routers: %v", v, len(active), active)
	case len(active) == 0 && len(all) > 0:
		l.fail("invariant 2: %v has no Active router among %v", v, all)
	case len(active) == 1:
		for _, s := range all {
			if s.preempts && s.priority > active[0].priority {
				l.fail("invariant 3: %v: %v is Active in spite of %v", v, active[0], s)
			}
		}
	}
}
