package health

import (
	"net/netip"
	"time"
)

// Input is something that happened. It is a closed set.
//
//sumtype:decl
type Input interface{ isInput() }

// Start begins the checks. Restore, when not nil, is what a crashed
// predecessor left: servers and quorums go on as they were, without any
// announcement.
type Start struct{ Restore *Remembered }

// TimerFired says that the deadline passed; the machine looks at the time itself.
type TimerFired struct{}

// Result is the end of the probe that carried the same Seq.
type Result struct {
	Checker CheckerID
	Seq     uint64
	OK      bool
	// Undecided, when not OK, says that the probe could not be made for a
	// reason on this host (no sockets left): it is no verdict on the server and
	// counts for nothing; the next try is after DelayLoop.
	Undecided bool
	// Weight, when HasWeight, replaces the server's configured weight until a
	// success without a weight (MISC_CHECK with misc_dynamic).
	Weight    int
	HasWeight bool
	Reason    string        // one line, shown verbatim
	Duration  time.Duration // how long the probe took
}

// Reconfigure replaces the Spec (a reload).
type Reconfigure struct{ Spec Spec }

// Stop ends all checks. Nothing is announced.
type Stop struct{}

func (Start) isInput()       {}
func (TimerFired) isInput()  {}
func (Result) isInput()      {}
func (Reconfigure) isInput() {}
func (Stop) isInput()        {}

// Action is something to do or to tell. It is a closed set; the driver carries
// actions out in their order.
//
//sumtype:decl
type Action interface{ isAction() }

// Probe asks for one probe now. Its end is told by one Result with the same
// Checker and Seq, unless a Cancel comes first.
type Probe struct {
	Checker CheckerID
	Seq     uint64
}

// Cancel says that the result of a running probe is wanted no more.
type Cancel struct {
	Checker CheckerID
	Seq     uint64
}

// CheckerChanged is a change of one checker's verdict; First marks its first
// result. It comes before the ServerChanged that follows from it.
type CheckerChanged struct {
	Checker CheckerID
	Up      bool
	First   bool
	Retries int // tries that failed before it went down, beyond the first
	Reason  string
}

// ServerChanged is a real server that came up or went down.
type ServerChanged struct {
	Service string
	Server  netip.AddrPort
	Up      bool
	Reason  string
}

// WeightChanged is a change of a server's effective weight, whether it is up
// or down.
type WeightChanged struct {
	Service  string
	Server   netip.AddrPort
	From, To int
	Reason   string
}

// QuorumChanged is a virtual server that gained or lost its quorum. Weight is
// the total of its live servers, Threshold what it was compared with: gained
// at Weight >= Threshold, lost at Weight < Threshold or Weight = 0.
type QuorumChanged struct {
	Service   string
	Up        bool
	Weight    int
	Threshold int
}

// Ignored is an input, or a part of one, that had no effect; the driver
// counts it and logs it when it comes from a Spec.
type Ignored struct {
	Checker CheckerID // as far as it applies
	Reason  IgnoreReason
	Detail  string // the Reason of a Result
}

func (Probe) isAction()          {}
func (Cancel) isAction()         {}
func (CheckerChanged) isAction() {}
func (ServerChanged) isAction()  {}
func (WeightChanged) isAction()  {}
func (QuorumChanged) isAction()  {}
func (Ignored) isAction()        {}

// IgnoreReason says why something was ignored.
type IgnoreReason uint8

// Reasons for which an input or a part of a Spec is ignored.
const (
	IgnoreLateResult       IgnoreReason = iota + 1 // no such probe is running
	IgnoreDuplicateService                         // a service of this name comes earlier in the Spec
	IgnoreDuplicateServer                          // a server of this address comes earlier in the service
	IgnoreDuplicateChecker                         // a checker with this Key comes earlier in the server
	IgnoreUndecided                                // the probe could not be made; told once, until one can
	IgnoreNotRunning                               // before Start or after Stop, or a second Start
)

// String returns a phrase for logs.
func (r IgnoreReason) String() string {
	switch r {
	case IgnoreLateResult:
		return "result of no running probe"
	case IgnoreDuplicateService:
		return "virtual server of the same name comes earlier"
	case IgnoreDuplicateServer:
		return "real server of the same address comes earlier"
	case IgnoreDuplicateChecker:
		return "checker configured the same comes earlier"
	case IgnoreUndecided:
		return "the probe could not be made"
	case IgnoreNotRunning:
		return "machine is not running"
	}
	return "ignored"
}
