package vrrp

import "net/netip"

// Input is something that happened. It is a closed set.
//
//sumtype:decl
type Input interface{ isInput() }

// Start leaves Initialize. Resumes names instances that go on as Active.
type Start struct {
	Resume []Resume
	// Scripts are the verdicts that a resuming director's predecessor had: without
	// them its priority would drop until every script has run once.
	Scripts []ScriptStatus
}

// TimerFired says that the deadline passed; the machine looks at the time itself.
type TimerFired struct{}

// PacketReceived is one IPv4 packet of protocol 112 or 51 as the raw socket
// gave it, IP header included, with the interface it came in on.
type PacketReceived struct {
	Interface string
	Packet    []byte
}

// LinkChanged is the operational state of an interface. Every interface that
// the Spec names is reported once before Start and at each change, and one that
// a Reconfigure brings in before it; a missing interface is reported as down.
// Until it is reported an interface is down.
type LinkChanged struct {
	Interface string
	Up        bool
}

// SourceChanged is the primary IPv4 address of an interface; invalid when
// there is none left (the instances on it fault).
type SourceChanged struct {
	Interface string
	Addr      netip.Addr
}

// ScriptResult is the end of one run of a vrrp_script.
type ScriptResult struct {
	Script   string
	OK       bool
	Status   int // exit status, -1 for a signal
	TimedOut bool
}

// AddressesReady says that the host has the addresses of the instance that
// became Active: they can be announced now.
type AddressesReady struct{ Instance string }

// AddressLost says that somebody else removed a virtual address.
type AddressLost struct {
	Instance string
	Addr     netip.Addr
}

// Reconfigure replaces the Spec (a reload). Instances that match by VRID and
// interface keep their state and timers.
type Reconfigure struct{ Spec Spec }

// Failover asks the instance, when it is Active, to step down: it sends
// priority 0 and lets a router of lower priority take over and keep the
// addresses for one Active_Down_Interval before it preempts. The other members
// of its sync group step down with it.
type Failover struct{ Instance string }

// Stop releases everything: each Active instance sends priority 0 once.
type Stop struct{}

func (Start) isInput()          {}
func (TimerFired) isInput()     {}
func (PacketReceived) isInput() {}
func (LinkChanged) isInput()    {}
func (SourceChanged) isInput()  {}
func (ScriptResult) isInput()   {}
func (AddressesReady) isInput() {}
func (AddressLost) isInput()    {}
func (Reconfigure) isInput()    {}
func (Failover) isInput()       {}
func (Stop) isInput()           {}

// Action is something to do or to tell. It is a closed set; the driver carries
// actions out in their order.
//
//sumtype:decl
type Action interface{ isAction() }

// SendPacket is a whole IPv4 packet (header included) to send on Interface to 224.0.0.18.
type SendPacket struct {
	Instance  string
	Interface string
	Packet    []byte
	Priority  uint8 // for counting: 0 is a release
}

// Announce asks for Repeat gratuitous ARP requests per address.
type Announce struct {
	Instance  string
	Interface string
	Addrs     []netip.Addr
	Repeat    int
}

// Transition is a change of state. Priority is the effective one.
type Transition struct {
	Instance string
	From, To State
	Priority uint8
	Reason   string
}

// GroupTransition is a sync group's change of state, after those of its members.
type GroupTransition struct {
	Group  string
	To     State
	Reason string
}

// PriorityChanged is a change of the effective priority by tracking.
type PriorityChanged struct {
	Instance string
	From, To uint8
}

// ScriptChanged is a change of a script's settled verdict.
type ScriptChanged struct {
	Script string
	Up     bool
	Detail string // "exited with status 1", "timed out"
}

// Ignored is a packet that was dropped, or a fact worth counting, with a
// stable reason. Instance is empty when none matched.
type Ignored struct {
	Instance string
	From     netip.Addr
	Reason   IgnoreReason
	Detail   string
}

// Contended tells that an Active instance heard another Active one of lower
// priority (or of the same and a lower address): evidence for split brain. It
// comes with each such advert.
type Contended struct {
	Instance string
	From     netip.Addr
	Priority uint8
}

func (SendPacket) isAction()      {}
func (Announce) isAction()        {}
func (Transition) isAction()      {}
func (GroupTransition) isAction() {}
func (PriorityChanged) isAction() {}
func (ScriptChanged) isAction()   {}
func (Ignored) isAction()         {}
func (Contended) isAction()       {}

// IgnoreReason says why a packet was dropped; keepalived's counters and log
// lines are named in behaviour terms in docs.
type IgnoreReason uint8

// Reasons for which a received packet is ignored.
const (
	IgnoreMalformed IgnoreReason = iota + 1
	IgnoreTTL
	IgnoreVersion
	IgnoreVRID // no instance with this VRID on the interface
	IgnoreAuthType
	IgnorePassword
	IgnoreICV
	IgnoreReplay
	IgnoreInterval
	IgnoreType
	IgnoreChecksum
	IgnoreAddresses
	IgnoreOwn // our own packet came back, or a peer with our address
	IgnoreDestination
	IgnoreLowerPriority            // discarded by a Backup that will take over
	IgnoreStartup                  // heard during vrrp_startup_delay
	IgnoreNotUp                    // the instance is in Initialize, Fault or Stopped
	NumIgnoreReasons    = iota + 1 // one past the last: sizes an array by reason
)

var ignoreReasons = [NumIgnoreReasons]string{
	IgnoreMalformed:     "malformed",
	IgnoreTTL:           "ttl",
	IgnoreVersion:       "version",
	IgnoreVRID:          "vrid",
	IgnoreAuthType:      "auth-type",
	IgnorePassword:      "password",
	IgnoreICV:           "icv",
	IgnoreReplay:        "replay",
	IgnoreInterval:      "interval",
	IgnoreType:          "type",
	IgnoreChecksum:      "checksum",
	IgnoreAddresses:     "addresses",
	IgnoreOwn:           "own",
	IgnoreDestination:   "destination",
	IgnoreLowerPriority: "lower-priority",
	IgnoreStartup:       "startup-delay",
	IgnoreNotUp:         "not-up",
}

// String returns the reason as counters and status name it.
func (r IgnoreReason) String() string {
	if int(r) < len(ignoreReasons) && ignoreReasons[r] != "" {
		return ignoreReasons[r]
	}
	return "reason?"
}
