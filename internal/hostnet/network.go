package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// requestTimeout bounds one netlink request. The kernel answers at once;
// only a broken one would have us wait for ever.
var requestTimeout = unix.Timeval{Sec: 10}

// threadNamespace is the network namespace of the thread that opens it.
const threadNamespace = "/proc/thread-self/ns/net"

// Network is the host's network. Its methods may be called concurrently.
type Network struct {
	// ns is the network namespace, for the sockets that Monitor opens later.
	ns      *os.File
	sockets map[int]*nl.SocketHandle
	ioctl   int // any socket: names and indexes by ioctl

	mu       sync.Mutex
	virtual  map[netip.Addr]bool
	added    map[addrKey]Address // by us, for kernels that keep no mark
	monitors map[*monitor]bool
}

// addrKey is what the kernel tells addresses apart by.
type addrKey struct {
	iface  string
	prefix netip.Prefix
}

func (a Address) key() addrKey { return addrKey{a.Interface, a.Prefix} }

// Open opens the network of the calling thread's network namespace.
func Open() (*Network, error) {
	ns, err := os.Open(threadNamespace)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	s, err := nl.GetNetlinkSocketAt(-1, -1, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netlink socket: %w", err), ns.Close())
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.Close()
		return nil, errors.Join(fmt.Errorf("socket: %w", err), ns.Close())
	}
	n := &Network{
		ns:       ns,
		sockets:  map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}},
		ioctl:    fd,
		added:    map[addrKey]Address{},
		monitors: map[*monitor]bool{},
	}
	// Neither setting can fail: both are kept by the library.
	_ = s.SetReceiveTimeout(&requestTimeout)
	_ = s.SetSendTimeout(&requestTimeout)
	// Without it errors are numbers only; older kernels have none.
	_ = s.SetExtAck(true)
	return n, nil
}

// Close releases its sockets. It changes nothing on the host. Monitors go on
// until their context ends.
func (n *Network) Close() error {
	n.sockets[unix.NETLINK_ROUTE].Close()
	return errors.Join(unix.Close(n.ioctl), n.ns.Close())
}

// SetVirtual tells which addresses are virtual ones: they are never the
// primary address of an interface, whoever added them. It replaces the last set.
func (n *Network) SetVirtual(addrs []netip.Addr) {
	set := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		set[a] = true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.virtual = set
	for m := range n.monitors {
		select {
		case m.recheck <- struct{}{}:
		default: // already told
		}
	}
}

// virtuals returns the present set, which is never changed in place.
func (n *Network) virtuals() map[netip.Addr]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.virtual
}

// request sends one request and returns the answers of the given type.
func (n *Network) request(req *nl.NetlinkRequest, answer uint16) ([][]byte, error) {
	req.Sockets = n.sockets
	// A dump that was interrupted by a change is asked for again; the last
	// one is as good as it gets.
	for range 5 {
		msgs, err := req.Execute(unix.NETLINK_ROUTE, answer)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			return msgs, permitted(err)
		}
	}
	return req.Execute(unix.NETLINK_ROUTE, answer)
}

// permitted gives the kernel's refusal its meaning.
func permitted(err error) error {
	if errors.Is(err, unix.EPERM) {
		return ErrNotPermitted
	}
	return err
}

// index returns the index of an interface.
func (n *Network) index(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil { // too long
		return 0, fmt.Errorf("interface %q: %w", name, ErrNoInterface)
	}
	err = unix.IoctlIfreq(n.ioctl, unix.SIOCGIFINDEX, ifr)
	if errors.Is(err, unix.ENODEV) {
		return 0, fmt.Errorf("interface %s: %w", name, ErrNoInterface)
	}
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return int(ifr.Uint32()), nil
}
