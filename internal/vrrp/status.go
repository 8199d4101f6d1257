package vrrp

import (
	"net/netip"
	"time"
)

// Status is a picture of a Machine. Nothing in it is shared with the machine.
type Status struct {
	Instances []InstanceStatus // in the order of the Spec
	Groups    []GroupStatus
	Scripts   []ScriptStatus
}

// InstanceStatus is what one instance knows.
type InstanceStatus struct {
	Name              string
	Interface         string
	VRID              uint8
	State             State
	Since             time.Time // of State
	Reason            string    // of the last transition
	Priority          uint8     // base
	EffectivePriority uint8
	AdvertInterval    time.Duration
	Source            netip.Addr // our own source address; invalid when there is none

	// Waiting tells that no master is heard here and the instance would be
	// Active if its sync group let it: another member hears one. Lasting, it
	// means that adverts do not get through on Interface.
	Waiting bool

	// Master is who is active as far as we know: Source while Active, else the
	// sender of the last accepted advert; invalid when nobody was heard since
	// the last change of state.
	Master         netip.Addr
	MasterPriority uint8

	LastAdvert time.Time // when the last accepted advert came; zero: never
	Received   uint64    // adverts that passed all checks
	Releases   uint64    // of Received: priority 0
	Sequence   uint32    // last AH sequence number sent or heard
	IPID       uint16    // last IP identification sent
}

// GroupStatus is a sync group's state. Members are in the order of the Spec.
type GroupStatus struct {
	Name    string
	State   State
	Since   time.Time
	Reason  string
	Members []string
}

// ScriptStatus is a script's settled verdict; Known is false before its first
// result.
type ScriptStatus struct {
	Name   string
	Known  bool
	Up     bool
	Since  time.Time
	Detail string
}

// ReasonRemoved is the reason of the Transition to Stopped of an instance
// that a Reconfigure took away; keepalived notifies it as FAULT or DELETED,
// not as STOP.
const ReasonRemoved = "removed from the configuration"

// ReasonResumed is the reason of the Transition from Initialize to Active of
// an instance that goes on after a restart of its process.
const ReasonResumed = "resumed after restart"

// Status returns a picture of the machine.
func (m *Machine) Status() Status {
	s := Status{
		Instances: make([]InstanceStatus, len(m.instances)),
		Scripts:   make([]ScriptStatus, 0, len(m.scripts)),
	}
	for n, i := range m.instances {
		s.Instances[n] = i.status()
	}
	for _, g := range m.groups {
		if g.spec.Name == "" {
			continue
		}
		gs := GroupStatus{Name: g.spec.Name, State: g.state, Since: g.since, Reason: g.reason}
		for _, i := range g.members {
			gs.Members = append(gs.Members, i.spec.Name)
		}
		s.Groups = append(s.Groups, gs)
	}
	for _, spec := range m.spec.Scripts {
		sc := m.scripts[spec.Name]
		s.Scripts = append(s.Scripts, ScriptStatus{Name: spec.Name, Known: sc.known, Up: sc.up, Since: sc.since, Detail: sc.detail})
	}
	return s
}

func (i *instance) status() InstanceStatus {
	return InstanceStatus{
		Name: i.spec.Name, Interface: i.spec.Interface, VRID: i.spec.VRID,
		State: i.state, Since: i.since, Reason: i.reason,
		Priority: i.spec.Priority, EffectivePriority: i.priority,
		AdvertInterval: i.spec.AdvertInterval, Source: i.source,
		Waiting: i.wants && i.state == Backup,
		Master:  i.master, MasterPriority: i.masterPriority,
		LastAdvert: i.lastAdvert, Received: i.received, Releases: i.releases,
		Sequence: i.sequence, IPID: i.ipid,
	}
}

// Resumes returns what a restarted director needs to go on (Start.Resume), one
// for each instance.
func (m *Machine) Resumes() []Resume {
	out := make([]Resume, len(m.instances))
	for n, i := range m.instances {
		out[n] = Resume{Instance: i.spec.Name, State: i.state, Sequence: i.sequence, IPID: i.ipid}
	}
	return out
}
