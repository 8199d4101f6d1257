package vrrpio

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// maxBurst is how many packets are taken before an expired timer has its
// turn. A socket holds fewer real adverts than that; a flood of packets must
// not keep this router from sending its own.
const maxBurst = 512

// Machine is the election. *vrrp.Machine is one.
type Machine interface {
	Step(now time.Time, in vrrp.Input) []vrrp.Action
	Deadline() (time.Time, bool)
	Status() vrrp.Status
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
	// Send sends one whole IPv4 packet to 224.0.0.18. It does not block; the
	// error wraps ErrBusy when it may succeed in a moment.
	Send(iface string, packet []byte) error
	// Receive waits for a packet until the deadline (for ever when zero) or
	// Wake. ok is false without a packet. A packet that has arrived is
	// returned even when the deadline has passed. The packet is valid until
	// the next call.
	Receive(deadline time.Time) (iface string, packet []byte, ok bool)
	// Wake ends the present or the next Receive. Any goroutine may call it.
	Wake()
	// Troubles returns what is wrong now, by interface; empty when nothing is.
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
	Logger    *slog.Logger // nil for none
	// Realtime asks for a real-time priority (else nice -10) for Run's thread.
	Realtime bool
}

// Driver runs one Machine.
type Driver struct {
	Spec

	mu    sync.Mutex
	queue []vrrp.Input
	ended bool

	events *queue
	status atomic.Pointer[Status]

	// What follows belongs to Run's goroutine.
	counts   counters
	troubles map[string]string // as told last, by interface
	sendErrs map[string]error  // by interface, while sending fails
	bursts   announcements     // of gratuitous ARP, still to be sent
	dirty    bool              // the status is behind
}

// New returns a Driver; nothing happens before Run. It does not own
// Transport and Announcer: who made them closes them after Run.
func New(s Spec) *Driver {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Driver{
		Spec: s, events: newQueue(), counts: newCounters(),
		troubles: map[string]string{}, sendErrs: map[string]error{},
	}
	d.publish()
	return d
}

// Send queues an input. It never blocks and may be called by any goroutine,
// before Run too. Inputs keep their order. After the end of Run it does nothing.
func (d *Driver) Send(in vrrp.Input) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.queue = append(d.queue, in)
	if len(d.queue) == 1 {
		d.Transport.Wake()
	}
}

// Events returns what happened, in order. The queue is unbounded: a slow
// receiver delays nothing. It is closed after the end of Run, when empty.
func (d *Driver) Events() <-chan Event { return d.events.out }

// Status returns the picture after the last steps. It never blocks. The
// receiver must not change it.
func (d *Driver) Status() *Status { return d.status.Load() }

// Run drives the Machine until a vrrp.Stop was sent and carried out: when it
// returns, priority 0 is on the wire. The end of ctx does the same. It may be
// called once. The sockets are opened in the network namespace of its thread.
func (d *Driver) Run(ctx context.Context) error {
	if d.Realtime {
		defer realtime(d.Logger)()
	}
	defer context.AfterFunc(ctx, func() { d.Send(vrrp.Stop{}) })()
	go d.events.run()
	defer d.end()
	d.configure(d.Election)
	d.loop()
	return nil
}

// loop steps the Machine with whatever comes. It goes round in two phases:
// what has arrived is taken without waiting, and only when that is nothing is
// an expired timer stepped, or a part of the gratuitous ARP sent, or, with
// nothing at all to do, the status published and the next event waited for.
func (d *Driver) loop() {
	waiting, burst := false, 0
	for !d.commands() {
		until := time.Now() // the past: only what is there
		if waiting {
			until, _ = d.Machine.Deadline()
		}
		iface, packet, ok := d.Transport.Receive(until)
		if ok {
			d.packet(iface, packet)
		}
		switch {
		case ok && (burst < maxBurst || !d.expired()):
			waiting, burst = false, burst+1
		case waiting && !ok: // woken, or the deadline: look at the sockets again
			waiting = false
		case d.expired():
			d.step(vrrp.TimerFired{})
			waiting, burst = false, 0
		case d.announce():
			burst = 0
		default:
			d.publish()
			waiting, burst = true, 0
		}
	}
}

// expired reports whether the Machine waits for TimerFired.
func (d *Driver) expired() bool {
	due, armed := d.Machine.Deadline()
	return armed && !time.Now().Before(due)
}

// commands steps the queued inputs. It reports the end: a Stop was carried out.
func (d *Driver) commands() (stopped bool) {
	d.mu.Lock()
	queue := d.queue
	d.queue = nil
	d.mu.Unlock()
	for _, in := range queue {
		switch in := in.(type) {
		case vrrp.Reconfigure:
			d.configure(in.Spec)
		case vrrp.LinkChanged:
			// Behind the name may be another interface than before.
			d.Transport.Open(d.counts.ifaces)
			delete(d.sendErrs, in.Interface)
		default: // concerns the machine alone
		}
		d.step(in)
		if _, stop := in.(vrrp.Stop); stop {
			return true
		}
	}
	return false
}

// configure opens what a Spec needs.
func (d *Driver) configure(s vrrp.Spec) {
	d.counts.configure(s)
	d.Transport.Open(d.counts.ifaces)
	d.dirty = true
}

// packet steps one received packet.
func (d *Driver) packet(iface string, packet []byte) {
	d.counts.delivered(iface, time.Now())
	d.step(vrrp.PacketReceived{Interface: iface, Packet: packet})
}

// step steps the Machine and carries its actions out, in order.
func (d *Driver) step(in vrrp.Input) {
	now := time.Now()
	for _, a := range d.Machine.Step(now, in) {
		d.act(now, a)
	}
	d.dirty = true
}

// publish makes the present picture the Status, and tells troubles that began
// or ended.
func (d *Driver) publish() {
	d.tellTroubles()
	if d.status.Load() != nil && !d.dirty {
		return
	}
	d.dirty = false
	d.status.Store(d.counts.status(time.Now(), d.Machine.Status(), d.troubles))
}

// end refuses further inputs and lets the queue of events run dry.
func (d *Driver) end() {
	d.mu.Lock()
	d.ended, d.queue = true, nil
	d.mu.Unlock()
	d.dirty = true
	d.publish()
	d.events.close()
}
