package health

import (
	"math/rand/v2"
	"time"
)

// moment is waited before a first probe on top of the random warm-up, so that
// what the start programs (addresses, table) is there before the first verdict.
const moment = 100 * time.Millisecond

type phase uint8

const (
	idle phase = iota
	running
	stopped
)

// Machine is the state of all checkers, servers and quorums of one director.
// It is not safe for concurrent use; the director loop owns it.
type Machine struct {
	rnd      *rand.Rand
	phase    phase
	services []*service
	places   map[string]int // of the services by name; replaced, never changed
	checkers map[CheckerID]*checker
	due      dueHeap
	seq      uint64   // of the last probe
	acts     []Action // of the Step that runs
}

// New returns a machine for spec, stopped until Start. The machine uses rnd
// for the random wait before first probes and keeps it.
func New(spec Spec, rnd *rand.Rand) *Machine {
	m := &Machine{rnd: rnd}
	m.build(spec) // what it ignores waits in acts for the first Step
	return m
}

// Step takes one input at the time now and returns what follows from it. The
// times of successive calls must not go backwards.
func (m *Machine) Step(now time.Time, in Input) []Action {
	switch in := in.(type) {
	case Start:
		m.stepStart(now, in)
	case TimerFired:
		m.stepTimer(now)
	case Result:
		m.stepResult(now, in)
	case Reconfigure:
		m.stepReconfigure(now, in.Spec)
	case Stop:
		m.stepStop()
	}
	acts := m.acts
	m.acts = nil
	return acts
}

// Deadline returns when the machine wants a TimerFired, and whether it does.
func (m *Machine) Deadline() (time.Time, bool) {
	if m.phase != running || len(m.due) == 0 {
		return time.Time{}, false
	}
	return m.due[0].due, true
}

func (m *Machine) stepStart(now time.Time, in Start) {
	if m.phase != idle {
		m.tell(Ignored{Reason: IgnoreNotRunning})
		return
	}
	m.phase = running
	var before map[string]*service
	if in.Restore != nil {
		before = in.Restore.services()
	}
	m.adopt(now, before)
}

func (m *Machine) stepTimer(now time.Time) {
	if m.phase != running {
		m.tell(Ignored{Reason: IgnoreNotRunning})
		return
	}
	for len(m.due) > 0 && !m.due[0].due.After(now) {
		c := m.due.pop()
		m.seq++
		c.probe, c.due = m.seq, time.Time{}
		m.tell(Probe{Checker: c.id, Seq: c.probe})
	}
}

func (m *Machine) stepReconfigure(now time.Time, spec Spec) {
	switch m.phase {
	case stopped:
		m.tell(Ignored{Reason: IgnoreNotRunning})
	case idle:
		m.acts = nil // of the Spec that is replaced
		m.build(spec)
	case running:
		before := make(map[string]*service, len(m.services))
		for _, s := range m.services {
			before[s.spec.Name] = s
		}
		old := m.services
		m.build(spec)
		m.cancelDropped(old)
		m.adopt(now, before)
	}
}

// cancelDropped ends the probes of checkers that the new Spec has no more.
func (m *Machine) cancelDropped(old []*service) {
	for _, s := range old {
		for _, srv := range s.servers {
			for _, c := range srv.checkers {
				if _, kept := m.checkers[c.id]; !kept && c.probe != 0 {
					m.tell(Cancel{Checker: c.id, Seq: c.probe})
				}
			}
		}
	}
}

func (m *Machine) stepStop() {
	if m.phase != running {
		m.tell(Ignored{Reason: IgnoreNotRunning})
	}
	m.phase, m.due = stopped, nil
	for _, s := range m.services {
		for _, srv := range s.servers {
			for _, c := range srv.checkers {
				if c.probe != 0 {
					m.tell(Cancel{Checker: c.id, Seq: c.probe})
					c.probe = 0
				}
			}
		}
	}
}

func (m *Machine) tell(a Action) { m.acts = append(m.acts, a) }

// wait returns a random part of limit.
func (m *Machine) wait(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(m.rnd.Int64N(int64(limit)))
}

func (m *Machine) schedule(c *checker, at time.Time) {
	c.due = at
	m.due.push(c)
}
