package hostnet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link returns the interface of that name; the error wraps ErrNoInterface
// when there is none.
func (n *Network) Link(name string) (Link, error) {
	index, err := n.index(name)
	if err != nil {
		return Link{}, err
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	links, err := n.links(req)
	if err != nil {
		return Link{}, fmt.Errorf("interface %s: %w", name, err)
	}
	if len(links) == 0 {
		return Link{}, fmt.Errorf("interface %s: %w", name, ErrNoInterface)
	}
	return links[0], nil
}

// Links returns all interfaces in the order of their index.
func (n *Network) Links() ([]Link, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	links, err := n.links(req)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	return links, nil
}

func (n *Network) links(req *nl.NetlinkRequest) ([]Link, error) {
	msgs, err := n.request(req, unix.RTM_NEWLINK)
	if err != nil {
		return nil, err
	}
	var links []Link
	for _, m := range msgs {
		if l, ok := parseLink(m); ok {
			links = append(links, l)
		}
	}
	return links, nil
}

// addrs returns all IPv4 addresses in the kernel's order.
func (n *Network) addrs() ([]ifaddr, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfAddrmsg(unix.AF_INET))
	msgs, err := n.request(req, unix.RTM_NEWADDR)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var addrs []ifaddr
	for _, m := range msgs {
		if a, ok := parseAddr(m); ok {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

// dump returns everything that a table holds.
func (n *Network) dump() ([]Link, []ifaddr, error) {
	links, err := n.Links()
	if err != nil {
		return nil, nil, err
	}
	addrs, err := n.addrs()
	if err != nil {
		return nil, nil, err
	}
	return links, addrs, nil
}

// Lookup returns the route to dst. The error says when there is none.
func (n *Network) Lookup(dst netip.Addr) (Route, error) {
	dst = dst.Unmap()
	family, bits := unix.AF_INET, uint8(32)
	if dst.Is6() {
		family, bits = unix.AF_INET6, 128
	}
	if !dst.IsValid() {
		return Route{}, fmt.Errorf("route: no destination")
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	msg := &nl.RtMsg{}
	msg.Family = uint8(family)
	msg.Dst_len = bits
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.RTA_DST, dst.AsSlice()))
	msgs, err := n.request(req, unix.RTM_NEWROUTE)
	if err != nil {
		return Route{}, fmt.Errorf("route to %s: %w", dst, err)
	}
	if len(msgs) == 0 {
		return Route{}, fmt.Errorf("route to %s: no answer", dst)
	}
	r, err := parseRoute(msgs[0])
	if err != nil {
		return Route{}, fmt.Errorf("route to %s: %w", dst, err)
	}
	if r.Interface, err = n.name(r.Index); err != nil {
		return Route{}, fmt.Errorf("route to %s: %w", dst, err)
	}
	return r, nil
}

// parseRoute reads the body of an RTM_NEWROUTE.
func parseRoute(b []byte) (Route, error) {
	if len(b) < unix.SizeofRtMsg {
		return Route{}, fmt.Errorf("answer of %d bytes is too short", len(b))
	}
	r := Route{Local: nl.DeserializeRtMsg(b).Type == unix.RTN_LOCAL}
	for kind, value := range attributes(b[unix.SizeofRtMsg:]) {
		switch kind {
		case unix.RTA_OIF:
			r.Index = int(uint32Of(value))
		case unix.RTA_GATEWAY:
			r.Gateway, _ = netip.AddrFromSlice(value)
		case unix.RTA_VIA: // a gateway of the other family, behind its number
			if len(value) > 2 {
				r.Gateway, _ = netip.AddrFromSlice(value[2:])
			}
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(value)
		}
	}
	return r, nil
}

// name returns the name of an interface.
func (n *Network) name(index int) (string, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	links, err := n.links(req)
	if err != nil {
		return "", fmt.Errorf("interface %d: %w", index, err)
	}
	if len(links) == 0 {
		return "", fmt.Errorf("interface %d: %w", index, ErrNoInterface)
	}
	return links[0].Name, nil
}
