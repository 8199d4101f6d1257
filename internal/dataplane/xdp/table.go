package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/lvs/sched"
)

// table is what the service and destination maps hold, and how they get to
// hold what is desired. Every record has its mirror here, so that what is
// right already is not written again. Callers hold Dataplane.mu.
type table struct {
	maps  map[string]*ebpf.Map
	mem   *memory
	hops  func(netip.Addr) hop
	cache map[netip.Addr]hop // what hops said during this Set or rehop
	noNAT error              // why NAT is refused at present

	services map[lvs.ServiceKey]*service
	order    []lvs.ServiceKey            // of the last Set
	gone     map[lvs.ServiceKey]*service // removed, with servers that drain
	ids      []*service                  // by service.id, removed ones too
	dests    []*dest                     // by slot
	spare    int                         // no slot below it is free
	regions  *regions
	writes   uint64 // map writes so far
}

// service is one virtual service in the maps.
type service struct {
	key     lvs.ServiceKey
	id      uint32
	want    lvs.ServiceSet           // as Set gave it
	rec     prog.Service             // as in the map
	live    bool                     // in the services map
	settled bool                     // want is what the maps hold
	model   *sched.Model             // nil until the first Set after an adoption
	ring    sched.Ring               // rr, wrr: as laid out
	pos     uint32                   // rr, wrr: the cursor as written last
	slots   []uint32                 // contents of the ring region
	fb      []uint32                 // contents of the fallback region
	dests   []*dest                  // live, in LVS's list order
	removed []*dest                  // gone from the configuration, connections live on
	names   map[netip.AddrPort]*dest // of dests and removed; nil: to be made
	rate    estimate
}

// dest is one slot of the dests map.
type dest struct {
	slot  uint32
	svc   *service
	want  lvs.Destination
	hop   hop
	rec   prog.Dest // as in the map
	rate  estimate
	empty int // scanner passes since removal that found no entry naming it
}

func newTable(maps map[string]*ebpf.Map, mem *memory, hops func(netip.Addr) hop) *table {
	return &table{
		maps: maps, mem: mem, hops: hops, cache: map[netip.Addr]hop{},
		services: map[lvs.ServiceKey]*service{}, gone: map[lvs.ServiceKey]*service{},
		ids:     make([]*service, maps["srun"].MaxEntries()),
		dests:   make([]*dest, maps["dests"].MaxEntries()),
		regions: newRegions(maps["ring"].MaxEntries()),
	}
}

// set makes want the whole of what is balanced.
func (t *table) set(want []lvs.ServiceSet) error {
	var errs []error
	seen := map[lvs.ServiceKey]bool{}
	order := make([]lvs.ServiceKey, 0, len(want))
	for _, w := range want {
		if seen[w.ServiceKey] {
			errs = append(errs, fmt.Errorf("virtual service %s: given twice, the first is used", w.ServiceKey))
			continue
		}
		seen[w.ServiceKey] = true
		order = append(order, w.ServiceKey)
		if err := t.apply(w); err != nil {
			errs = append(errs, fmt.Errorf("virtual service %s: %w", w.ServiceKey, err))
		}
	}
	for key, s := range t.services {
		if !seen[key] {
			if err := t.removeService(s); err != nil {
				errs = append(errs, fmt.Errorf("virtual service %s: %w", key, err))
			}
		}
	}
	t.order = order
	t.setAnyPort()
	return errors.Join(errs...)
}

// check says what of a service this backend cannot do.
func check(w lvs.ServiceSet) error {
	switch {
	case w.FWMark != 0:
		return errors.New("firewall marks are not supported yet by the XDP dataplane")
	case w.Protocol != lvs.TCP && w.Protocol != lvs.UDP:
		return fmt.Errorf("protocol %s is not supported yet", w.Protocol)
	case !w.Addr.Is4():
		return fmt.Errorf("address %s: only IPv4 is supported yet", w.Addr)
	case !w.Scheduler.Supported():
		return fmt.Errorf("scheduler %q: %w", w.Scheduler, sched.ErrUnsupported)
	}
	return nil
}

