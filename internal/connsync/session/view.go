package session

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Session is one session as last announced.
type Session struct {
	Protocol lvs.Protocol // 0 for the template of a firewall mark
	State    lvs.ConnState
	Flags    connsync.Flags
	Client   netip.AddrPort
	Virtual  netip.AddrPort
	Dest     netip.AddrPort
	FWMark   uint32
	SyncID   uint8
	Version  uint8 // of the protocol
	// Director is who announced it last; invalid when there were too many to
	// tell them apart (Stats).
	Director netip.Addr
	First    time.Time // first heard of
	Last     time.Time // last heard of
	// Timeout is how long it lives after Last.
	Timeout time.Duration
}

// IsTemplate reports whether it is a persistence template.
func (s *Session) IsTemplate() bool { return s.Flags&connsync.Template != 0 }

// Active reports whether LVS counts it as active: established, and no template.
func (s *Session) Active() bool { return s.Flags&connsync.Inactive == 0 && !s.IsTemplate() }

// StateName returns the state's name as ipvsadm prints it.
func (s *Session) StateName() string {
	if s.IsTemplate() {
		return s.State.TemplateName()
	}
	return s.State.Name(s.Protocol)
}

// Deadline is when it runs out unless announced again.
func (s *Session) Deadline() time.Time { return s.Last.Add(s.Timeout) }

// Expires is how long it still lives at now, 0 if it should be gone.
func (s *Session) Expires(now time.Time) time.Duration { return max(s.Deadline().Sub(now), 0) }
