package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// counters reads the first n slots of dstats or sstats, summed over the CPUs.
func (t *table) counters(name string, n int) ([]lvs.Counters, error) {
	out := make([]lvs.Counters, n)
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	const chunk = 1024
	keys, values := make([]uint32, chunk), make([]prog.Counters, chunk*cpus)
	var cursor ebpf.MapBatchCursor
	for at := 0; at < n; {
		got, err := t.maps[name].BatchLookup(&cursor, keys, values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, fmt.Errorf("map %s: %w", name, err)
		}
		for i := range got {
			if int(keys[i]) < n {
				out[keys[i]] = sum(values[i*cpus : (i+1)*cpus])
			}
		}
		if at += got; err != nil || got == 0 {
			break
		}
	}
	return out, nil
}

func sum(perCPU []prog.Counters) lvs.Counters {
	var c lvs.Counters
	for _, r := range perCPU {
		c.Conns += r.Conns
		c.InPkts += r.InPkts
		c.InBytes += r.InBytes
		c.OutPkts += r.OutPkts
		c.OutBytes += r.OutBytes
	}
	return c
}

// used returns how many slots of dests and ids cover all that are in use.
func (t *table) used() (dests, ids int) {
	dests, ids = len(t.dests), len(t.ids)
	for dests > 0 && t.dests[dests-1] == nil {
		dests--
	}
	for ids > 0 && t.ids[ids-1] == nil {
		ids--
	}
	return dests, ids
}

func (t *table) allCounters() (dests, services []lvs.Counters, err error) {
	nd, ns := t.used()
	if dests, err = t.counters("dstats", nd); err != nil {
		return nil, nil, err
	}
	services, err = t.counters("sstats", ns)
	return dests, services, err
}

// estimate moves every rate on by one period.
func (d *Dataplane) estimate() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	dests, services, err := d.tab.allCounters()
	if err != nil {
		return err
	}
	for i, c := range dests {
		if r := d.tab.dests[i]; r != nil {
			r.rate.step(c)
		}
	}
	for i, c := range services {
		if s := d.tab.ids[i]; s != nil {
			s.rate.step(c)
		}
	}
	return nil
}

// Services returns what Set was given with live counts, counters and rates, in
// the order in which it was given. It is empty before the first Set.
func (d *Dataplane) Services() []lvs.ServiceStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	dests, services, err := d.tab.allCounters()
	if err != nil {
		d.log.Warn("counters not read", "reason", err)
		return nil
	}
	out := make([]lvs.ServiceStatus, 0, len(d.tab.order))
	for _, key := range d.tab.order {
		s := d.tab.services[key]
		if s == nil {
			continue // refused by Set
		}
		st := lvs.ServiceStatus{Service: s.want.Service, Counters: services[s.id], Rates: s.rate.rates()}
		for _, r := range slices.Backward(s.dests) { // list order is the configuration's, backwards
			c := &d.obj.mem.counts[r.slot]
			st.Destinations = append(st.Destinations, lvs.DestinationStatus{
				Destination: r.want,
				Active:      uint32(max(0, atomic.LoadInt32(&c.Active))),
				Inactive:    uint32(max(0, atomic.LoadInt32(&c.Inactive))),
				Counters:    dests[r.slot], Rates: r.rate.rates(),
			})
		}
		out = append(out, st)
	}
	return out
}

// Connections yields every living entry of the connection table once, as
// `ipvs -Lnc` lists them; the order is the table's. Entries that come or go
// meanwhile may be in it or not.
func (d *Dataplane) Connections(yield func(lvs.Connection) bool) {
	for _, c := range d.connections() {
		if !yield(c) {
			return
		}
	}
}

// connections copies the table first, so that a slow reader holds up nobody.
func (d *Dataplane) connections() []lvs.Connection {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	now, err := d.clock.now()
	if err != nil {
		d.log.Warn("connections not listed", "reason", err)
		return nil
	}
	var out []lvs.Connection
	for i := range d.obj.mem.conns {
		out = d.appendSet(out, &d.obj.mem.conns[i], now)
	}
	if out, err = d.appendStash(out, now); err != nil {
		d.log.Warn("connections of the stash not listed", "reason", err)
	}
	return out
}

