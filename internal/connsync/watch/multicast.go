package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Multicast says which sync groups are joined, and where.
type Multicast struct {
	Groups []netip.Addr
	Ports  []uint16
	// Interfaces are names; none means every interface that is up, can do
	// multicast and has an address. Those that come later are joined then.
	Interfaces []string
}

// rescan is how often it is looked for interfaces that came or went.
const rescan = 2 * time.Second

// Listener is the Source that hears sync multicast. It needs no privilege and
// disturbs nobody else who listens to the same group on this host.
type Listener struct {
	spec Multicast
	lost atomic.Uint64

	mu      sync.Mutex
	sockets map[seat]*socket
	refused map[seat]error // told once
	notes   []string
}

// seat is where one socket sits: each has one interface, so that none meets the
// kernel's limit of 20 memberships (igmp_max_memberships) on hosts with many.
type seat struct {
	iface string
	index int // an interface that comes back has another one
	v6    bool
	port  uint16
}

// Listen joins what is there now. It fails when nothing could be joined and
// nothing that was named can be waited for.
func Listen(spec Multicast) (*Listener, error) {
	for _, g := range spec.Groups {
		if !g.IsMulticast() {
			return nil, fmt.Errorf("group %s: not a multicast address (224.0.0.0/4 or ff00::/8)", g)
		}
	}
	l := &Listener{spec: spec, sockets: map[seat]*socket{}, refused: map[seat]error{}}
	if err := l.join(); err != nil {
		return nil, err
	}
	if len(l.sockets) > 0 || len(l.refused) == 0 && len(spec.Interfaces) > 0 {
		return l, nil
	}
	errs := []error{errors.New("nothing to listen on: no interface is up, can do multicast and has an address of the group's family; name one with --interface")}
	for at, err := range l.refused {
		errs = append(errs, fmt.Errorf("interface %s: %w", at.iface, err))
	}
	return nil, errors.Join(errs...)
}

// Live implements Source.
func (l *Listener) Live() bool { return true }

// Lost implements Source. The kernel drops what does not fit into a socket's
// receive buffer.
func (l *Listener) Lost() uint64 { return l.lost.Load() }

// String implements Source: "224.0.0.81:8848 on eth0, eth1".
func (l *Listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var groups, ifaces []string
	for _, g := range l.spec.Groups {
		host := g.String()
		if g.Is6() {
			host = "[" + host + "]"
		}
		groups = append(groups, host+":"+portList(l.spec.Ports))
	}
	for at := range l.sockets {
		ifaces = append(ifaces, at.iface)
	}
	for _, name := range l.spec.Interfaces {
		if !slices.Contains(ifaces, name) {
			ifaces = append(ifaces, name+" (not there yet)")
		}
	}
	slices.Sort(ifaces)
	return strings.Join(groups, ", ") + " on " + strings.Join(slices.Compact(ifaces), ", ")
}

// Notes returns what has happened to interfaces since the last call, a line each.
func (l *Listener) Notes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.notes
	l.notes = nil
	return n
}

// Run implements Source.
func (l *Listener) Run(ctx context.Context, take func([]Datagram)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.close()
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		l.mu.Lock()
		for _, s := range l.sockets {
			if !s.running {
				s.running = true
				wg.Go(func() { s.read(&l.lost, take) })
			}
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := l.join(); err != nil {
			return err
		}
	}
}

func (l *Listener) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sockets {
		_ = s.conn.Close() // it only ends the reading
	}
}

// join compares the sockets with the interfaces that there are, and makes and
// closes what is needed.
func (l *Listener) join() error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first := len(l.sockets) == 0 && len(l.refused) == 0
	want := l.seats(all)
	for at, s := range l.sockets {
		if !want[at] {
			_ = s.conn.Close() // it only ends the reading
			delete(l.sockets, at)
			l.note("interface %s is gone", at.iface)
		}
	}
	for at := range l.refused {
		if !want[at] {
			delete(l.refused, at)
		}
	}
	for at := range want {
		l.sit(at, !first)
	}
	return nil
}

// sit makes the socket of one seat. A refusal is told once and tried again
// with every scan: an address may still be missing.
func (l *Listener) sit(at seat, later bool) {
	if l.sockets[at] != nil {
		return
	}
	s, err := openSocket(at, l.spec.Groups)
	if err != nil {
		if l.refused[at] == nil && later {
			l.note("interface %s cannot be joined: %s", at.iface, err)
		}
		l.refused[at] = err
		return
	}
	delete(l.refused, at)
	l.sockets[at] = s
	if later {
		l.note("interface %s joined", at.iface)
	}
}

// note keeps a line for Notes, once of the several sockets of an interface.
func (l *Listener) note(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(l.notes, line) {
		l.notes = append(l.notes, line)
	}
}

func (l *Listener) seats(all []net.Interface) map[seat]bool {
	want := map[seat]bool{}
	for _, i := range all {
		v4, v6 := l.suits(i)
		for _, p := range l.spec.Ports {
			if v4 {
				want[seat{i.Name, i.Index, false, p}] = true
			}
			if v6 {
				want[seat{i.Name, i.Index, true, p}] = true
			}
		}
	}
	return want
}

// suits says for which families an interface is listened on. One that was
// named needs no address: the operator knows better.
func (l *Listener) suits(i net.Interface) (v4, v6 bool) {
	named := slices.Contains(l.spec.Interfaces, i.Name)
	if len(l.spec.Interfaces) > 0 && !named || i.Flags&net.FlagUp == 0 {
		return false, false
	}
	if !named {
		if i.Flags&net.FlagMulticast == 0 {
			return false, false
		}
		if addrs, err := i.Addrs(); err != nil || len(addrs) == 0 {
			return false, false
		}
	}
	return slices.ContainsFunc(l.spec.Groups, netip.Addr.Is4), slices.ContainsFunc(l.spec.Groups, netip.Addr.Is6)
}

// ParsePorts reads a port or a range of ports, "8848" or "8848-8851"
// (net.ipv4.vs.sync_ports=4).
func ParsePorts(text string) ([]uint16, error) {
	from, to, isRange := strings.Cut(text, "-")
	first, err := strconv.ParseUint(from, 10, 16)
	last := first
	if err == nil && isRange {
		last, err = strconv.ParseUint(to, 10, 16)
	}
	if err != nil || first == 0 || cmp.Less(last, first) || last-first > 63 {
		return nil, fmt.Errorf("port %q: want a number from 1 to 65535, or a range of at most 64 (8848-8851)", text)
	}
	var ports []uint16
	for p := first; p <= last; p++ {
		ports = append(ports, uint16(p))
	}
	return ports, nil
}

// MTU is the smallest of the joined interfaces, 0 when none is.
func (l *Listener) MTU() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	least := 0
	for at := range l.sockets {
		if i, err := net.InterfaceByIndex(at.index); err == nil && (least == 0 || i.MTU < least) {
			least = i.MTU
		}
	}
	return least
}
