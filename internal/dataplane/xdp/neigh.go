package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hop is how a frame to a real server leaves this host.
type hop struct {
	resolved bool // all of the following but why is valid
	local    bool // the address is one of this host's
	ifindex  int  // the Ethernet device, below a VLAN interface
	vlan     uint16
	dmac     [6]byte
	smac     [6]byte
	why      string // why it is not resolved, for people
}

// ipOnLink names a neighbour: an address on the link of an interface.
type ipOnLink struct {
	ifindex int
	addr    netip.Addr
}

// neighbours answers where frames to real servers go, from the host's routes
// and neighbour table, and keeps the entries it needs alive. It belongs to one
// goroutine at a time.
type neighbours struct {
	nl *netlink.Handle
	// known is the last good link-layer address of each neighbour. An entry
	// that the kernel fails to confirm keeps it: a server that does not answer
	// is for health checks to take out, and forwarding to its old address
	// harms nobody in the meantime.
	known map[ipOnLink][6]byte
	bad   map[ipOnLink]bool // the kernel gave up asking
	// wanted are the neighbours that some real server needs.
	wanted map[ipOnLink]bool
	via    map[netip.Addr]ipOnLink // real server -> the neighbour on its way
	links  map[int]netlink.Link
}

func newNeighbours(nl *netlink.Handle) *neighbours {
	return &neighbours{
		nl:    nl,
		known: map[ipOnLink][6]byte{}, bad: map[ipOnLink]bool{},
		wanted: map[ipOnLink]bool{}, via: map[netip.Addr]ipOnLink{}, links: map[int]netlink.Link{},
	}
}

// read takes in the whole neighbour table.
func (n *neighbours) read() error {
	list, err := n.nl.NeighList(0, unix.AF_INET)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("neighbour table: %w", err)
	}
	for _, e := range list {
		n.learn(e, false)
	}
	return nil
}

// learn takes in one entry, or its deletion, and returns which neighbour it
// was about if what is known about it changed.
func (n *neighbours) learn(e netlink.Neigh, deleted bool) (ipOnLink, bool) {
	addr, ok := netip.AddrFromSlice(e.IP)
	if !ok || !addr.Unmap().Is4() {
		return ipOnLink{}, false
	}
	key := ipOnLink{e.LinkIndex, addr.Unmap()}
	const valid = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY |
		netlink.NUD_PROBE | netlink.NUD_PERMANENT | netlink.NUD_NOARP
	if deleted || e.State&valid == 0 || len(e.HardwareAddr) != 6 {
		if deleted && !n.wanted[key] {
			delete(n.known, key)
			delete(n.bad, key)
			return key, false
		}
		was := n.bad[key]
		failed := e.State&netlink.NUD_FAILED != 0
		if failed {
			n.bad[key] = true
		}
		return key, failed != was && n.wanted[key]
	}
	mac := [6]byte(e.HardwareAddr)
	if n.known[key] == mac && !n.bad[key] {
		return key, false
	}
	delete(n.bad, key)
	n.known[key] = mac
	return key, n.wanted[key]
}

// forgetLinks drops what is remembered of interfaces, after they changed.
func (n *neighbours) forgetLinks() { clear(n.links) }

func (n *neighbours) link(index int) (netlink.Link, error) {
	if l, ok := n.links[index]; ok {
		return l, nil
	}
	l, err := n.nl.LinkByIndex(index)
	if err != nil {
		return nil, err
	}
	n.links[index] = l
	return l, nil
}

// resolve finds the way to addr. It asks the kernel to resolve a neighbour
// that is not known, and the answer comes as a change of the neighbour table.
func (n *neighbours) resolve(addr netip.Addr) hop {
	h, key, iface := n.way(addr)
	if iface == "" {
		return h
	}
	n.via[addr] = key
	return n.finish(h, key, iface)
}

