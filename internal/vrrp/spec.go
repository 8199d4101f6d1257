package vrrp

import (
	"net/netip"
	"time"
)

// State is the state of a virtual router on this director.
type State uint8

// The states of RFC 9568 and keepalived's Fault (a tracked thing is down).
const (
	Initialize State = iota
	Backup
	Active
	Fault
	Stopped // after Stop, until the machine is dropped
)

// String returns keepalived's word for the state: INIT, BACKUP, MASTER, FAULT, STOP.
func (s State) String() string {
	switch s {
	case Initialize:
		return "INIT"
	case Backup:
		return "BACKUP"
	case Active:
		return "MASTER"
	case Fault:
		return "FAULT"
	case Stopped:
		return "STOP"
	}
	return "STATE?"
}

// AuthType is the authentication type of a version 2 advert.
type AuthType uint8

// Authentication types (RFC 2338 §5.3.6).
const (
	AuthNone AuthType = 0
	AuthPass AuthType = 1
	AuthAH   AuthType = 2
)

// String returns keepalived's word for the authentication type.
func (t AuthType) String() string {
	switch t {
	case AuthNone:
		return "none"
	case AuthPass:
		return "PASS"
	case AuthAH:
		return "AH"
	}
	return "unknown"
}

// GARPSpec says when gratuitous ARPs are sent.
type GARPSpec struct {
	Repeat        int           // requests per address on becoming active (5)
	Delay         time.Duration // second burst after this (5 s), 0: none
	Refresh       time.Duration // period of refreshes while active, 0: none
	RefreshRepeat int           // requests per address at each refresh (1)
	// LowerPrioRepeat and LowerPrioDelay: bursts after a lower-priority advert.
	LowerPrioRepeat int
	LowerPrioDelay  time.Duration
}

// TrackSpec names a tracked interface or script. Weight 0 means that its
// failure faults the instance, with Reverse its success; else Weight is added
// to the priority while up (>0) or while down (<0), with Reverse it is
// subtracted then instead.
type TrackSpec struct {
	Name    string
	Weight  int
	Reverse bool
}

// AnnounceSpec are addresses of an instance on an interface of their own (dev).
type AnnounceSpec struct {
	Interface string
	Addrs     []netip.Addr
}

// InstanceSpec is one vrrp_instance.
type InstanceSpec struct {
	Name           string
	Interface      string
	VRID           uint8
	Priority       uint8 // base priority, 1..255
	AdvertInterval time.Duration
	Auth           AuthType
	Password       string // at most 8 bytes
	Preempt        bool
	PreemptDelay   time.Duration
	// Addresses are those in the advert, in order; Announce are all that are
	// announced by ARP (with the excluded ones) on Interface, AnnounceOn those
	// that are on other interfaces.
	Addresses  []netip.Addr
	Announce   []netip.Addr
	AnnounceOn []AnnounceSpec
	// Source is the configured source address, invalid for the interface's own.
	Source           netip.Addr
	DownTimerAdverts int // 3
	GARP             GARPSpec
	// LowerPrioNoAdvert: do not answer a lower-priority advert with an advert.
	// HigherPrioSendAdvert: send one more advert when yielding.
	LowerPrioNoAdvert, HigherPrioSendAdvert bool
	SkipCheckAddresses                      bool // skip_check_adv_addr
	TrackInterfaces                         []TrackSpec
	TrackScripts                            []TrackSpec
	// DontTrackPrimary: loss of link on Interface does not fault.
	DontTrackPrimary bool
}

// GroupSpec is one vrrp_sync_group.
type GroupSpec struct {
	Name            string
	Members         []string // instance names
	TrackInterfaces []TrackSpec
	TrackScripts    []TrackSpec
}

// ScriptSpec is what the machine must know of a vrrp_script.
type ScriptSpec struct {
	Name       string
	Rise, Fall int // consecutive results needed, at least 1
}

// Spec is everything one machine runs.
type Spec struct {
	Instances    []InstanceSpec
	Groups       []GroupSpec
	Scripts      []ScriptSpec
	StartupDelay time.Duration
}

// Resume is what a restarted director remembers of an instance that was
// active when its process died: it goes on as Active at once, with the AH
// sequence number and IP identification continued.
type Resume struct {
	Instance string `json:"instance"`
	State    State  `json:"state"`
	Sequence uint32 `json:"sequence"`
	IPID     uint16 `json:"ip_id"`
}
