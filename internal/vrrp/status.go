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

	// Master is who is active as far as we know: Source while Active, else the
	// sender of the last accepted advert; invalid when nobody was heard since
	// the last change of state.
	Master         netip.Addr
	MasterPriority uint8

	LastAdvert time.Time // when the last accepted advert came; zero: never
	Received   uint64    // adverts that passed all checks
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