// way is the hop to addr but for its MAC address, the neighbour who has that,
// and the interface to him; "" is that hop is all there is to say.
func (n *neighbours) way(addr netip.Addr) (h hop, key ipOnLink, iface string) {
	routes, err := n.nl.RouteGet(net.IP(addr.AsSlice()))
	if err != nil || len(routes) == 0 {
		return hop{why: fmt.Sprintf("no route to %s", addr)}, key, ""
	}
	r := routes[0]
	if r.Type == unix.RTN_LOCAL {
		return hop{resolved: true, local: true}, key, ""
	}
	if r.Type != unix.RTN_UNICAST {
		return hop{why: fmt.Sprintf("the route to %s is no unicast route", addr)}, key, ""
	}
	next := addr
	if gw, ok := netip.AddrFromSlice(r.Gw); ok {
		next = gw.Unmap()
	}
	l, err := n.link(r.LinkIndex)
	if err != nil {
		return hop{why: fmt.Sprintf("interface %d of the route to %s: %v", r.LinkIndex, addr, err)}, key, ""
	}
	h = hop{ifindex: r.LinkIndex}
	if v, ok := l.(*netlink.Vlan); ok {
		h.vlan, h.ifindex = uint16(v.VlanId), v.ParentIndex
		if p, err := n.link(v.ParentIndex); err == nil && p.Type() == "vlan" {
			h.why = fmt.Sprintf("%s is a VLAN in a VLAN", l.Attrs().Name)
			return h, key, ""
		}
	}
	if a := l.Attrs(); len(a.HardwareAddr) != 6 || a.RawFlags&unix.IFF_NOARP != 0 || a.RawFlags&unix.IFF_POINTOPOINT != 0 {
		h.why = fmt.Sprintf("the way to %s leaves by %s, which is no Ethernet interface", addr, a.Name)
		return h, key, ""
	}
	copy(h.smac[:], l.Attrs().HardwareAddr)
	return h, ipOnLink{r.LinkIndex, next}, l.Attrs().Name
}

// client finds the way to a client. A neighbour that is not known is asked for,
// but not kept: clients come and go.
func (n *neighbours) client(addr netip.Addr) (hop, error) {
	h, key, iface := n.way(addr)
	if iface == "" {
		return h, nil
	}
	var known bool
	if h.dmac, known = n.known[key]; known {
		h.resolved = true
		return h, nil
	}
	h.why = fmt.Sprintf("no answer from %s on %s yet", key.addr, iface)
	return h, n.nl.NeighSet(&netlink.Neigh{
		LinkIndex: key.ifindex, Family: unix.AF_INET, IP: net.IP(key.addr.AsSlice()), Flags: netlink.NTF_USE,
	})
}

func (n *neighbours) finish(h hop, key ipOnLink, iface string) hop {
	mac, ok := n.known[key]
	if !n.wanted[key] || !ok {
		// Also for one that is known already: the request makes the kernel
		// manage the entry, that is, keep confirming it.
		n.wanted[key] = true
		if err := n.ask(key); err != nil && !ok {
			h.why = fmt.Sprintf("asking %s for %s: %v", iface, key.addr, err)
			return h
		}
	}
	if !ok {
		h.why = fmt.Sprintf("no answer from %s on %s yet", key.addr, iface)
		return h
	}
	h.dmac, h.resolved = mac, true
	if n.bad[key] {
		h.why = fmt.Sprintf("%s on %s does not answer ARP; its last MAC address is used", key.addr, iface)
	}
	return h
}

// ask makes the kernel resolve a neighbour, and keep it resolved where it can
// (NTF_EXT_MANAGED, Linux 5.16). It is harmless to repeat.
func (n *neighbours) ask(key ipOnLink) error {
	e := &netlink.Neigh{
		LinkIndex: key.ifindex, Family: unix.AF_INET, IP: net.IP(key.addr.AsSlice()),
		Flags: netlink.NTF_USE, FlagsExt: netlink.NTF_EXT_MANAGED,
	}
	err := n.nl.NeighSet(e)
	if err == nil {
		return nil
	}
	e.FlagsExt = 0
	return n.nl.NeighSet(e)
}

// refresh asks for every wanted neighbour again: kernels that do not manage
// entries forget those that only we use.
func (n *neighbours) refresh() {
	for key := range n.wanted {
		_ = n.ask(key) // an interface that is gone; its servers are resolved anew
	}
}

// release gives the kernel's entries back: they are no longer kept alive.
func (n *neighbours) release() {
	for key := range n.wanted {
		mac, ok := n.known[key]
		if !ok {
			continue
		}
		hw := net.HardwareAddr(mac[:])
		_ = n.nl.NeighSet(&netlink.Neigh{ // as an ordinary entry again; gone is as good
			LinkIndex: key.ifindex, Family: unix.AF_INET, IP: net.IP(key.addr.AsSlice()),
			State: netlink.NUD_STALE, HardwareAddr: hw,
		})
	}
}