// Status says how the traffic is carried right now. The number of entries is
// that of the scanner's last pass, at most a second old while Run runs.
func (d *Dataplane) Status() snapshot.Dataplane {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := snapshot.Dataplane{Backend: "xdp", Adopted: d.obj.adopted, Reasons: map[string]uint64{}}
	if d.closed {
		return s
	}
	s.Interfaces = d.hooks.status()
	var reasons [prog.XDPReasonREASON_MAX]uint64
	for i := range reasons {
		var perCPU []uint64
		if err := d.obj.maps["reasons"].Lookup(uint32(i), &perCPU); err != nil {
			continue // only if another version made the map smaller
		}
		for _, n := range perCPU {
			reasons[i] += n
		}
		if reasons[i] > 0 {
			s.Reasons[prog.Reason(i).String()] = reasons[i]
		}
	}
	s.Connections = snapshot.ConnectionTable{
		Entries:   d.scan.lastEntries,
		Capacity:  uint64(len(d.obj.mem.conns)) * prog.Ways,
		Stash:     uint64(max(0, atomic.LoadInt32(&d.obj.mem.runtime.StashCount))),
		Stateless: reasons[prog.XDPReasonREASON_STATELESS],
		Reclaimed: reasons[prog.XDPReasonREASON_RECLAIMED],
	}
	return s
}

// Conditions returns the lasting problems of the dataplane: an interface that
// is missing or could not be attached, a real server whose MAC address is not
// known, a full connection table.
func (d *Dataplane) Conditions() []snapshot.Condition {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	var out []snapshot.Condition
	for _, name := range d.hooks.wanted {
		switch a, err := d.hooks.attached[name], d.hooks.failed[name]; {
		case err != nil:
			out = append(out, snapshot.Condition{
				Code: "not-attached", Object: name, What: "packets on " + name + " are not balanced: " + err.Error(),
				Fix: "free the hook, or let kaname choose: xdp_mode auto, or dataplane tc, in block kaname",
			})
		case a == nil:
			out = append(out, snapshot.Condition{Code: "interface-missing", Object: name, What: "there is no interface " + name, Fix: "it is attached when it appears; check the name"})
		case a.mode == Generic && d.hooks.mode == Auto:
			out = append(out, snapshot.Condition{Code: "xdp-generic", Object: name, What: "the dataplane runs in generic XDP, the slowest mode", Cause: a.why})
		}
	}
	seen := map[netip.Addr]bool{}
	for _, r := range d.tab.dests {
		if r == nil || !r.available() || r.hop.resolved && r.hop.why == "" || seen[r.want.Addr] {
			continue
		}
		seen[r.want.Addr] = true
		out = append(out, snapshot.Condition{Code: "server-unresolved", Object: r.want.Addr.String(), What: r.hop.why, Cause: "the server is off, or not on this segment", Fix: "ip neigh; ip route get " + r.want.Addr.String()})
	}
	if n, room := d.scan.lastEntries, uint64(len(d.obj.mem.conns))*prog.Ways; n > room/10*9 {
		out = append(out, snapshot.Condition{Code: "connection-table-full", Object: "connections", What: fmt.Sprintf("%d of %d entries are in use", n, room), Fix: "ask for more connections; a new size needs a stop and a start"})
	}
	return d.dated(out)
}

// dated stamps conditions with when they were seen first.
func (d *Dataplane) dated(cs []snapshot.Condition) []snapshot.Condition {
	now := map[string]time.Time{}
	for i := range cs {
		key := cs[i].Code + " " + cs[i].Object
		if now[key] = d.since[key]; now[key].IsZero() {
			now[key] = time.Now()
		}
		cs[i].Since = now[key]
	}
	d.since = now
	return cs
}

// macs tells the packet path which frames are addressed to this host, which
// matters where an interface hears others' frames too: as a bridge's port,
// listening for somebody, or as a veth, which has no filter: frames that a
// switch floods for a dead master must not be balanced by its backup.
func (d *Dataplane) macs() error {
	links, err := d.nl.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("links: %w", err)
	}
	promiscuous := false
	want := map[uint64]bool{}
	for _, l := range links {
		a := l.Attrs()
		if len(a.HardwareAddr) == 6 {
			want[macKey(a.HardwareAddr)] = true
		}
		if h := d.hooks.attached[a.Name]; h != nil && (a.Promisc > 0 || a.MasterIndex != 0 || h.driver == "veth") {
			promiscuous = true
		}
	}
	if err := d.syncMACs(want); err != nil {
		return err
	}
	change := clearBits
	if promiscuous {
		change = setBits
	}
	change(&d.obj.mem.settings.Flags, prog.SettingCheckMAC)
	return nil
}

func (d *Dataplane) syncMACs(want map[uint64]bool) error {
	m := d.obj.maps["macs"]
	var key uint64
	var v uint32
	var gone []uint64
	for it := m.Iterate(); it.Next(&key, &v); {
		if !want[key] {
			gone = append(gone, key)
		}
		delete(want, key)
	}
	for key := range want {
		if err := m.Put(key, uint32(1)); err != nil {
			return fmt.Errorf("map macs: %w", err)
		}
	}
	for _, key := range gone {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("map macs: %w", err)
		}
	}
	return nil
}

func macKey(m net.HardwareAddr) uint64 {
	var k uint64
	for _, b := range m {
		k = k<<8 | uint64(b)
	}
	return k
}