// apply makes one service what w says. Servers are written first, then the
// ring that names them, then the service that points at the ring; what the
// packet path follows is whole at any moment.
func (t *table) apply(w lvs.ServiceSet) error {
	if err := check(w); err != nil {
		return err
	}
	s := t.services[w.ServiceKey]
	if s == nil {
		var err error
		if s, err = t.newService(w.ServiceKey); err != nil {
			return err
		}
	}
	if s.settled && s.want.Service == w.Service && slices.Equal(s.want.Destinations, w.Destinations) {
		return nil
	}
	s.settled, s.names = false, nil
	w.Destinations = slices.Clone(w.Destinations)
	dests, errs := t.applyDests(s, w)
	if err := t.schedule(s, w, dests); err != nil {
		// The ring names the old servers still; the new ones are taken back.
		return errors.Join(append(errs, err, t.removeBut(dests, s.dests))...)
	}
	err := errors.Join(append(errs, t.removeBut(s.dests, dests))...)
	s.dests, s.want, s.settled = dests, w, err == nil
	return err
}

// removeBut removes those of dests that are not in keep.
func (t *table) removeBut(dests, keep []*dest) error {
	var errs []error
	for _, d := range dests {
		if !slices.Contains(keep, d) {
			errs = append(errs, t.removeDest(d))
		}
	}
	return errors.Join(errs...)
}

// newService takes an id for a service that is not in the maps, the one it had
// before if servers of it are still draining.
func (t *table) newService(key lvs.ServiceKey) (*service, error) {
	if s := t.gone[key]; s != nil {
		delete(t.gone, key)
		t.services[key] = s
		return s, nil
	}
	id := slices.Index(t.ids, nil)
	if id < 0 {
		return nil, fmt.Errorf("no room: %d services are in use or draining", len(t.ids))
	}
	s := &service{key: key, id: uint32(id)}
	if err := t.put("srun", s.id, &prog.ServiceRun{}); err != nil {
		return nil, err
	}
	if err := t.zero("sstats", s.id); err != nil {
		return nil, err
	}
	t.ids[id], t.services[key] = s, s
	return s, nil
}

// applyDests writes the servers of w and returns them in LVS's list order. One
// that cannot be had is left out, with an error.
func (t *table) applyDests(s *service, w lvs.ServiceSet) (dests []*dest, errs []error) {
	for _, wd := range sched.ListOrder(w.Destinations) {
		if slices.ContainsFunc(dests, func(d *dest) bool { return d.want.AddrPort() == wd.AddrPort() }) {
			errs = append(errs, fmt.Errorf("server %s: given twice", wd.AddrPort()))
			continue
		}
		d, err := t.applyDest(s, wd)
		if err != nil {
			errs = append(errs, fmt.Errorf("server %s: %w", wd.AddrPort(), err))
			continue
		}
		dests = append(dests, d)
	}
	return dests, errs
}

func (t *table) applyDest(s *service, w lvs.Destination) (*dest, error) {
	switch {
	case !w.Addr.Is4():
		return nil, errors.New("only IPv4 is supported yet")
	case w.Method != lvs.DR && w.Method != lvs.NAT:
		return nil, fmt.Errorf("forwarding method %s is not supported yet", w.Method)
	case w.Method == lvs.NAT && t.noNAT != nil:
		return nil, t.noNAT
	case w.Weight < 0 || int64(w.Weight) > 1<<31-1:
		return nil, fmt.Errorf("weight %d must be between 0 and 2147483647", w.Weight)
	}
	same := func(d *dest) bool { return d.want.AddrPort() == w.AddrPort() }
	var d *dest
	if i := slices.IndexFunc(s.dests, same); i >= 0 {
		d = s.dests[i]
	} else if i := slices.IndexFunc(s.removed, same); i >= 0 {
		// LVS's trash: back before its connections are gone, it is the same
		// server and they go on.
		d = s.removed[i]
		s.removed = slices.Delete(s.removed, i, i+1)
	} else {
		var err error
		if d, err = t.newDest(s); err != nil {
			return nil, err
		}
	}
	d.want, d.empty = w, 0
	d.hop = t.hop(w.Addr)
	if err := t.writeDest(d, true); err != nil {
		return nil, err
	}
	t.writeCount(d, uint32(w.Weight), true)
	return d, nil
}

