package vrrp

import (
	"fmt"
	"slices"
	"time"
)

// configure builds instances, groups and scripts from spec and takes over what
// there is already: instances by VRID and interface, scripts and groups by
// name.
func (m *Machine) configure(spec Spec) {
	m.spec = spec
	old := m.byKey
	m.byKey = make(map[key]*instance, len(spec.Instances))
	m.instances = m.instances[:0:0]
	for _, s := range spec.Instances {
		k := key{s.Interface, s.VRID}
		if m.byKey[k] != nil {
			continue
		}
		i, known := old[k]
		if !known {
			i = &instance{place: -1}
		}
		i.setSpec(s)
		if !known {
			i.priority = i.spec.Priority
		}
		i.group, i.order = nil, len(m.instances)
		m.byKey[k] = i
		m.instances = append(m.instances, i)
	}
	m.configureScripts(spec.Scripts)
	m.configureGroups(spec.Groups)
	// The order of the instances, which decides between equal times, may be new.
	m.schedule = m.schedule[:0]
	for _, i := range m.instances {
		i.place = -1
		m.schedule.update(i)
	}
}

func (m *Machine) configureScripts(specs []ScriptSpec) {
	old := m.scripts
	m.scripts = make(map[string]*script, len(specs))
	for _, s := range specs {
		kept := old[s.Name]
		if kept == nil {
			kept = &script{}
		}
		s.Rise, s.Fall = max(s.Rise, 1), max(s.Fall, 1)
		kept.spec = s
		m.scripts[s.Name] = kept
	}
}

func (m *Machine) configureGroups(specs []GroupSpec) {
	old := m.groups
	m.groups = nil
	for _, s := range specs {
		g := &group{}
		if n := slices.IndexFunc(old, func(g *group) bool { return g.spec.Name == s.Name }); n >= 0 && s.Name != "" {
			g = old[n]
		}
		g.spec, g.members = s, nil
		for _, name := range s.Members {
			if i := m.find(name); i != nil && i.group == nil {
				i.group = g
				g.members = append(g.members, i)
			}
		}
		m.groups = append(m.groups, g)
	}
	for _, i := range m.instances {
		if i.group == nil {
			i.group = &group{members: []*instance{i}}
			m.groups = append(m.groups, i.group)
		}
	}
}

// reconfigure is a reload: what stays, stays in its state, with its timers and
// its AH sequence number.
func (m *Machine) reconfigure(now time.Time, spec Spec) {
	before := m.instances
	timing := make(map[*instance]time.Duration, len(before))
	for _, i := range before {
		timing[i] = i.activeDownInterval() - i.skewTime()
	}
	stay := make(map[key]bool, len(spec.Instances))
	for _, s := range spec.Instances {
		stay[key{s.Interface, s.VRID}] = true
	}
	for _, i := range before {
		if m.started && !stay[key{i.spec.Interface, i.spec.VRID}] {
			m.becomeStopped(now, i, ReasonRemoved)
		}
	}
	m.configure(spec)
	if !m.started {
		return
	}
	for _, i := range m.instances {
		if was, ok := timing[i]; ok && was != i.activeDownInterval()-i.skewTime() {
			m.retime(now, i)
		}
	}
	for _, g := range m.groups {
		m.settleGroup(now, g)
		m.unite(now, g)
	}
}

// retime starts the timer anew that a changed interval has made wrong.
func (m *Machine) retime(now time.Time, i *instance) {
	switch i.state {
	case Backup:
		m.set(i, activeDownTimer, now.Add(i.activeDownInterval()))
	case Active:
		if next := now.Add(i.spec.AdvertInterval); i.timers[adverTimer].After(next) {
			m.set(i, adverTimer, next)
		}
	case Initialize, Fault, Stopped:
	}
}

// unite makes members share one state that came into a sync group by a reload
// with different ones: an instance that is Backup has a master elsewhere, so
// the others give up.
func (m *Machine) unite(now time.Time, g *group) {
	backup := slices.ContainsFunc(g.members, func(i *instance) bool { return i.state == Backup })
	reason := fmt.Sprintf("joined sync group %s, which has a member that is not Active", g.spec.Name)
	for _, i := range g.members {
		if backup && i.state == Active {
			m.release(i)
			m.becomeBackup(now, i, i.activeDownInterval(), reason)
		}
	}
	m.noteGroup(now, g, "reloaded")
}
