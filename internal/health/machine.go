package health

import (
	"math/rand/v2"
	"time"
)

// Machine is the state of all checkers, servers and quorums of one director.
// It is not safe for concurrent use; the director loop owns it.
type Machine struct {
	spec Spec
	rnd  *rand.Rand
}

// New returns a machine for spec, stopped until Start. The machine uses rnd
// for the random wait before first probes and keeps it.
func New(spec Spec, rnd *rand.Rand) *Machine { return &Machine{spec: spec, rnd: rnd} }

// Step takes one input at the time now and returns what follows from it. The
// times of successive calls must not go backwards.
func (m *Machine) Step(now time.Time, in Input) []Action { return nil }

// Deadline returns when the machine wants a TimerFired, and whether it does.
func (m *Machine) Deadline() (time.Time, bool) { return time.Time{}, false }

// Status returns the machine's state for showing and for director/desired.
func (m *Machine) Status() Status { return Status{} }

// Remember returns what a successor needs after a crash.
func (m *Machine) Remember() Remembered { return Remembered{} }
