package connsync

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Flags are a connection's flags as announced (IP_VS_CONN_F_*).
type Flags uint32

// The flags. Receivers take the forwarding method, NoOutput, Inactive, the
// sequence bits, NoClientPort and Template from a new entry and ignore the
// rest.
const (
	MethodMask     Flags = 0x7
	MethodNAT      Flags = 0
	MethodLocal    Flags = 1
	MethodTUN      Flags = 2
	MethodDR       Flags = 3
	MethodBypass   Flags = 4
	Synced         Flags = 0x20 // the sender has it from synchronisation itself
	Hashed         Flags = 0x40 // never sent
	NoOutput       Flags = 0x80 // the replies do not pass the sender
	Inactive       Flags = 0x100
	OutSeq         Flags = 0x200
	InSeq          Flags = 0x400
	SeqMask              = OutSeq | InSeq
	NoClientPort   Flags = 0x800
	Template       Flags = 0x1000
	OnePacket      Flags = 0x2000
	ConntrackInUse Flags = 0x10000
)

// Conn is one connection as a message announces it.
type Conn struct {
	Protocol lvs.Protocol
	State    uint16 // lvs.ConnState in practice
	Flags    Flags
	FWMark   uint32 // 0 in version 0
	Timeout  uint32 // seconds, the state's whole timeout; 0 in version 0: the receiver's own
	Client   netip.AddrPort
	Virtual  netip.AddrPort
	Dest     netip.AddrPort
	// Options are the bytes behind the addresses as they stand: version 1's
	// options, or the sequence data of version 0 (in the sender's byte order).
	// Decoding leaves them in the datagram's memory.
	Options []byte
}

// Option types. Those with OptionOptional set may be skipped by who does not
// know them; any other unknown one makes the connection unusable.
const (
	OptionSequence   = 1
	OptionEngineData = 2
	OptionEngineName = 3
	OptionOptional   = 0x40
	// OptionRemaining is kaname's, in catch-up streams alone: how long the entry
	// still lives, 4 bytes, milliseconds.
	OptionRemaining = OptionOptional | 0x2b
)

const (
	sequenceLen   = 24
	maxEngineData = 255
	maxEngineName = 16
)

// SeqAdjust is what NAT helpers add to TCP sequence numbers of one direction.
type SeqAdjust struct{ Initial, Delta, PreviousDelta uint32 }

// Option returns the data of the first option of the type, nil for none. It is
// meant for connections of version 1.
func (c *Conn) Option(typ byte) []byte {
	for o := c.Options; len(o) >= 2 && 2+int(o[1]) <= len(o); o = o[2+int(o[1]):] {
		if o[0] == typ {
			return o[2 : 2+o[1]]
		}
	}
	return nil
}

// Sequence returns the sequence adjustments of a version 1 connection, inbound
// then outbound; ok is false when there are none.
func (c *Conn) Sequence() (in, out SeqAdjust, ok bool) {
	b := c.Option(OptionSequence)
	if len(b) != sequenceLen {
		return in, out, false
	}
	at := func(i int) SeqAdjust {
		return SeqAdjust{binary.BigEndian.Uint32(b[i:]), binary.BigEndian.Uint32(b[i+4:]), binary.BigEndian.Uint32(b[i+8:])}
	}
	return at(0), at(12), true
}

// Remaining returns how long the entry still lives, if the sender says so.
func (c *Conn) Remaining() (time.Duration, bool) {
	b := c.Option(OptionRemaining)
	if len(b) != 4 {
		return 0, false
	}
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond, true
}

// checkOptions says what a receiver finds wrong in the form of version 1's
// options: what makes it stop reading the datagram.
func checkOptions(o []byte, index int) *Error {
	seen := [256]bool{}
	for len(o) > 0 {
		if len(o) < 2 || o[1] == 0 || 2+int(o[1]) > len(o) {
			return broken(ReasonOption, index, "an option has no length, or ends beyond the connection")
		}
		typ, n := o[0], int(o[1])
		switch {
		case typ <= OptionEngineName && typ > 0 && seen[typ]:
			return broken(ReasonOption, index, "option %d stands there twice", typ)
		case typ == OptionSequence && n != sequenceLen, typ == OptionEngineName && n > maxEngineName:
			return broken(ReasonOption, index, "option %d has %d bytes", typ, n)
		}
		seen[typ] = true
		o = o[2+n:]
	}
	return nil
}

