package vrrp

import (
	"fmt"
	"time"
)

// script is a vrrp_script's verdict.
type script struct {
	spec   ScriptSpec
	known  bool
	up     bool
	count  int // results in a row that speak against up
	since  time.Time
	detail string
}

// stepScript counts one result. The first one decides alone; then rise or fall
// in a row change the verdict.
func (m *Machine) stepScript(now time.Time, in ScriptResult) {
	s := m.scripts[in.Script]
	if s == nil {
		return
	}
	needed := 1
	switch {
	case !s.known:
	case s.up == in.OK:
		s.count = 0
		return
	case in.OK:
		needed = s.spec.Rise
	default:
		needed = s.spec.Fall
	}
	if s.count++; s.count < needed {
		return
	}
	s.known, s.up, s.count, s.since, s.detail = true, in.OK, 0, now, detailOf(in)
	m.do(ScriptChanged{Script: in.Script, Up: s.up, Detail: s.detail})
	m.settle(now)
}

func detailOf(r ScriptResult) string {
	switch {
	case r.OK:
		return "succeeded"
	case r.TimedOut:
		return "timed out"
	case r.Status < 0:
		return "killed by a signal"
	}
	return fmt.Sprintf("exited with status %d", r.Status)
}

// faultOf says why i cannot run by itself, or that it is too early to know: a
// script of weight 0 has no result yet.
func (m *Machine) faultOf(i *instance) (fault string, pending bool) {
	name := i.spec.Interface
	if !i.spec.DontTrackPrimary && !m.links[name] {
		return fmt.Sprintf("interface %s is down", name), false
	}
	if !m.sourceOf(i).IsValid() {
		return "no IPv4 address on " + name, false
	}
	m.eachTracked(i, func(t TrackSpec, up, known bool, what, word string) {
		switch {
		case t.Weight != 0 || fault != "":
		case !known:
			pending = true
		case up == t.Reverse:
			fault = fmt.Sprintf("tracked %s %s %s", what, t.Name, word)
		}
	})
	return fault, pending && fault == ""
}

// weightOf is the sum of what i tracks with a weight.
func (m *Machine) weightOf(i *instance) int {
	sum := 0
	m.eachTracked(i, func(t TrackSpec, up, known bool, _, _ string) {
		weight := t.Weight
		if t.Reverse {
			weight = -weight
		}
		if known && up == (t.Weight > 0) {
			sum += weight
		}
	})
	return sum
}

// eachTracked visits what i tracks, itself and through its sync group. Of an
// object on both the group's weight counts.
func (m *Machine) eachTracked(i *instance, visit func(t TrackSpec, up, known bool, what, word string)) {
	iface := func(t TrackSpec) {
		up, known := m.links[t.Name]
		visit(t, up, known || t.Weight == 0, "interface", choose(up, "is up", "is down"))
	}
	run := func(t TrackSpec) {
		if s := m.scripts[t.Name]; s != nil {
			visit(t, s.up, s.known, "script", choose(s.up, "succeeded", s.detail))
		}
	}
	each(i.spec.TrackInterfaces, i.group.spec.TrackInterfaces, iface)
	each(i.spec.TrackScripts, i.group.spec.TrackScripts, run)
}

func each(own, groups []TrackSpec, visit func(TrackSpec)) {
	for _, t := range own {
		shared := false
		for _, g := range groups {
			shared = shared || g.Name == t.Name
		}
		if !shared {
			visit(t)
		}
	}
	for _, t := range groups {
		visit(t)
	}
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// updatePriority works the effective priority out: 1..254, and 255 for the
// address owner whatever is tracked. A Backup's timer moves with its skew time.
func (m *Machine) updatePriority(now time.Time, i *instance) {
	priority := i.spec.Priority
	if priority != priorityOwner {
		priority = uint8(min(max(int(priority)+m.weightOf(i), 1), 254))
	}
	was, skew := i.priority, i.skewTime()
	if was == priority {
		return
	}
	i.priority = priority
	if i.state == Initialize {
		return // nobody has seen the other one
	}
	m.do(PriorityChanged{Instance: i.spec.Name, From: was, To: priority})
	if at := i.timers[activeDownTimer]; !at.IsZero() {
		at = at.Add(i.skewTime() - skew)
		if priority == priorityOwner {
			at = now
		}
		m.set(i, activeDownTimer, at)
	}
}
