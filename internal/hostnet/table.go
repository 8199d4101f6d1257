package hostnet

import (
	"maps"
	"net/netip"
	"slices"
)

// table is what a monitor knows of the host. Its methods take what the kernel
// told and return what that changed.
type table struct {
	links     map[int]Link
	addrs     map[int][]ifaddr // by interface, in the kernel's order
	primaries map[int]netip.Addr
	virtual   map[netip.Addr]bool
}

func newTable() *table {
	return &table{links: map[int]Link{}, addrs: map[int][]ifaddr{}, primaries: map[int]netip.Addr{}}
}

// replace makes the table what a dump says.
func (t *table) replace(links []Link, addrs []ifaddr) []Change {
	var out []Change
	present := map[int]bool{}
	for _, l := range links {
		present[l.Index] = true
	}
	for _, index := range slices.Sorted(maps.Keys(t.links)) {
		if !present[index] {
			out = append(out, t.removeLink(index)...)
		}
	}
	for _, l := range links {
		out = append(out, t.setLink(l)...)
	}
	byIndex := map[int][]ifaddr{}
	for _, a := range addrs {
		byIndex[a.index] = append(byIndex[a.index], a)
	}
	for _, index := range slices.Sorted(maps.Keys(t.links)) {
		out = append(out, t.replaceAddrs(index, byIndex[index])...)
	}
	return out
}

// replaceAddrs takes the dump's order as well.
func (t *table) replaceAddrs(index int, addrs []ifaddr) []Change {
	var out []Change
	old := t.addrs[index]
	for _, a := range old {
		if find(addrs, a.prefix) < 0 {
			out = append(out, t.addressChange(a, false))
		}
	}
	for _, a := range addrs {
		if find(old, a.prefix) < 0 {
			out = append(out, t.addressChange(a, true))
		}
	}
	t.addrs[index] = addrs
	return append(out, t.checkPrimary(index)...)
}

// setLink takes a new or changed interface.
func (t *table) setLink(l Link) []Change {
	var out []Change
	old, known := t.links[l.Index]
	if known && old.Name != l.Name { // renamed: another interface to everybody
		addrs := t.addrs[l.Index]
		out = t.removeLink(l.Index)
		t.links[l.Index] = l
		out = append(out, LinkChange{Interface: l.Name, Index: l.Index, Up: l.Up})
		return append(out, t.replaceAddrs(l.Index, addrs)...)
	}
	t.links[l.Index] = l
	if known && old.Up == l.Up {
		return nil
	}
	return []Change{LinkChange{Interface: l.Name, Index: l.Index, Up: l.Up}}
}

// removeLink takes an interface's end, and that of its addresses with it.
func (t *table) removeLink(index int) []Change {
	l, known := t.links[index]
	if !known {
		return nil
	}
	out := t.replaceAddrs(index, nil)
	delete(t.links, index)
	delete(t.addrs, index)
	delete(t.primaries, index)
	return append(out, LinkChange{Interface: l.Name, Index: index, Gone: true})
}

// setAddr takes a new or changed address.
func (t *table) setAddr(a ifaddr) []Change {
	if _, known := t.links[a.index]; !known {
		return nil // the interface's end overtook it
	}
	var out []Change
	if i := find(t.addrs[a.index], a.prefix); i >= 0 {
		t.addrs[a.index][i] = a
	} else {
		t.addrs[a.index] = append(t.addrs[a.index], a)
		out = append(out, t.addressChange(a, true))
	}
	return append(out, t.checkPrimary(a.index)...)
}

// removeAddr takes an address's end.
func (t *table) removeAddr(a ifaddr) []Change {
	i := find(t.addrs[a.index], a.prefix)
	if i < 0 {
		return nil
	}
	a = t.addrs[a.index][i]
	t.addrs[a.index] = slices.Delete(t.addrs[a.index], i, i+1)
	return append([]Change{t.addressChange(a, false)}, t.checkPrimary(a.index)...)
}

// setVirtual takes another set of virtual addresses.
func (t *table) setVirtual(virtual map[netip.Addr]bool) []Change {
	t.virtual = virtual
	var out []Change
	for _, index := range slices.Sorted(maps.Keys(t.links)) {
		out = append(out, t.checkPrimary(index)...)
	}
	return out
}

func (t *table) checkPrimary(index int) []Change {
	p := primary(t.addrs[index], t.virtual)
	if t.primaries[index] == p {
		return nil
	}
	t.primaries[index] = p
	return []Change{PrimaryChange{Interface: t.links[index].Name, Addr: p}}
}

func (t *table) addressChange(a ifaddr, added bool) Change {
	return AddressChange{
		Interface: t.links[a.index].Name, Prefix: a.prefix,
		Added: added, Marked: a.proto == Protocol,
	}
}

func find(addrs []ifaddr, p netip.Prefix) int {
	return slices.IndexFunc(addrs, func(a ifaddr) bool { return a.prefix == p })
}