// Refusal says why a receiver passes over this connection of a whole datagram,
// ReasonNone if it does not.
func (c *Conn) Refusal(version int) Reason {
	if version == 1 && len(c.Options) > 0 {
		if r := c.refuseOptions(); r != ReasonNone {
			return r
		}
	}
	switch {
	case c.Flags&Template != 0:
		if c.State > uint16(lvs.TemplateAssured) {
			return ReasonState
		}
		return ReasonNone
	case c.Flags&OnePacket != 0:
		return ReasonOnePacket
	}
	states := uint16(1)
	switch c.Protocol {
	case lvs.TCP:
		states = lvs.NumTCPStates
	case lvs.SCTP:
		states = lvs.NumSCTPStates
	case lvs.UDP, protoESP, protoAH:
	default:
		return ReasonProtocol
	}
	if c.State >= states {
		return ReasonState
	}
	return ReasonNone
}

// ESP and AH are balanced by firewall marks.
const (
	protoESP lvs.Protocol = 50
	protoAH  lvs.Protocol = 51
)

func (c *Conn) refuseOptions() Reason {
	for o := c.Options; len(o) >= 2; o = o[2+int(o[1]):] {
		if o[0] == 0 || o[0] > OptionEngineName && o[0]&OptionOptional == 0 {
			return ReasonUnknownOption
		}
	}
	if c.Option(OptionEngineData) != nil && c.Option(OptionEngineName) == nil {
		return ReasonEngine
	}
	return ReasonNone
}

// IsTemplate reports whether it is a persistence template.
func (c *Conn) IsTemplate() bool { return c.Flags&Template != 0 }

// StateName returns the state's name as ipvsadm prints it.
func (c *Conn) StateName() string {
	s := lvs.ConnState(min(c.State, 255))
	if c.IsTemplate() {
		return s.TemplateName()
	}
	return s.Name(c.Protocol)
}

// Lifetime is how long an entry lives from the arrival of the message on: what
// is left of it if the sender says so, else the announced timeout, else LVS's
// for the state.
func (c *Conn) Lifetime() time.Duration {
	if len(c.Options) > 0 {
		if d, ok := c.Remaining(); ok {
			return d
		}
	}
	if c.Timeout > 0 {
		return time.Duration(c.Timeout) * time.Second
	}
	return lvs.ConnState(min(c.State, 255)).DefaultTimeout(c.Protocol, c.IsTemplate())
}

// Connection is c as the dataplane and listings have it. Its Expires is the
// Lifetime.
func (c *Conn) Connection() lvs.Connection {
	out := lvs.Connection{
		Protocol: c.Protocol, Client: c.Client, Virtual: c.Virtual, Destination: c.Dest,
		State: lvs.ConnState(min(c.State, 255)), Expires: c.Lifetime(),
		NoOutput: c.Flags&NoOutput != 0, Synced: true, Template: c.IsTemplate(), FWMark: c.FWMark,
	}
	switch c.Flags & MethodMask {
	case MethodTUN:
		out.Method = lvs.TUN
	case MethodDR, MethodLocal, MethodBypass:
		out.Method = lvs.DR
	default: // NAT
	}
	out.Timeout = time.Duration(c.Timeout) * time.Second
	if out.Timeout == 0 {
		out.Timeout = out.State.DefaultTimeout(c.Protocol, out.Template)
	}
	return out
}

// FromConnection is a connection of ours as it is announced.
func FromConnection(l *lvs.Connection) Conn {
	c := Conn{
		Protocol: l.Protocol, State: uint16(l.State), FWMark: l.FWMark, Client: l.Client, Virtual: l.Virtual, Dest: l.Destination,
		Timeout: uint32(min(max((l.Timeout+time.Second/2)/time.Second, 1), 1<<31-1)),
	}
	switch l.Method {
	case lvs.DR:
		c.Flags = MethodDR
	case lvs.TUN:
		c.Flags = MethodTUN
	case lvs.NAT:
	}
	if l.Synced {
		c.Flags |= Synced
	}
	if l.NoOutput {
		c.Flags |= NoOutput
	}
	if l.Template {
		c.Flags |= Template | Inactive
	} else if !l.State.Active(l.Protocol) {
		c.Flags |= Inactive
	}
	return c
}
