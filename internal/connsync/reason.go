package connsync

import "fmt"

// Reason says why a datagram, or a connection in it, was not taken.
type Reason uint8

// Reasons for a whole datagram, for the rest of one, and for one connection.
const (
	ReasonNone Reason = iota
	// The whole datagram.
	ReasonShort  // shorter than a header
	ReasonSize   // its size field is not its length
	ReasonSyncID // another syncid than ours
	ReasonAuth   // no proof of origin although a key is configured, or a wrong one
	ReasonReplay // authentic, but heard before or of an earlier life of its sender
	ReasonOwn    // our own
	// The connection and everything behind it.
	ReasonCut         // ends in the middle of a connection
	ReasonType        // neither IPv4 nor IPv6
	ReasonConnVersion // version bits in the size word
	ReasonConnSize    // a connection's size is too small or beyond the end
	ReasonOption      // an option of length 0, beyond the end, or twice
	// The connection alone.
	ReasonUnknownOption // a mandatory option that nobody knows
	ReasonEngine        // persistence engine data without a name
	ReasonState         // no such state
	ReasonProtocol      // no such protocol
	ReasonOnePacket     // one-packet scheduling: there is no entry to keep
	NumReasons
)

var reasonNames = [NumReasons]string{
	"none", "short", "size", "syncid", "auth", "replay", "own",
	"cut", "type", "connection-version", "connection-size", "option",
	"unknown-option", "engine", "state", "protocol", "one-packet",
}

// String returns the name that status and metrics show.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Error says where a datagram stops making sense. Connections before Index
// were whole.
type Error struct {
	Reason Reason
	Index  int // of the connection, 0 for the datagram
	Detail string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Reason < ReasonCut {
		return "sync message: " + e.Detail
	}
	return fmt.Sprintf("sync message: connection %d: %s", e.Index, e.Detail)
}

func broken(r Reason, index int, format string, args ...any) *Error {
	return &Error{Reason: r, Index: index, Detail: fmt.Sprintf(format, args...)}
}
