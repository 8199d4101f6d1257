package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// sourceOf is the address i sends from; invalid when it has none of IPv4.
func (m *Machine) sourceOf(i *instance) netip.Addr {
	source := m.sources[i.spec.Interface]
	if i.spec.Source.IsValid() {
		source = i.spec.Source
	}
	if source = source.Unmap(); source.Is4() {
		return source
	}
	return noAddr
}

// settle brings every instance where the facts about the host want it.
func (m *Machine) settle(now time.Time) {
	if !m.started {
		return
	}
	for _, g := range m.groups {
		m.settleGroup(now, g)
	}
}

// settleGroup faults all members when one cannot run, and lets them go to
// Backup when all can. Those that are concerned themselves come first, the
// rest of the sync group follows.
func (m *Machine) settleGroup(now time.Time, g *group) {
	var failed, healed *instance
	pending := false
	for _, i := range g.members {
		m.updateSource(i)
		m.updatePriority(now, i)
		was := i.fault
		var wait bool
		i.fault, wait = m.faultOf(i)
		pending = pending || wait
		if i.fault != "" && failed == nil {
			failed = i
		}
		if was != "" && i.fault == "" && healed == nil {
			healed = i
		}
	}
	switch {
	case failed != nil:
		m.failGroup(now, g, failed)
	case !pending:
		m.raiseGroup(now, g, healed)
	}
}

func (m *Machine) updateSource(i *instance) {
	// An old address is gone: priority 0 can no longer come from it.
	i.source = m.sourceOf(i)
	if i.state == Active {
		i.master = i.source
	}
}

// failGroup faults the members that failed, then the others.
func (m *Machine) failGroup(now time.Time, g *group, failed *instance) {
	for _, i := range g.members {
		if i.fault == "" {
			continue
		}
		if i.state == Fault {
			i.reason = i.fault
			continue
		}
		m.becomeFault(now, i, i.fault)
	}
	reason := fmt.Sprintf("sync group %s with %s: %s", g.spec.Name, failed.spec.Name, failed.fault)
	for _, i := range g.members {
		if i.state != Fault {
			m.becomeFault(now, i, reason)
		}
	}
	m.noteGroup(now, g, failed.spec.Name+": "+failed.fault)
}

// raiseGroup takes members out of Initialize and Fault.
//
// Compat: a new member of a sync group that is Active joins it there: to make the others wait for its first
// election would be an outage, and the group's other routers will do the same.
func (m *Machine) raiseGroup(now time.Time, g *group, healed *instance) {
	active := false
	for _, i := range g.members {
		active = active || i.state == Active
	}
	first := ""
	raise := func(i *instance) {
		reason := "started"
		switch i.state {
		case Initialize:
		case Fault:
			reason = "recovered from: " + i.reason
		case Backup, Active, Stopped:
			return
		}
		if first == "" {
			first = i.spec.Name + ": " + reason
		}
		if active && i.state == Initialize {
			m.becomeActive(now, i, "joined Active sync group "+g.spec.Name)
			return
		}
		m.becomeBackup(now, i, i.firstWait(), reason)
	}
	if healed != nil {
		raise(healed)
	}
	for _, i := range g.members {
		raise(i)
	}
	m.noteGroup(now, g, first)
}
