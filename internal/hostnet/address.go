package hostnet

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Addresses returns the addresses on the host that are ours: those that carry
// our mark, and, where the kernel keeps no mark, those that this Network
// added. Sorted by interface and address.
func (n *Network) Addresses() ([]Address, error) {
	all, err := n.present()
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var ours []Address
	for _, p := range all {
		if _, added := n.added[p.key()]; added || p.Marked {
			ours = append(ours, p.Address)
		}
	}
	return ours, nil
}

// Leftovers returns the addresses that an earlier run may have left: all that
// carry our mark, and those equal to a wanted one (interface and address).
func (n *Network) Leftovers(want []Address) ([]Leftover, error) {
	all, err := n.present()
	if err != nil {
		return nil, err
	}
	type where struct {
		iface string
		addr  netip.Addr
	}
	wanted := map[where]bool{}
	for _, a := range want {
		wanted[where{a.Interface, a.Prefix.Addr()}] = true
	}
	return slices.DeleteFunc(all, func(l Leftover) bool {
		return !l.Marked && !wanted[where{l.Interface, l.Prefix.Addr()}]
	}), nil
}

// present returns all IPv4 addresses on the host, sorted.
func (n *Network) present() ([]Leftover, error) {
	links, addrs, err := n.dump()
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Index] = l.Name
	}
	var all []Leftover
	for _, a := range addrs {
		if name, ok := names[a.index]; ok {
			all = append(all, Leftover{Address: a.address(name), Marked: a.proto == Protocol})
		}
	}
	slices.SortFunc(all, func(a, b Leftover) int {
		return cmp.Or(
			cmp.Compare(a.Interface, b.Interface),
			a.Prefix.Addr().Compare(b.Prefix.Addr()),
			cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
		)
	})
	return all, nil
}

// Add puts an address on its interface. One that is there already is fine.
func (n *Network) Add(a Address) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	err := n.changeAddress(req, a)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s to %s: %w", a.Prefix, a.Interface, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.added[a.key()] = a
	return nil
}

// Remove takes an address off its interface, whoever added it. One that is
// gone already is fine, and so is an interface that is gone.
func (n *Network) Remove(a Address) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELADDR, unix.NLM_F_ACK)
	err := n.changeAddress(req, a)
	gone := errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) || errors.Is(err, ErrNoInterface)
	if err != nil && !gone {
		return fmt.Errorf("remove address %s from %s: %w", a.Prefix, a.Interface, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.added, a.key())
	return nil
}

// changeAddress completes and sends a request about one address.
func (n *Network) changeAddress(req *nl.NetlinkRequest, a Address) error {
	if !a.Prefix.IsValid() || !a.Prefix.Addr().Is4() {
		return errors.New("not an IPv4 address")
	}
	index, err := n.index(a.Interface)
	if err != nil {
		return err
	}
	msg := nl.NewIfAddrmsg(unix.AF_INET)
	msg.Index = uint32(index)
	msg.Prefixlen = uint8(a.Prefix.Bits())
	msg.Scope = a.Scope
	req.AddData(msg)
	ip := a.Prefix.Addr().AsSlice()
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, ip))
	if req.Type == unix.RTM_NEWADDR {
		if a.Broadcast.Is4() {
			req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, a.Broadcast.AsSlice()))
		}
		if a.Label != "" {
			req.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
		}
		// Kernels before 5.18 ignore the attribute: no mark then.
		req.AddData(nl.NewRtAttr(ifaProto, []byte{Protocol}))
	}
	_, err = n.request(req, 0)
	return err
}

// Primary returns the address that adverts of the interface come from: its
// first address that is neither virtual nor secondary. The error wraps
// ErrNoAddress or ErrNoInterface.
func (n *Network) Primary(iface string) (netip.Addr, error) {
	index, err := n.index(iface)
	if err != nil {
		return netip.Addr{}, err
	}
	addrs, err := n.addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %s: %w", iface, err)
	}
	addrs = slices.DeleteFunc(addrs, func(a ifaddr) bool { return a.index != index })
	if p := primary(addrs, n.virtuals()); p.IsValid() {
		return p, nil
	}
	return netip.Addr{}, fmt.Errorf("interface %s: %w", iface, ErrNoAddress)
}

// primary chooses from one interface's addresses in the kernel's order. A
// wider scope (a smaller number) goes before: the kernel lists link-local ones first.
func primary(addrs []ifaddr, virtual map[netip.Addr]bool) netip.Addr {
	var best ifaddr
	for _, a := range addrs {
		if a.secondary || a.proto == Protocol || virtual[a.prefix.Addr()] {
			continue
		}
		if !best.prefix.IsValid() || a.scope < best.scope {
			best = a
		}
	}
	return best.prefix.Addr()
}
