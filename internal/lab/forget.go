package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forget takes from the host what a reboot would: what programs added to its
// interfaces, and their pinned BPF objects.
func (h *Host) forget() error {
	if err := h.programs.do(func() error {
		if err := unix.Unmount("/sys/fs/bpf", unix.MNT_DETACH); err != nil {
			return err
		}
		return unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700")
	}); err != nil {
		return fmt.Errorf("empty /sys/fs/bpf: %w", err)
	}
	links, err := h.nl.LinkList()
	if err != nil {
		return fmt.Errorf("interfaces: %w", err)
	}
	var errs []error
	for _, link := range links {
		if err := h.resetLink(link); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: %w", link.Attrs().Name, err))
		}
	}
	errs = append(errs, h.clearFilters())
	return errors.Join(errs...)
}

func (h *Host) resetLink(link netlink.Link) error {
	name := link.Attrs().Name
	want, ours := h.spec.addrsOf(name)
	if !ours {
		return h.nl.LinkDel(link) // made by a program, such as a VMAC
	}
	if x := link.Attrs().Xdp; x != nil && x.Attached {
		if err := h.Do(func() error { return netlink.LinkSetXdpFd(link, -1) }); err != nil {
			return fmt.Errorf("detach XDP: %w", err)
		}
	}
	if err := h.dropQdisc(link); err != nil {
		return err
	}
	return h.resetAddrs(link, want)
}

// dropQdisc removes a clsact queueing discipline, and its programs with it.
func (h *Host) dropQdisc(link netlink.Link) error {
	list, err := h.nl.QdiscList(link)
	if err != nil {
		return fmt.Errorf("qdiscs: %w", err)
	}
	for _, q := range list {
		if q.Type() == "clsact" {
			if err := h.nl.QdiscDel(q); err != nil {
				return fmt.Errorf("remove clsact: %w", err)
			}
		}
	}
	return nil
}

// resetAddrs leaves exactly the wanted addresses, and those of the kernel.
func (h *Host) resetAddrs(link netlink.Link, want []netip.Prefix) error {
	have, err := h.nl.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	var present []netip.Prefix
	for _, a := range have {
		ip, _ := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		p := netip.PrefixFrom(ip.Unmap(), ones)
		if slices.Contains(want, p) || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			present = append(present, p)
			continue
		}
		// A secondary goes with its primary.
		if err := h.nl.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("remove address %s: %w", p, err)
		}
	}
	for _, p := range want {
		if !slices.Contains(present, p) {
			if err := h.nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(p)}); err != nil {
				return fmt.Errorf("address %s: %w", p, err)
			}
		}
	}
	return nil
}

// addrsOf are the addresses the spec gives an interface; ours is false for an
// interface that the spec does not know.
func (h HostSpec) addrsOf(iface string) (addrs []netip.Prefix, ours bool) {
	var texts []string
	switch i := slices.IndexFunc(h.Ifaces, func(s IfaceSpec) bool { return s.Name == iface }); {
	case i >= 0:
		texts = h.Ifaces[i].Addrs
	case iface == "lo":
		texts = h.Loopback
	default:
		return nil, false
	}
	for _, t := range texts {
		addrs = append(addrs, netip.MustParsePrefix(t))
	}
	return addrs, true
}
