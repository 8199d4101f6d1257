package vrrpio

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// Status is a picture of a Driver and its Machine.
type Status struct {
	Time       time.Time
	Machine    vrrp.Status
	Instances  map[string]InstanceStats  // by name
	Interfaces map[string]InterfaceStats // by name
	// Unmatched counts packets that belong to no instance, by reason.
	Unmatched map[vrrp.IgnoreReason]Ignored
}

// InstanceStats are counters of one instance since it was first configured.
// The adverts it accepted are counted in its vrrp.InstanceStatus.
type InstanceStats struct {
	AdvertsSent      uint64
	PriorityZeroSent uint64 // of AdvertsSent
	SendErrors       uint64
	BecameMaster     uint64
	ReleasedMaster   uint64
	Ignored          map[vrrp.IgnoreReason]Ignored
	// Contended counts adverts of another master heard while Active.
	Contended     uint64
	LastContended time.Time
	LastContender netip.Addr
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
