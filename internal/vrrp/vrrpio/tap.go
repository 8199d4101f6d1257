package vrrpio

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Kind says what a Tap saw.
type Kind uint8

// Kinds of Observation.
const (
	// AdvertOnWire is another router's advert for one of our VRIDs.
	AdvertOnWire Kind = iota + 1
	// ForeignARP is an ARP packet in which another MAC claims one of our
	// virtual addresses.
	ForeignARP
)

// String returns "advert" or "arp".
func (k Kind) String() string {
	switch k {
	case AdvertOnWire:
		return "advert"
	case ForeignARP:
		return "arp"
	}
	return "kind?"
}

// Observation is something that was seen on the wire, before this host's
// packet filter.
type Observation struct {
	Time      time.Time
	Interface string
	Kind      Kind
	MAC       net.HardwareAddr // who sent it
	From      netip.Addr       // AdvertOnWire: source address
	VRID      uint8            // AdvertOnWire
	Priority  uint8            // AdvertOnWire
	VIP       netip.Addr       // ForeignARP: the address that was claimed
	// Count is how many such packets were seen since the last one reported
	// (this one included).
	Count int
}

// TapInterface is what to look for on one interface.
type TapInterface struct {
	Name  string
	VRIDs []uint8
	VIPs  []netip.Addr
}

// observations is the room for what nobody has received yet.
const observations = 256

// Tap observes interfaces by one packet socket, which hears all of them, so
// that interfaces may come and go. A filter in the kernel lets VRRP and ARP
// through and nothing else; what this host sends is not even looked at.
type Tap struct {
	log  *slog.Logger
	file *os.File // AF_PACKET
	conn interface {
		Read(f func(fd uintptr) (done bool)) error
	}
	ioctl int // indexes to names and MAC addresses
	out   chan Observation
	done  chan struct{}
	ended atomic.Bool // by Close

	mu      sync.Mutex
	watched map[string]watch
	limit   *limiter
}

// NewTap returns a Tap in the network namespace of the calling thread. The
// error says what is missing.
func NewTap(log *slog.Logger) (*Tap, error) {
	file, err := openTap()
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("packet socket to observe VRRP: %w: needs root or CAP_NET_RAW", err)
	}
	if err != nil {
		return nil, fmt.Errorf("packet socket to observe VRRP: %w", err)
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket to observe VRRP: %w", err), file.Close())
	}
	ioctl, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), file.Close())
	}
	t := &Tap{
		log: log, file: file, conn: conn, ioctl: ioctl,
		out: make(chan Observation, observations), done: make(chan struct{}),
		limit: newLimiter(),
	}
	go t.run()
	return t, nil
}

// openTap opens the socket: closed for everything until its filter is set.
func openTap() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	filter, err := tapFilter()
	if err == nil {
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter)
	}
	if err == nil {
		// Kernels before 4.20 lack it; the filter drops our own packets as well.
		_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		// All protocols: a socket of one protocol would hear its packets only
		// after the netdev ingress chains of nftables.
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL)})
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "vrrp tap"), nil
}

// Watch replaces the set of interfaces and what to look for on them. They
// need not exist.
func (t *Tap) Watch(ifaces []TapInterface) {
	watched := map[string]watch{}
	for _, i := range ifaces {
		watched[i.Name] = newWatch(i)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watched = watched
}

// Observations returns what was seen: each (interface, kind, MAC, VRID or
// address) at most once a second. When nobody receives, the newest are lost.
func (t *Tap) Observations() <-chan Observation { return t.out }

// Close ends it and closes the channel.
func (t *Tap) Close() error {
	t.ended.Store(true)
	err := t.file.Close()
	<-t.done
	return errors.Join(err, unix.Close(t.ioctl))
}

// run reads frames until the socket is closed.
func (t *Tap) run() {
	defer close(t.done)
	defer close(t.out)
	var buf [maxPacket]byte
	for {
		n, from, err := t.read(buf[:])
		switch {
		case t.ended.Load():
			return
		case errors.Is(err, unix.ENETDOWN): // told once when a link goes
		case err != nil:
			t.log.Warn("vrrp tap", "reason", err)
			time.Sleep(retryEvery) // do not fill the log, and look again
		default:
			t.frame(time.Now(), from.Ifindex, buf[:n])
		}
	}
}

func (t *Tap) read(buf []byte) (n int, from *unix.SockaddrLinklayer, err error) {
	var sa unix.Sockaddr
	cerr := t.conn.Read(func(fd uintptr) bool {
		n, sa, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	})
	if cerr != nil {
		return 0, nil, cerr
	}
	if err != nil {
		return 0, nil, err
	}
	from, ok := sa.(*unix.SockaddrLinklayer)
	if !ok {
		return 0, nil, fmt.Errorf("sender address of type %T", sa)
	}
	return n, from, nil
}

// frame looks at one frame and reports what is worth it.
func (t *Tap) frame(now time.Time, index int, b []byte) {
	name, err := ifName(t.ioctl, index)
	if err != nil {
		return // gone since
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.watched[name]
	if !ok {
		return
	}
	o, ok := w.observe(b)
	if !ok {
		return
	}
	if own, err := ifMAC(t.ioctl, name); err == nil && own == [6]byte(o.MAC) {
		return // our own, come back by a loop or a mirror
	}
	o.Time, o.Interface = now, name
	if o.Count = t.limit.allow(now, o); o.Count == 0 {
		return
	}
	select {
	case t.out <- o:
	default:
	}
}
