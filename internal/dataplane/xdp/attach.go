package xdp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func (h *hooks) attachXDP(l netlink.Link, m Mode) (link.Link, error) {
	flags := link.XDPDriverMode
	if m == Generic {
		flags = link.XDPGenericMode
	}
	p, err := h.program(m)
	if err != nil {
		return nil, err
	}
	x, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: l.Attrs().Index, Flags: flags})
	switch {
	case err == nil:
		return x, nil
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return nil, fmt.Errorf("%s XDP: %w: %s; detach it (ip link set dev %s xdp off) or use mode tc", m, ErrConflict, h.holder(l), l.Attrs().Name)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EINVAL):
		return nil, fmt.Errorf("%s XDP: %w with its driver or settings (large MTU, LRO and too few queues are usual reasons): %w", m, ErrMode, err)
	}
	return nil, fmt.Errorf("%s XDP: %w", m, err)
}

// holder names the XDP program that sits on l.
func (h *hooks) holder(l netlink.Link) string {
	fresh, err := h.nl.LinkByIndex(l.Attrs().Index)
	if err != nil || fresh.Attrs().Xdp == nil || !fresh.Attrs().Xdp.Attached {
		return "unknown program"
	}
	id := ebpf.ProgramID(fresh.Attrs().Xdp.ProgId)
	name := "program"
	if p, err := ebpf.NewProgramFromID(id); err == nil {
		if info, err := p.Info(); err == nil && info.Name != "" {
			name = "program " + info.Name
		}
		_ = p.Close()
	}
	if strings.HasPrefix(name, "program lb_xdp") {
		return fmt.Sprintf("%s (id %d), of another instance of kaname", name, id)
	}
	return fmt.Sprintf("%s (id %d)", name, id)
}

// attachTC attaches by tcx (Linux 6.6), at its head, or by a clsact filter; nil
// without an error is clsact.
func (h *hooks) attachTC(l netlink.Link) (link.Link, error) {
	p, err := h.program(TC)
	if err != nil {
		return nil, err
	}
	if !h.noTCX {
		x, err := link.AttachTCX(link.TCXOptions{
			Program: p, Interface: l.Attrs().Index, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
		})
		if err == nil {
			return x, nil
		}
		if !errors.Is(err, ebpf.ErrNotSupported) {
			return nil, fmt.Errorf("TC: %w", err)
		}
	}
	if err := h.nl.QdiscAdd(clsact(l.Attrs().Index)); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("TC: clsact: %w", err)
	}
	if err := h.nl.FilterReplace(filter(l.Attrs().Index, p)); err != nil {
		return nil, fmt.Errorf("TC: filter: %w", err)
	}
	return nil, nil
}

func clsact(ifindex int) netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
}

// filterName marks our filter among others'.
const filterName = "kaname_lb_tc"

func filter(ifindex int, p *ebpf.Program) *netlink.BpfFilter {
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 0x6b61, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Name: filterName, DirectAction: true,
	}
	if p != nil {
		f.Fd = p.FD()
	}
	return f
}
