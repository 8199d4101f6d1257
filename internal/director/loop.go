package director

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/director/reconcile"
	"github.com/kaname-lb/kaname/internal/event"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/hostnet"
	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// routesAfter is how old the ways to servers may be: a route that changes alone
// has no event of its own here. (The dataplane follows routes by itself; this
// is about which interfaces it looks at.)
const routesAfter = 30 * time.Second

// retryAfter is the pause before a State that was not reached is tried again.
const retryAfter = time.Second

// loop handles everything that happens, one thing at a time, until ctx ends.
func (d *director) loop(ctx context.Context) {
	checks := time.NewTimer(0)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	d.retry = time.NewTimer(time.Hour)
	d.dirty = true
	for {
		if at, ok := d.health.Deadline(); ok {
			checks.Reset(time.Until(at))
		}
		requests := d.requests
		if !d.synced {
			requests = nil // a reload must not come between a start and its election
		}
		select {
		case ev, ok := <-d.driver.Events():
			if !ok { // it is ended by stop alone
				d.fail(errors.New("the election ended by itself"))
				return
			}
			d.onElection(ev)
		case c := <-d.changes:
			d.onHost(c)
		case o := <-d.tap.Observations():
			d.conditions.observe(o)
		case r := <-d.results:
			d.stepHealth(health.Input(r))
		case <-checks.C:
			d.stepHealth(health.TimerFired{})
		case f := <-requests:
			f()
		case <-d.retry.C:
			d.dirty = true
		case <-second.C:
			d.everySecond()
			d.serves(true)
		case <-ctx.Done():
			return
		}
		d.settle()
		d.serves(false)
	}
}

// settle brings the host to the desired state and tells the world. What could
// not be done is logged, shown as a condition, and tried again.
func (d *director) settle() reconcile.Report {
	if !d.dirty || !d.synced {
		return reconcile.Report{}
	}
	d.dirty = false
	d.state = d.desired()
	if d.book.lacks(d.state.Addresses) {
		d.remember() // before they are there: killed in between, nobody else knows whose they are
	}
	d.assignSync() // before the addresses: the first packets are announced already
	rep := d.apply(d.state)
	d.tellSync(rep)
	for _, ev := range d.pending {
		d.notifier.Handle(ev)
	}
	d.pending = nil
	d.publish()
	d.remember()
	return rep
}

// desired computes the State from everything that is known.
func (d *director) desired() desired.State {
	c := d.loaded.cfg
	if d.host == nil {
		h := d.facts.host(d.net, c)
		d.host, d.hostAt = &h, time.Now()
	}
	return desired.Compute(c, d.active, d.desiredHealth(), *d.host)
}

// desiredHealth lists the verdicts in the order of the configuration.
func (d *director) desiredHealth() desired.Health {
	st := d.health.Status()
	var out desired.Health
	for _, vs := range d.loaded.cfg.VirtualServers {
		svc, ok := st.Service(vs.ID())
		s := desired.Service{QuorumUp: !ok || svc.QuorumUp}
		for _, rs := range vs.RealServers {
			server := desired.Server{Up: true, Weight: rs.Weight}
			if r, ok := svc.Server(netip.AddrPortFrom(rs.Addr, rs.Port)); ok {
				server = desired.Server{Up: r.Up, Weight: r.Weight}
			}
			s.Servers = append(s.Servers, server)
		}
		out = append(out, s)
	}
	return out
}

// apply makes the State so, as far as possible, and arms a retry if not.
func (d *director) apply(want desired.State) reconcile.Report {
	rep := d.rec.Set(want)
	for _, op := range rep.Done {
		switch op.(type) {
		case reconcile.AddAddress, reconcile.RemoveAddress:
			d.log.Info(op.String())
		default:
			d.log.Debug(op.String())
		}
	}
	err := rep.Err()
	if news := d.conditions.applied(err); news && err != nil {
		d.log.Error("the host is not as it should be: trying again", "err", err)
	} else if news {
		d.log.Info("the host is as it should be again")
	}
	if rep.Retry() {
		d.retry.Reset(retryAfter)
	}
	d.announceable(rep)
	return rep
}

// announceable tells the election which instances have all their addresses
// now: those are announced by ARP.
func (d *director) announceable(rep reconcile.Report) {
	if rep.Read != nil {
		return
	}
	failed := map[string]bool{}
	for _, f := range rep.Failed {
		if op, ok := f.Op.(reconcile.AddAddress); ok {
			failed[bookKey(op.Address.Interface, op.Address.Prefix)] = true
		}
	}
	for name := range d.unready {
		if !d.lacks(name, failed) {
			delete(d.unready, name)
			d.driver.Send(vrrp.AddressesReady{Instance: name})
		}
	}
}

// lacks reports whether an address of the instance could not be put on.
func (d *director) lacks(instance string, failed map[string]bool) bool {
	for _, in := range d.loaded.cfg.Instances {
		if in.Name != instance {
			continue
		}
		for _, a := range in.Addresses {
			if failed[bookKey(a.Dev, a.Prefix)] {
				return true
			}
		}
	}
	return false
}

