package vrrpio

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// ErrBusy is a send queue that is full just now.
var ErrBusy = errors.New("send queue is full")

// How often, and how long after another, an advert of priority 0 is tried: it
// is the last one, no later one makes good for it.
const (
	releaseTries = 10
	releasePause = 10 * time.Millisecond
)

// act carries one action out, counts it and tells the owner.
func (d *Driver) act(now time.Time, a vrrp.Action) {
	switch a := a.(type) {
	case vrrp.SendPacket:
		d.send(a)
	case vrrp.Announce:
		d.bursts.push(a)
	case vrrp.Ignored:
		d.ignored(now, a)
	case vrrp.Contended:
		d.counts.contended(now, a)
		d.tell(now, a)
	case vrrp.Transition:
		d.counts.transition(a)
		// A Backup sends nothing that could show the end of a send trouble.
		delete(d.sendErrs, d.counts.iface(a.Instance))
		if a.From == vrrp.Active {
			d.bursts.drop(a.Instance)
		}
		d.Logger.Info("vrrp state changed", "instance", a.Instance, "from", a.From.String(),
			"to", a.To.String(), "priority", a.Priority, "reason", a.Reason)
		d.tell(now, a)
	case vrrp.GroupTransition:
		d.Logger.Info("vrrp group state changed", "group", a.Group, "to", a.To.String(), "reason", a.Reason)
		d.tell(now, a)
	case vrrp.PriorityChanged:
		d.Logger.Info("vrrp priority changed", "instance", a.Instance, "from", a.From, "to", a.To)
		d.tell(now, a)
	case vrrp.ScriptChanged:
		d.Logger.Info("script changed", "script", a.Script, "up", a.Up, "reason", a.Detail)
		d.tell(now, a)
	}
}

func (d *Driver) tell(now time.Time, a vrrp.Action) {
	d.events.push(Event{Time: now, Action: a})
}

// send puts one advert on the wire.
func (d *Driver) send(a vrrp.SendPacket) {
	err := d.Transport.Send(a.Interface, a.Packet)
	for try := 1; a.Priority == 0 && errors.Is(err, ErrBusy) && try < releaseTries; try++ {
		time.Sleep(releasePause)
		err = d.Transport.Send(a.Interface, a.Packet)
	}
	d.counts.sent(a, err)
	if err != nil {
		d.sendErrs[a.Interface] = err
		return
	}
	delete(d.sendErrs, a.Interface)
}

// announce sends a part of the gratuitous ARP that is due; false when there is
// none. What it cannot send is said in the log: the next burst comes by itself.
func (d *Driver) announce() bool {
	a, ok := d.bursts.pop()
	if !ok {
		return false
	}
	if err := d.Announcer.Announce(a.Interface, a.Addrs, a.Repeat); err != nil {
		d.bursts.dropOn(a.Interface)
		d.Logger.Warn("addresses not announced", "instance", a.Instance, "reason", err)
	}
	return true
}

// ignored counts a packet that was dropped. The first one of a kind since the
// instance changed its state is logged.
func (d *Driver) ignored(now time.Time, a vrrp.Ignored) {
	if first := d.counts.ignored(now, a); !first || a.Reason == vrrp.IgnoreVRID || a.Reason == vrrp.IgnoreLowerPriority {
		return
	}
	d.Logger.Warn("vrrp packet ignored", "instance", a.Instance, "from", a.From,
		"reason", a.Reason.String(), "detail", a.Detail)
}

// tellTroubles compares what is wrong with interfaces with what was told.
func (d *Driver) tellTroubles() {
	now := maps.Clone(d.sendErrs)
	maps.Copy(now, d.Transport.Troubles()) // says more than a failed send
	for _, iface := range slices.Sorted(maps.Keys(d.troubles)) {
		if now[iface] == nil {
			delete(d.troubles, iface)
			d.Logger.Info("interface usable again", "iface", iface)
			d.trouble(iface, nil)
		}
	}
	for _, iface := range slices.Sorted(maps.Keys(now)) {
		if err := now[iface]; d.troubles[iface] != err.Error() {
			d.troubles[iface] = err.Error()
			d.Logger.Warn("interface not usable", "iface", iface, "reason", err)
			d.trouble(iface, err)
		}
	}
}

func (d *Driver) trouble(iface string, err error) {
	d.dirty = true
	d.events.push(Event{Time: time.Now(), Trouble: &Trouble{Interface: iface, Err: err}})
}
