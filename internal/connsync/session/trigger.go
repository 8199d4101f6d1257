package session

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Rule is a trigger: when it fires and what its firing is to do. ParseRules
// makes rules from text.
type Rule struct {
	Name string
	// When chooses sessions; nil: all. It must not depend on the time.
	When *Filter
	// On are the events that fire it; 0: a session that begins to match When.
	// It has no meaning with a threshold.
	On Kind
	// Threshold makes it fire on how many sessions match instead.
	Threshold *Threshold
	// Coalesce gathers events for that long into one firing.
	Coalesce time.Duration
	// Repeat is how long it is silent after a firing: events wait, a threshold
	// that still holds fires again. 0: events do not wait, a threshold fires once
	// each time it begins to hold.
	Repeat time.Duration
	// Exec and Webhook are what to do, for the caller to carry out.
	Exec    string
	Webhook string
}

// maxGathered is how many events one firing carries.
const maxGathered = 100

// Firing is one firing of a rule.
type Firing struct {
	Rule *Rule
	Time time.Time
	// Events are those that made it fire, at most 100 of Total.
	Events []Event
	Total  int
	// With a threshold: the group, and its number of sessions, which Total has too. Protocol is set
	// for a virtual server, the port not for a client, nothing for all.
	Protocol lvs.Protocol
	Of       netip.AddrPort
	Count    int
	Since    time.Time // the threshold holds since then
}

// Machine decides which rules fire.
type Machine struct {
	rules []*ruleState
	out   []Firing
}

type ruleState struct {
	Rule
	events []Event
	total  int
	since  time.Time // the first of events
	fired  time.Time // zero: never
	counter
}

// NewMachine returns a machine for rules and an empty table.
func NewMachine(rules []Rule) *Machine {
	m := &Machine{}
	for _, r := range rules {
		s := &ruleState{Rule: r}
		if r.Threshold != nil {
			s.counter = newCounter(r.Threshold)
		}
		m.rules = append(m.rules, s)
	}
	return m
}

// Kinds are the events that the machine wants to see (Table.Listen).
func (m *Machine) Kinds() Kind {
	k := AllKinds
	for _, r := range m.rules {
		k |= r.On
	}
	return k
}

// Load counts the sessions of a table for the thresholds. It is for a machine
// that comes to a table which has sessions, and before its first event.
func (m *Machine) Load(t *Table) {
	now := t.stats.Last
	for s := range t.All() {
		for _, r := range m.rules {
			if r.Threshold != nil && r.When.Match(s, now) {
				r.count(now, r.key(s), 1)
			}
		}
	}
}

// Step takes an event and returns what fires. The firings are valid until the
// next call.
func (m *Machine) Step(now time.Time, e *Event) []Firing {
	m.out = m.out[:0]
	ended := e.Kinds&Expired != 0
	var before Session
	if e.Kinds&(Changed|Moved) != 0 {
		before = e.previous()
	}
	for _, r := range m.rules {
		is := r.When.Match(&e.Session, now)
		var was bool
		switch {
		case e.Kinds&(Changed|Moved) != 0:
			was = r.When.Match(&before, now)
		case e.Kinds&Created == 0:
			was, before = is, e.Session
		}
		if r.Threshold != nil {
			m.recount(now, r, &before, &e.Session, was, is && !ended)
			continue
		}
		if r.On == 0 && is && !was || is && e.Kinds&r.On != 0 {
			r.gather(now, e)
			m.flush(now, r)
		}
	}
	return m.out
}

// Tick returns what fires because time has passed. Call it every second or so.
func (m *Machine) Tick(now time.Time) []Firing {
	m.out = m.out[:0]
	for _, r := range m.rules {
		if r.Threshold == nil {
			m.flush(now, r)
			continue
		}
		for _, k := range r.due(now) {
			m.consider(now, r, k)
		}
	}
	return m.out
}

func (r *ruleState) gather(now time.Time, e *Event) {
	if r.total == 0 {
		r.since, r.events = now, nil
	}
	if r.total++; len(r.events) < maxGathered {
		r.events = append(r.events, *e)
	}
}

// flush fires a rule whose gathered events have waited long enough.
func (m *Machine) flush(now time.Time, r *ruleState) {
	if r.total == 0 || now.Sub(r.since) < r.Coalesce || !r.fired.IsZero() && now.Sub(r.fired) < r.Repeat {
		return
	}
	m.out = append(m.out, Firing{Rule: &r.Rule, Time: now, Events: r.events, Total: r.total})
	r.fired, r.total, r.events = now, 0, nil
}
