package vrrp

import (
	"net/netip"
	"time"
)

// Machine is the election of all instances and sync groups of one director.
// It is not safe for concurrent use. The same inputs at the same times give
// the same actions.
//
// It speaks version 2 over IPv4 multicast; a Spec cannot ask for anything
// else, and adverts of version 3 are Ignored.
type Machine struct {
	spec      Spec
	instances []*instance // in the order of the Spec
	groups    []*group    // every instance is in one, alone if need be
	byKey     map[key]*instance
	scripts   map[string]*script

	links   map[string]bool       // what the host said, also of interfaces not in the Spec
	sources map[string]netip.Addr // likewise

	started, stopped bool
	startAt          time.Time // the end of the startup delay
	schedule         schedule

	actions []Action // of the step that runs
	heard   Packet   // scratch of stepPacket
}

// key is what makes a virtual router on this director.
type key struct {
	iface string
	vrid  uint8
}

// New returns a machine in Initialize that runs spec, which config has
// validated. Of two instances with the same VRID on the same interface the
// first counts, and of an instance in two sync groups the first group. The
// facts about the host (LinkChanged, SourceChanged) come next, then Start.
func New(spec Spec) *Machine {
	m := &Machine{links: map[string]bool{}, sources: map[string]netip.Addr{}}
	m.configure(spec)
	return m
}

// Step takes one input and returns what is to be done, in this order. The
// returned slice and the packets in it belong to the caller. Packets that have
// arrived should be stepped before a TimerFired of the same moment: after a
// pause of the process the master may have spoken all the while.
func (m *Machine) Step(now time.Time, in Input) []Action {
	if m.stopped {
		return nil
	}
	switch in := in.(type) {
	case Start:
		m.recallScripts(in.Scripts)
		m.start(now, in.Resume)
	case TimerFired:
		m.stepTimers(now)
	case PacketReceived:
		m.stepPacket(now, in)
	case LinkChanged:
		m.links[in.Interface] = in.Up
		m.settle(now)
	case SourceChanged:
		m.sources[in.Interface] = in.Addr
		m.settle(now)
	case ScriptResult:
		m.stepScript(now, in)
	case AddressesReady:
		m.stepReady(now, in.Instance)
	case AddressLost:
		m.stepLost(now, in)
	case Failover:
		m.stepFailover(now, in.Instance)
	case Reconfigure:
		m.reconfigure(now, in.Spec)
	case Stop:
		m.stop(now)
	}
	out := m.actions
	m.actions = nil
	return out
}

// Deadline is when Step wants to be called with TimerFired; false when nothing
// is pending. It changes with every Step.
func (m *Machine) Deadline() (time.Time, bool) {
	if m.stopped || len(m.schedule) == 0 {
		return time.Time{}, false
	}
	return m.schedule[0].due, true
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

// start leaves Initialize. An instance that was Active when its process died
// goes on at once: the other routers have not missed it yet, and a pause of an
// Active_Down_Interval would make them.
func (m *Machine) start(now time.Time, resumes []Resume) {
	if m.started {
		return
	}
	m.started = true
	m.startAt = now.Add(m.spec.StartupDelay)
	wasActive := map[*instance]bool{}
	for _, r := range resumes {
		if i := m.find(r.Instance); i != nil {
			i.sequence, i.ipid = r.Sequence, r.IPID
			if r.State == Active {
				i.sequence += resumeMargin
				wasActive[i] = true
			}
		}
	}
	for _, g := range m.groups {
		if m.resumable(g, wasActive) {
			for _, i := range g.members {
				m.updateSource(i)
				m.updatePriority(now, i)
				m.becomeActive(now, i, ReasonResumed)
			}
			m.noteGroup(now, g, ReasonResumed)
		}
		m.settleGroup(now, g)
	}
}

// recallScripts takes over a predecessor's verdicts; the next result counts
// like any later one.
func (m *Machine) recallScripts(known []ScriptStatus) {
	if m.started {
		return
	}
	for _, k := range known {
		if s := m.scripts[k.Name]; s != nil && k.Known && !s.known {
			s.known, s.up, s.since, s.detail = true, k.Up, k.Since, k.Detail
		}
	}
}

// resumeMargin is added to a resumed AH sequence number: what was recorded may
// be some adverts old, and a number that the others know already is refused.
const resumeMargin = 256

// resumable tells whether all members were Active and nothing that is known
// stands against it.
func (m *Machine) resumable(g *group, wasActive map[*instance]bool) bool {
	for _, i := range g.members {
		if fault, _ := m.faultOf(i); fault != "" || !wasActive[i] {
			return false
		}
	}
	return true
}

// stop releases everything (RFC 3768 §6.4.2, §6.4.3: Shutdown event).
func (m *Machine) stop(now time.Time) {
	for _, i := range m.instances {
		m.becomeStopped(now, i, "stopped")
	}
	for _, g := range m.groups {
		m.noteGroup(now, g, "stopped")
	}
	m.stopped = true
}

func (m *Machine) find(name string) *instance {
	for _, i := range m.instances {
		if i.spec.Name == name {
			return i
		}
	}
	return nil
}
