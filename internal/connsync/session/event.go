package session

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Kind is what happened to a session. Kinds combine to sets.
type Kind uint8

// The kinds.
const (
	Created   Kind = 1 << iota
	Changed        // another state, or another firewall mark
	Moved          // another destination, director or syncid
	Refreshed      // announced again as it was
	Expired        // ran out

	// AllKinds is all of them but Refreshed.
	AllKinds = Created | Changed | Moved | Expired
)

// String returns the kind's name: "created", "changed", "moved", "refreshed",
// "expired".
func (k Kind) String() string {
	for name, one := range kindNames {
		if one == k {
			return name
		}
	}
	return "several"
}

// kindNames are the words of a rules file too.
var kindNames = map[string]Kind{
	"created": Created, "changed": Changed, "moved": Moved, "refreshed": Refreshed, "expired": Expired,
}

// MarshalText makes JSON carry the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Before is what a message changed of a session.
type Before struct {
	State    lvs.ConnState
	FWMark   uint32
	Dest     netip.AddrPort
	Director netip.Addr
	SyncID   uint8
}

// Event is one thing that happened to a session. A message that moves a session
// and changes its state makes one event with both kinds in Kinds.
type Event struct {
	Kinds   Kind
	Time    time.Time // of the message, or when it ran out
	Session Session   // as it is now, or was last
	// Before is what it was, with Changed and Moved; else as Session has it.
	Before Before
}

// Kind is the event's name-giving kind: of several the one that says most.
func (e *Event) Kind() Kind {
	for _, k := range []Kind{Created, Expired, Moved, Changed} {
		if e.Kinds&k != 0 {
			return k
		}
	}
	return Refreshed
}

// previous is the session as it was before the event.
func (e *Event) previous() Session {
	s := e.Session
	s.State, s.FWMark, s.Dest, s.Director, s.SyncID = e.Before.State, e.Before.FWMark, e.Before.Dest, e.Before.Director, e.Before.SyncID
	return s
}
