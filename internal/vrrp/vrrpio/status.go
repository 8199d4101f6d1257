package vrrpio

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// Status is what the Driver counted, and the Machine's own picture. It is
// made after steps that changed something and at least once a second (status
// of timers aside), so that Resumes is fresh enough to resume from.
type Status struct {
	Time time.Time
	// Election and Resumes are Machine.Status and Machine.Resumes.
	Election   vrrp.Status
	Resumes    []vrrp.Resume
	Instances  map[string]InstanceStats
	Interfaces map[string]InterfaceStats
	// Unmatched counts packets that belong to no instance, by reason.
	Unmatched map[vrrp.IgnoreReason]Ignored
}

// InstanceStats are counters of one instance since it was first seen.
type InstanceStats struct {
	AdvertsSent      uint64
	PriorityZeroSent uint64
	SendErrors       uint64
	BecameMaster     uint64
	ReleasedMaster   uint64
	Ignored          map[vrrp.IgnoreReason]Ignored
	Contended        uint64
	LastContended    time.Time
	LastContender    netip.Addr
}

// Ignored counts packets that were dropped for one reason, and tells the last.
type Ignored struct {
	Count  uint64
	Last   time.Time
	From   netip.Addr
	Detail string
}

// InterfaceStats are counters of one interface.
type InterfaceStats struct {
	// Delivered counts packets of protocols 112 and 51 that reached the
	// socket; what Tap saw and this did not count was dropped by this host.
	Delivered     uint64
	LastDelivered time.Time
	Trouble       string // why it cannot be used now, empty when it can
}