// onElection takes one event of the VRRP driver.
func (d *director) onElection(ev vrrpio.Event) {
	if ev.Trouble != nil {
		d.conditions.trouble(*ev.Trouble)
		return
	}
	switch a := ev.Action.(type) {
	case vrrp.Transition:
		d.onTransition(ev.Time, a)
	case vrrp.GroupTransition:
		d.tell(event.GroupTransition{Time: ev.Time, Group: a.Group, State: a.To.String(), Reason: a.Reason})
	case vrrp.PriorityChanged:
		d.dirty = true
	case vrrp.ScriptChanged:
		d.dirty = true
	case vrrp.Contended:
		d.log.Debug("advert of lower priority heard", "instance", a.Instance, "from", a.From, "priority", int(a.Priority), "ours", d.priority(a.Instance))
		d.tell(event.LowerPriority{Time: ev.Time, Instance: a.Instance, From: a.From, Priority: int(a.Priority)})
	case vrrp.SendPacket, vrrp.Announce, vrrp.Ignored: // the driver's own business
	}
}

func (d *director) onTransition(now time.Time, t vrrp.Transition) {
	// It may have been on its way here when a reload gave it another name.
	if name, ok := d.renamed[t.Instance]; ok && d.instance(t.Instance) == nil {
		t.Instance = name
	}
	delete(d.unready, t.Instance)
	delete(d.active, t.Instance)
	if t.To == vrrp.Active {
		d.active[t.Instance] = true
		d.unready[t.Instance] = true
	}
	d.dirty = true
	state := t.To.String()
	if t.Reason == vrrp.ReasonRemoved {
		state = "FAULT" // keepalived: a removed instance is told as FAULT
	}
	if t.Reason == vrrp.ReasonResumed && d.told[t.Instance] == state {
		return // to the world nothing happened
	}
	d.told[t.Instance] = state
	d.tell(event.VRRPTransition{
		Time: now, Instance: t.Instance, From: t.From.String(), State: state,
		Priority: int(t.Priority), Reason: t.Reason,
	})
}

// onHost takes one change of the host's links and addresses.
func (d *director) onHost(c hostnet.Change) {
	if d.facts.apply(c) {
		d.host, d.dirty = nil, true
	}
	switch c := c.(type) {
	case hostnet.LinkChange:
		d.driver.Send(vrrp.LinkChanged{Interface: c.Interface, Up: c.Up})
	case hostnet.PrimaryChange:
		d.driver.Send(vrrp.SourceChanged{Interface: c.Interface, Addr: c.Addr})
	case hostnet.AddressChange:
		if !c.Added {
			d.onAddressGone(c)
		}
	case hostnet.Synced:
		d.synced, d.dirty = true, true
		d.settle() // an adopted dataplane must be right before anything is answered
		d.driver.Send(d.begun)
	}
}

// serves tells that the director is ready: the host is as it should be and the
// election has begun, so that whoever asks next sees a state. An instance that
// waits for the first result of a script is not waited for longer than a tick.
func (d *director) serves(tick bool) {
	if !d.synced || d.serving {
		return
	}
	for _, in := range d.vrrpStatus().Machine.Instances {
		if in.State == vrrp.Initialize && !tick {
			return
		}
	}
	d.serving = true
	d.log.Info("serving")
	if d.o.DumpAtStart {
		d.logConfig()
	}
	d.publish()
	close(d.ready)
}

// onAddressGone tells the election of an address that somebody else removed.
// The change may be an old one of our own making, so the host is asked.
func (d *director) onAddressGone(c hostnet.AddressChange) {
	if len(d.active) == 0 || d.present(c) {
		return
	}
	for _, in := range d.loaded.cfg.Instances {
		if !d.active[in.Name] || d.unready[in.Name] {
			continue
		}
		for _, a := range in.Addresses {
			if a.Dev == c.Interface && a.Prefix == c.Prefix {
				d.log.Warn("a virtual address was removed by somebody else", "instance", in.Name, "iface", c.Interface, "address", c.Prefix)
				d.driver.Send(vrrp.AddressLost{Instance: in.Name, Addr: c.Prefix.Addr()})
			}
		}
	}
}

func (d *director) present(c hostnet.AddressChange) bool {
	have, err := d.net.Addresses()
	return err != nil || slices.ContainsFunc(have, func(a hostnet.Address) bool {
		return a.Interface == c.Interface && a.Prefix == c.Prefix
	})
}

// everySecond looks after what has no event of its own.
func (d *director) everySecond() {
	if time.Since(d.hostAt) > routesAfter {
		d.host, d.dirty = nil, true
	}
	d.ask()
	d.publish()
	d.remember()
}

// askEvery is how often the holders of a claimed address are asked for.
const askEvery = 5 * time.Second

// ask looks whether somebody else still holds an address of ours. The answer
// comes by the tap. An error is the interface's, which has a condition already.
func (d *director) ask() {
	now := time.Now()
	if now.Sub(d.asked) < askEvery {
		return
	}
	d.asked = now
	for _, q := range d.conditions.doubtful(now, d.views(d.vrrpStatus())) {
		if err := d.asker.Ask(q.iface, q.source, q.vip); err != nil {
			d.log.Debug("ask for a claimed address", "reason", err)
		}
	}
}

// remember writes down what a successor needs.
func (d *director) remember() {
	if !d.synced {
		return
	}
	h := d.health.Remember()
	election := d.vrrpStatus().Machine
	err := d.memory.write(remembered{
		Sources:   d.loaded.sources,
		VRRP:      resumesOf(election),
		Scripts:   election.Scripts,
		Health:    &h,
		Addresses: d.book.with(d.state.Addresses),
		Notified:  d.told,
	})
	d.conditions.forgetful(err)
}

// resumesOf takes from the election's picture what a successor goes on with.
func resumesOf(st vrrp.Status) []vrrp.Resume {
	out := make([]vrrp.Resume, 0, len(st.Instances))
	for _, in := range st.Instances {
		out = append(out, vrrp.Resume{Instance: in.Name, State: in.State, Sequence: in.Sequence, IPID: in.IPID})
	}
	return out
}