// newDest takes a free slot. Its generation is one more than its last owner's,
// which makes every entry that could still name the slot dead.
func (t *table) newDest(s *service) (*dest, error) {
	slot := t.spare
	for slot < len(t.dests) && t.dests[slot] != nil {
		slot++
	}
	t.spare = slot
	if slot == len(t.dests) {
		return nil, fmt.Errorf("no room: %d servers are in use or draining", len(t.dests))
	}
	d := &dest{slot: uint32(slot), svc: s}
	if err := t.maps["dests"].Lookup(d.slot, &d.rec); err != nil {
		return nil, fmt.Errorf("slot %d: %w", slot, err)
	}
	d.rec.Generation++
	if err := t.zero("dstats", d.slot); err != nil {
		return nil, err
	}
	t.dests[slot] = d
	return d, nil
}

// owner is who has a slot, if it still is who had it in this generation.
func (t *table) owner(slot, generation uint32) *dest {
	if int(slot) >= len(t.dests) || t.dests[slot] == nil || t.dests[slot].rec.Generation != generation {
		return nil
	}
	return t.dests[slot]
}

// available reports whether the server is configured, not draining.
func (d *dest) available() bool { return d.rec.Flags&prog.DestAvailable != 0 }

// record is what the dests map should hold for d.
func (d *dest) record(available bool) prog.Dest {
	r := prog.Dest{Generation: d.rec.Generation, Service: d.svc.id, Upper: d.want.UpperThreshold, Lower: d.want.LowerThreshold}
	r.Addr.B = d.want.Addr.As16()
	r.Port, r.Method = prog.Port(d.want.Port), prog.MethodNAT
	if d.want.Method == lvs.DR {
		r.Method = prog.MethodDR
	}
	if available {
		r.Flags |= prog.DestAvailable
	}
	*lastWeight(&r) = *lastWeight(&d.rec)
	if d.want.Weight > 0 {
		*lastWeight(&r) = uint32(d.want.Weight)
	}
	switch h := d.hop; {
	case h.local:
		r.Flags |= prog.DestLocal
	case h.resolved:
		r.Flags |= prog.DestResolved
		r.Ifindex, r.Vlan, r.Dmac, r.Smac = uint32(h.ifindex), h.vlan, h.dmac, h.smac
	}
	return r
}

func (t *table) writeDest(d *dest, available bool) error {
	r := d.record(available)
	if r == d.rec {
		return nil
	}
	if err := t.put("dests", d.slot, &r); err != nil {
		return err
	}
	d.rec = r
	return nil
}

// writeCount sets what the schedulers look at.
func (t *table) writeCount(d *dest, weight uint32, available bool) {
	c := &t.mem.counts[d.slot]
	if atomic.LoadUint32(&c.Weight) != weight {
		atomic.StoreUint32(&c.Weight, weight)
		t.writes++
	}
	change := clearBits
	if available {
		change = setBits
	}
	if change(&c.Flags, prog.DcountAvailable) {
		t.writes++
	}
	// A changed threshold rules at once, not at the next connection.
	total := atomic.LoadInt32(&c.Active) + atomic.LoadInt32(&c.Inactive)
	if overloaded(d.want, total, atomic.LoadUint32(&c.Flags)&prog.DcountOverload != 0) {
		setBits(&c.Flags, prog.DcountOverload)
	} else {
		clearBits(&c.Flags, prog.DcountOverload)
	}
}

