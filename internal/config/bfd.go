package config

import (
	"fmt"
	"slices"
)

// bfd builds a bfd_instance. Of two with the same name the first stays.
func (b *builder) bfd(l *line) {
	name, ok := l.objectName()
	if !ok {
		return
	}
	d := &BFD{
		Where: l.st.Pos().Place(), Name: name, MinRx: 10_000_000, MinTx: 10_000_000, IdleTx: 1_000_000_000, Multiplier: 5,
	}
	l.each(d, func(l *line) bool {
		if l.kw == "weight" {
			l.objectWeight(&d.Weight, &d.Reverse, 253)
			return true
		}
		return false
	})
	if !b.finishBFD(l, d) {
		return
	}
	if b.define(l, name, object{d.Where, d.Weight, d.Reverse}) {
		b.cfg.BFD = append(b.cfg.BFD, d)
	}
}

// finishBFD checks what a session needs and fills what depends on its family;
// false: it is dropped, and that has been reported.
func (b *builder) finishBFD(l *line, d *BFD) bool {
	switch {
	case len(d.Name) > 31:
		l.warn("name-too-long", fmt.Sprintf("bfd_instance %s has a name of more than 31 bytes and is dropped", d.Name), "a shorter name")
		return false
	case !d.NeighborIP.IsValid():
		l.warn("neighbor-missing", fmt.Sprintf("bfd_instance %s has no neighbor_ip and is dropped", d.Name), "neighbor_ip ADDRESS")
		return false
	case slices.ContainsFunc(b.cfg.BFD, func(o *BFD) bool { return o.NeighborIP == d.NeighborIP && o.Name != d.Name }):
		l.warn("duplicate-neighbor", fmt.Sprintf("bfd_instance %s has neighbor_ip %s as an instance above, and is dropped", d.Name, d.NeighborIP), "one bfd_instance a neighbor")
		return false
	case d.SourceIP.IsValid() && d.SourceIP.Is4() != d.NeighborIP.Is4():
		l.warn("other-family", fmt.Sprintf("bfd_instance %s: source_ip %s is of another family than neighbor_ip %s; the session is dropped", d.Name, d.SourceIP, d.NeighborIP), "")
		return false
	}
	if d.TTL == 0 {
		d.TTL = 255
		if d.NeighborIP.Is6() {
			d.TTL = 64
		}
	}
	if d.MaxHops > d.TTL {
		l.warn("invalid-value", fmt.Sprintf("bfd_instance %s: max_hops %d is above the TTL; %d is used", d.Name, d.MaxHops, d.TTL), "")
		d.MaxHops = d.TTL
	}
	if !d.VRRP && !d.Checker {
		d.VRRP, d.Checker = true, true
	}
	return true
}
