package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is one machine of the lab. Its methods are safe for concurrent use.
type Host struct {
	spec HostSpec
	lab  *Lab
	ns   netns.NsHandle
	id   inode
	nl   *netlink.Handle
	// Programs are started on one thread and sockets made on the other, so
	// that a fork never delays a probe.
	programs *thread
	sockets  *thread

	mu     sync.Mutex
	cables map[string]*cable // by interface
	procs  []*Process
	things []func() // what Lose ends: servers of this host that run in Go
	starts int
}

// cable joins an interface of a host to a segment; end is the bridge's side.
type cable struct {
	segment *Segment
	end     netlink.Link
}

func newHost(l *Lab, spec HostSpec) (*Host, error) {
	h := &Host{spec: spec, lab: l, ns: netns.None(), cables: map[string]*cable{}}
	path := l.namespacePath(spec.Name)
	var err error
	// The mount namespace comes first in the thread's life, the named network
	// namespace must be made outside of it: its name is a mount too.
	if h.programs, err = newThread(func() error {
		if err := enterNew(path); err != nil {
			return err
		}
		return h.furnish()
	}); err != nil {
		return nil, err
	}
	if h.ns, err = netns.GetFromPath(path); err != nil {
		return h, fmt.Errorf("open namespace: %w", err)
	}
	if h.id, err = inodeOf(path); err != nil {
		return h, err
	}
	if h.sockets, err = newThread(func() error { return unix.Setns(int(h.ns), unix.CLONE_NEWNET) }); err != nil {
		return h, fmt.Errorf("enter namespace: %w", err)
	}
	if h.nl, err = netlink.NewHandleAt(h.ns); err != nil {
		return h, fmt.Errorf("netlink socket: %w", err)
	}
	if err := os.MkdirAll(h.Dir(), 0o755); err != nil {
		return h, err
	}
	return h, h.wire()
}

// Name is the host's name.
func (h *Host) Name() string { return h.spec.Name }

// Dir is a directory for this host's files, inside the lab's.
func (h *Host) Dir() string { return filepath.Join(h.lab.Dir(), h.spec.Name) }

// Do runs f on a thread that is in the host's network namespace. f must not
// block: the host has one such thread.
func (h *Host) Do(f func() error) error { return h.sockets.do(f) }

// Listen listens inside the host; network is "tcp4" or the like.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = net.Listen(network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.spec.Name, err)
	}
	return ln, nil
}

// ListenPacket is Listen for datagrams.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	var c net.PacketConn
	err := h.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", h.spec.Name, err)
	}
	return c, nil
}

// Dial opens a TCP connection from the host.
func (h *Host) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return dialFrom(ctx, h, netip.AddrPort{}, to)
}

// DialFrom is Dial with a local address; a zero address or port is any.
func (h *Host) DialFrom(ctx context.Context, from, to netip.AddrPort) (net.Conn, error) {
	return dialFrom(ctx, h, from, to)
}

// SetSysctl sets a net.* sysctl of the host.
func (h *Host) SetSysctl(key, value string) error {
	return h.Do(func() error { return writeSysctl(key, value) })
}

// MAC is the hardware address of an interface; nil if the host has none such.
func (h *Host) MAC(iface string) net.HardwareAddr {
	link, err := h.nl.LinkByName(iface)
	if err != nil {
		return nil
	}
	return link.Attrs().HardwareAddr
}

// Addrs are the addresses that an interface has now.
func (h *Host) Addrs(iface string) ([]netip.Prefix, error) {
	link, err := h.nl.LinkByName(iface)
	if err != nil {
		return nil, fmt.Errorf("host %s: interface %s: %w", h.spec.Name, iface, err)
	}
	list, err := h.nl.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("host %s: interface %s: addresses: %w", h.spec.Name, iface, err)
	}
	var out []netip.Prefix
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			ones, _ := a.Mask.Size()
			out = append(out, netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	return out, nil
}

// Has reports whether any interface of the host has the address now.
func (h *Host) Has(addr netip.Addr) bool {
	list, err := h.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return false
	}
	for _, a := range list {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Unmap() == addr {
			return true
		}
	}
	return false
}

// onLose registers what a lost host loses beside its processes.
func (h *Host) onLose(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.things = append(h.things, f)
}

func (h *Host) close() error {
	errs := []error{h.killEverything()}
	for _, p := range h.procs {
		p.forgetNotify()
	}
	if h.nl != nil {
		h.nl.Close()
	}
	for _, t := range []*thread{h.sockets, h.programs} {
		if t != nil {
			t.stop()
		}
	}
	if h.ns.IsOpen() {
		errs = append(errs, h.ns.Close())
	}
	return errors.Join(errs...)
}

// writeSysctl sets a sysctl of the calling thread's network namespace.
func writeSysctl(key, value string) error {
	if !strings.HasPrefix(key, "net.") {
		return fmt.Errorf("sysctl %s: only net.* belongs to a host", key)
	}
	// As sysctl(8): dots and slashes swap, so that an interface may hold a dot.
	name := strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		return fmt.Errorf("sysctl %s: %w", key, err)
	}
	return nil
}
