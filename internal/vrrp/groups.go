package vrrp

import (
	"fmt"
	"time"
)

// group is a sync group, or one instance that is in none (then without name).
type group struct {
	spec    GroupSpec
	members []*instance
	state   State
	since   time.Time
	reason  string
}

// timeOut is the end of the Active_Down_Timer (RFC 3768 §6.4.2). In a sync
// group the first to time out waits until all the others want it as well, and
// asks again an Active_Down_Interval later.
func (m *Machine) timeOut(now time.Time, i *instance) {
	i.wants = true
	for _, other := range i.group.members {
		if !other.wants {
			i.master, i.masterPriority = noAddr, 0
			m.set(i, activeDownTimer, now.Add(i.activeDownInterval()))
			return
		}
	}
	reason := "no advert heard"
	if i.priority == priorityOwner {
		reason = "address owner"
	}
	m.becomeActive(now, i, reason)
	m.follows(now, i, reason, func(other *instance, reason string) {
		m.becomeActive(now, other, reason)
	})
}

// follows takes the other members of i's sync group where i went, and tells of
// the group.
func (m *Machine) follows(now time.Time, i *instance, reason string, become func(*instance, string)) {
	g := i.group
	if len(g.members) > 1 {
		with := fmt.Sprintf("sync group %s with %s: %s", g.spec.Name, i.spec.Name, reason)
		for _, other := range g.members {
			if other != i && other.state != i.state {
				become(other, with)
			}
		}
	}
	m.noteGroup(now, g, i.spec.Name+": "+reason)
}

// noteGroup tells of the state that all members of a sync group now share.
func (m *Machine) noteGroup(now time.Time, g *group, reason string) {
	if g.spec.Name == "" || len(g.members) == 0 {
		return
	}
	state := g.members[0].state
	for _, i := range g.members {
		if i.state != state {
			return
		}
	}
	if state == g.state {
		return
	}
	g.state, g.since, g.reason = state, now, reason
	m.do(GroupTransition{Group: g.spec.Name, To: state, Reason: reason})
}

// stepDown leaves Active of our own accord: priority 0 from every member, then
// Backup for down.
func (m *Machine) stepDown(now time.Time, i *instance, reason string, down func(*instance) time.Duration) {
	m.release(i)
	m.becomeBackup(now, i, down(i), reason)
	m.follows(now, i, reason, func(other *instance, reason string) {
		m.release(other)
		m.becomeBackup(now, other, down(other), reason)
	})
}

// stepLost is about a virtual address that somebody removed. Going through
// Backup makes the host set it anew; nobody else has to take over.
//
// Compat: keepalived 2.2.7 waits only the skew time, as after priority 0, and
// so is back before a router of lower priority takes over.
func (m *Machine) stepLost(now time.Time, in AddressLost) {
	if i := m.find(in.Instance); i != nil && i.state == Active {
		m.stepDown(now, i, fmt.Sprintf("address %v was removed", in.Addr), (*instance).skewTime)
	}
}

// stepFailover is the operator's wish to be Backup.
func (m *Machine) stepFailover(now time.Time, name string) {
	i := m.find(name)
	if i == nil || i.state != Active {
		return
	}
	m.stepDown(now, i, "failover asked for", (*instance).activeDownInterval)
	for _, other := range i.group.members {
		other.holdUntil = now.Add(other.activeDownInterval())
	}
}

// stepReady starts the announcements: at once, once more after
// garp_master_delay, and every garp_master_refresh.
func (m *Machine) stepReady(now time.Time, name string) {
	i := m.find(name)
	if i == nil || i.state != Active {
		return
	}
	i.ready = true
	garp := &i.spec.GARP
	m.announce(i, garp.Repeat)
	if garp.Delay > 0 {
		m.set(i, announceTimer, now.Add(garp.Delay))
	}
	if garp.Refresh > 0 {
		m.set(i, refreshTimer, now.Add(garp.Refresh))
	}
}
