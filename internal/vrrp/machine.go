package vrrp

import "time"

// Machine is the election of all instances and sync groups of one director.
// It is not safe for concurrent use.
type Machine struct{ spec Spec }

// New returns a machine in Initialize that runs spec. The facts about the host
// (LinkChanged, SourceChanged) come next, then Start.
func New(spec Spec) *Machine { return &Machine{spec: spec} }

// Step takes one input and returns what is to be done, in this order. The
// returned slice and the packets in it belong to the caller.
func (m *Machine) Step(now time.Time, in Input) []Action { return nil }

// Deadline is when Step wants to be called with TimerFired; false when nothing
// is pending. It changes with every Step.
func (m *Machine) Deadline() (time.Time, bool) { return time.Time{}, false }

// Status returns a picture of the machine.
func (m *Machine) Status() Status { return Status{} }

// Resumes returns what a restarted director needs to go on (Start.Resume), one
// for each instance.
func (m *Machine) Resumes() []Resume { return nil }
