// Package event names the things that happen on a director and that others
// may want to act on or show: notify scripts, logs, and later metrics and
// webhooks. It is pure data.
package event

import (
	"net/netip"
	"time"
)

// Event is one thing that happened at Time. It is a closed set.
//
//sumtype:decl
type Event interface{ isEvent() }

// VRRPTransition is an instance's change of state; State and From are
// keepalived's words (MASTER, BACKUP, FAULT, STOP, INIT).
type VRRPTransition struct {
	Time     time.Time
	Instance string
	From     string
	State    string
	Priority int
	Reason   string
}

// GroupTransition is a sync group's change of state.
type GroupTransition struct {
	Time   time.Time
	Group  string
	State  string
	Reason string
}

// LowerPriority is an advert of lower priority heard while MASTER.
type LowerPriority struct {
	Time     time.Time
	Instance string
	From     netip.Addr
	Priority int
}

// ServerChanged is a real server that went up or down. Service is the virtual
// server's name as the configuration writes it.
type ServerChanged struct {
	Time    time.Time
	Service string
	Server  netip.AddrPort
	Up      bool
	Reason  string
}

// QuorumChanged is a virtual server that gained or lost its quorum.
type QuorumChanged struct {
	Time    time.Time
	Service string
	Up      bool
}

// Reloaded is a finished reload; Err is empty when the new configuration runs.
type Reloaded struct {
	Time time.Time
	Err  string
}

func (VRRPTransition) isEvent()  {}
func (GroupTransition) isEvent() {}
func (LowerPriority) isEvent()   {}
func (ServerChanged) isEvent()   {}
func (QuorumChanged) isEvent()   {}
func (Reloaded) isEvent()        {}
