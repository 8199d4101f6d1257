package vrrpio

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// Machine is the election. *vrrp.Machine is one.
type Machine interface {
	Step(now time.Time, in vrrp.Input) []vrrp.Action
	Deadline() (time.Time, bool)
	Status() vrrp.Status
	Resumes() []vrrp.Resume
}

// Interface is one that adverts are sent and received on. AH opens protocol
// 51 besides 112.
type Interface struct {
	Name string
	AH   bool
}

// Transport carries packets. *Sockets is the real one. All methods but Wake
// are called by the Driver's goroutine only.
type Transport interface {
	// Open makes exactly these interfaces usable: new ones are joined, others
	// left, changed ones (another index behind the name) opened again. One
	// that is missing is tried again by itself; Troubles tells.
	Open(ifaces []Interface)
	// Send sends one whole IPv4 packet to 224.0.0.18. It does not block.
	Send(iface string, packet []byte) error
	// Receive waits for a packet until the deadline (for ever when zero) or
	// Wake. ok is false without a packet. A packet that has arrived is
	// returned even when the deadline has passed. The packet is valid until
	// the next call.
	Receive(deadline time.Time) (iface string, packet []byte, ok bool)
	// Wake ends the present or the next Receive. Any goroutine may call it.
	Wake()
	// Troubles returns what is wrong now, by interface; nil when nothing is.
	Troubles() map[string]error
	// Close leaves all interfaces.
	Close() error
}

// Announcer sends gratuitous ARP. *announce.Announcer is one.
type Announcer interface {
	Announce(iface string, addrs []netip.Addr, repeat int) error
}

// Spec is what a Driver is made of.
type Spec struct {
	Machine   Machine
	Election  vrrp.Spec // the one the Machine was made with: its interfaces are opened
	Transport Transport
	Announcer Announcer
	Logger    *slog.Logger
	Now       func() time.Time // nil for time.Now
	// Realtime asks for a real-time priority (else nice -10) for Run's thread.
	Realtime bool
}

// Event is something that the owner has to know, in order.
type Event struct {
	Time time.Time
	// Action is a Transition, GroupTransition, PriorityChanged, ScriptChanged
	// or Contended; nil when Trouble is meant.
	Action vrrp.Action
	// Trouble is a change of an interface's usability.
	Trouble *Trouble
}

// Trouble is an interface on which packets cannot be sent or received; Err is
// nil when it works again.
type Trouble struct {
	Interface string
	Err       error
}

// Driver runs one Machine.
type Driver struct{ spec Spec }

// New returns a Driver; nothing happens before Run. It does not own
// Transport and Announcer: who made them closes them after Run.
func New(s Spec) *Driver { panic("being written") }

// Send queues an input. It never blocks and may be called by any goroutine,
// before Run too. Inputs keep their order. After the end of Run it does nothing.
func (d *Driver) Send(in vrrp.Input) { panic("being written") }

// Run drives the Machine until a vrrp.Stop was sent and carried out: when it
// returns, priority 0 is on the wire. The end of ctx does the same.
func (d *Driver) Run(ctx context.Context) error { panic("being written") }

// Events returns what happened, in order. The queue is unbounded: a slow
// receiver delays nothing. It is closed after the end of Run, when empty.
func (d *Driver) Events() <-chan Event { panic("being written") }

// Status returns the picture after the last steps. It never blocks. The
// receiver must not change it.
func (d *Driver) Status() *Status { panic("being written") }