// overloaded is LVS's rule for the overload mark (abi.h, COUNTS).
func overloaded(d lvs.Destination, total int32, was bool) bool {
	n, upper, lower := uint64(max(total, 0)), uint64(d.UpperThreshold), uint64(d.LowerThreshold)
	switch {
	case upper == 0:
		return false
	case n >= upper:
		return true
	case lower > 0:
		return was && n >= lower
	}
	return was && n*4 >= upper*3
}

// removeDest takes d out of the configuration: nothing is scheduled to it, and
// packets of its connections are dropped (expire_nodest_conn 0). It keeps its
// slot until the scanner finds that nothing names it.
func (t *table) removeDest(d *dest) error {
	t.writeCount(d, 0, false)
	d.empty = 0
	d.svc.removed, d.svc.names = append(d.svc.removed, d), nil
	if err := t.writeDest(d, false); err != nil {
		return fmt.Errorf("server %s: %w", d.want.AddrPort(), err)
	}
	return nil
}

func (t *table) removeService(s *service) error {
	var errs []error
	if s.live {
		t.writes++
		key := serviceKeyOf(s.key)
		if err := t.maps["services"].Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	for _, d := range s.dests {
		errs = append(errs, t.removeDest(d))
	}
	now := time.Now()
	t.regions.give(region{s.rec.RingOff, s.rec.RingLen}, now)
	t.regions.give(region{s.rec.FbOff, s.rec.FbLen}, now)
	delete(t.services, s.key)
	removed := s.removed
	// Back again, it is a new service, but with its old servers.
	*s = service{key: s.key, id: s.id, removed: removed}
	if len(removed) == 0 {
		t.ids[s.id] = nil
	} else {
		t.gone[s.key] = s
	}
	return errors.Join(errs...)
}

// reap frees the slot of a removed server that nothing names any more.
func (t *table) reap(d *dest) error {
	d.rec = prog.Dest{Generation: d.rec.Generation + 1}
	if err := t.put("dests", d.slot, &d.rec); err != nil {
		return err
	}
	s := d.svc
	s.removed, s.names = slices.DeleteFunc(s.removed, func(o *dest) bool { return o == d }), nil
	t.dests[d.slot] = nil
	t.spare = min(t.spare, int(d.slot))
	if len(s.removed) == 0 && t.services[s.key] != s {
		t.ids[s.id] = nil
		if t.gone[s.key] == s {
			delete(t.gone, s.key)
		}
	}
	return nil
}

// hop asks once for an address that many services share.
func (t *table) hop(a netip.Addr) hop {
	h, ok := t.cache[a]
	if !ok {
		h = t.hops(a)
		t.cache[a] = h
	}
	return h
}

// rehop writes where frames to the servers go, after the way to some changed.
func (t *table) rehop(changed func(*dest) bool) error {
	var errs []error
	clear(t.cache)
	for _, d := range t.dests {
		if d == nil || !changed(d) {
			continue
		}
		d.hop = t.hop(d.want.Addr)
		errs = append(errs, t.writeDest(d, d.available()))
	}
	return errors.Join(errs...)
}

func (t *table) setAnyPort() {
	any := false
	for key := range t.services {
		any = any || key.Port == 0
	}
	change := clearBits
	if any {
		change = setBits
	}
	if change(&t.mem.settings.Flags, prog.SettingAnyPort) {
		t.writes++
	}
}

func (t *table) put(name string, key uint32, value any) error {
	t.writes++
	if err := t.maps[name].Put(key, value); err != nil {
		return fmt.Errorf("map %s, slot %d: %w", name, key, err)
	}
	return nil
}

// zero clears the counters of a slot on every CPU.
func (t *table) zero(name string, slot uint32) error {
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("map %s: %w", name, err)
	}
	return t.put(name, slot, make([]prog.Counters, n))
}
