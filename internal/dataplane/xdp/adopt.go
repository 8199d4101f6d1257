package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// adopt fills the mirror from what an earlier process left in the maps. The
// packet path goes on meanwhile. What makes no sense (a crash between two
// writes) is put right: a service that points at nothing is removed, a
// server that nobody lists drains.
func (t *table) adopt() error {
	if err := t.adoptDests(); err != nil {
		return err
	}
	var key prog.ServiceKey
	var rec prog.Service
	var bad []prog.ServiceKey
	for it := t.maps["services"].Iterate(); it.Next(&key, &rec); {
		if err := t.adoptService(key, rec); err != nil {
			bad = append(bad, key)
		}
	}
	for _, key := range bad {
		t.writes++
		if err := t.maps["services"].Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("map services: %w", err)
		}
	}
	return t.adoptOrphans()
}

// adoptDests reads the slots that are in use: those with an address.
func (t *table) adoptDests() error {
	n := len(t.dests)
	keys, recs := make([]uint32, n), make([]prog.Dest, n)
	var cursor ebpf.MapBatchCursor
	got, err := t.maps["dests"].BatchLookup(&cursor, keys, recs, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("map dests: %w", err)
	}
	for i := range got {
		slot, r := keys[i], recs[i]
		if r.Addr.B == ([16]byte{}) || int(slot) >= n {
			continue
		}
		d := &dest{slot: slot, rec: r}
		d.want = lvs.Destination{
			Addr: netip.AddrFrom16(r.Addr.B).Unmap(), Port: prog.Port(r.Port), Method: lvs.NAT,
			Weight: int(t.mem.counts[slot].Weight), UpperThreshold: r.Upper, LowerThreshold: r.Lower,
		}
		if r.Method == prog.MethodDR {
			d.want.Method = lvs.DR
		}
		d.hop = hop{
			resolved: r.Flags&prog.DestResolved != 0, local: r.Flags&prog.DestLocal != 0,
			ifindex: int(r.Ifindex), vlan: r.Vlan, dmac: r.Dmac, smac: r.Smac,
		}
		t.dests[slot] = d
	}
	return nil
}

func (t *table) adoptService(key prog.ServiceKey, rec prog.Service) error {
	k := lvsKeyOf(key)
	if int(rec.Id) >= len(t.ids) || t.ids[rec.Id] != nil {
		return fmt.Errorf("virtual service %s: id %d is no id or taken", k, rec.Id)
	}
	ring, spare := region{rec.RingOff, rec.RingLen}, region{rec.FbOff, rec.FbLen}
	if !t.regions.claim(ring) || !t.regions.claim(spare) {
		return fmt.Errorf("virtual service %s: its regions overlap others", k)
	}
	s := &service{key: k, id: rec.Id, rec: rec, live: true}
	var err error
	if s.slots, err = t.readRegion(ring); err != nil {
		return err
	}
	if s.fb, err = t.readRegion(spare); err != nil {
		return err
	}
	t.services[k], t.ids[rec.Id] = s, s
	return nil
}

func (t *table) readRegion(r region) ([]uint32, error) {
	if r.len == 0 {
		return nil, nil
	}
	out := make([]uint32, r.len)
	for i := range out {
		if err := t.maps["ring"].Lookup(r.off+uint32(i), &out[i]); err != nil {
			return nil, fmt.Errorf("map ring: %w", err)
		}
	}
	return out, nil
}

// adoptOrphans gives every server to its service. One whose service is gone
// drains under a service without a key: which one it was is not in the maps.
func (t *table) adoptOrphans() error {
	var errs []error
	for _, d := range t.dests {
		if d == nil {
			continue
		}
		id := d.rec.Service
		if int(id) >= len(t.ids) {
			id = 0
		}
		s := t.ids[id]
		if s == nil {
			s = &service{id: id}
			t.ids[id] = s
		}
		d.svc = s
		if d.rec.Flags&prog.DestAvailable == 0 || !s.live {
			errs = append(errs, t.removeDest(d))
			continue
		}
		s.dests = append(s.dests, d)
	}
	for _, s := range t.services {
		t.adoptOrder(s)
	}
	return errors.Join(errs...)
}

// adoptOrder puts a service's servers in list order, as far as its ring shows
// it; those not in the ring come last. It decides only where rr goes on.
func (t *table) adoptOrder(s *service) {
	at := func(d *dest) int {
		if i := slices.Index(s.slots, d.slot); i >= 0 {
			return i
		}
		return len(s.slots)
	}
	slices.SortStableFunc(s.dests, func(a, b *dest) int { return at(a) - at(b) })
}
