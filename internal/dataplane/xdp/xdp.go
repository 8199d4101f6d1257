package xdp

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Mode is the hook through which packets reach the dataplane.
type Mode string

// The modes. Auto takes native XDP where the driver is known to do it well,
// TC elsewhere, and generic XDP where there is no TC.
const (
	Auto    Mode = "auto"
	Native  Mode = "native"
	TC      Mode = "tc"
	Generic Mode = "generic"
)

// Spec is what a dataplane is opened with.
type Spec struct {
	// PinDir is this instance's directory in a bpffs, "/sys/fs/bpf/kaname/NAME".
	// It is created; two processes cannot have one open at a time.
	PinDir string
	// Connections is the number of entries that the connection table holds,
	// 0 for the default: 1,048,576 on a host with 4 GiB or more, less below.
	// An adopted table keeps its size.
	Connections int
	// Mode is the mode for every interface; empty is Auto.
	Mode Mode
	// CompleteChecksums vouches that every sender on the interfaces completes
	// its checksums (tx offload off on veth and virtio). Without it NAT in
	// generic XDP, and in native XDP on virtual links, is refused, or served by
	// TC in Auto.
	CompleteChecksums bool
	// Log receives state changes; nil discards them.
	Log *slog.Logger
}

// Errors that a caller may want to tell apart.
var (
	// ErrInUse is returned by Open when another process has PinDir open.
	ErrInUse = errors.New("in use by another process")
	// ErrConflict is returned when another program holds an interface's hook.
	ErrConflict = errors.New("another program is attached")
	// ErrMode is returned when an explicit mode is not possible on an interface.
	ErrMode = errors.New("mode not possible")
)

// Dataplane is one instance's programs, maps and links. Its methods are safe
// for concurrent use.
type Dataplane struct {
	spec    Spec
	log     *slog.Logger
	lock    *pinLock
	ns      netns.NsHandle
	nl      *netlink.Handle
	ethtool int
	obj     *objects
	clock   *clock
	news    *announcer
	asks    *ringbuf.Reader // of connections whose client's MAC is wanted

	injecting sync.Mutex // one Inject at a time; taken before mu
	ruling    sync.Mutex // one SetSync at a time; taken before mu

	mu     sync.Mutex // guards what follows, and the maps against other writers
	tab    *table
	near   *neighbours
	hooks  *hooks
	scan   *scanner
	since  map[string]time.Time // of conditions, by code and object
	closed bool
	// following is that changes of the host come in by themselves.
	following bool
	said      string // the last complaint about interfaces, to say it once
}

// Open adopts what an earlier process left pinned in s.PinDir, or creates it,
// all or nothing. Pins of another layout are replaced, and said so: then
// connections are not kept. The caller ends with Close (everything goes on) or
// Remove (nothing is left). It belongs to the network namespace of the calling
// thread. It needs CAP_BPF, CAP_NET_ADMIN and, to mount a bpffs, CAP_SYS_ADMIN.
func Open(s Spec) (*Dataplane, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Mode == "" {
		s.Mode = Auto
	}
	switch s.Mode {
	case Auto, Native, TC, Generic:
	default:
		return nil, fmt.Errorf("dataplane mode %q: must be auto, native, tc or generic", s.Mode)
	}
	s.PinDir = filepath.Clean(s.PinDir)
	// Needed before Linux 5.11 only; there the load says what is wrong.
	_ = rlimit.RemoveMemlock()
	lock, err := takePins(s.PinDir, s.Log)
	if err != nil {
		return nil, err
	}
	if err := sweepHalfMade(s.PinDir); err != nil {
		return nil, errors.Join(err, lock.release(false))
	}
	d := &Dataplane{spec: s, log: s.Log, lock: lock, ns: -1, ethtool: -1, since: map[string]time.Time{}}
	if err := d.open(); err != nil {
		return nil, errors.Join(err, d.release(d.obj == nil || !d.obj.adopted))
	}
	return d, nil
}

func (d *Dataplane) open() error {
	var err error
	if d.ns, err = netns.Get(); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	if d.nl, err = netlink.NewHandleAt(d.ns, unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if d.ethtool, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if d.obj, err = loadObjects(d.spec.PinDir, d.spec.Connections, d.log); err != nil {
		return err
	}
	if d.clock, err = newClock(d.obj.programs["lb_clock"]); err != nil {
		return err
	}
	if d.news, err = newAnnouncer(d.obj); err != nil {
		return err
	}
	if d.asks, err = ringbuf.NewReader(d.obj.maps["asks"]); err != nil {
		return fmt.Errorf("map asks: %w", err)
	}
	d.near = newNeighbours(d.nl)
	if err := d.near.read(); err != nil {
		return err
	}
	d.tab = newTable(d.obj.maps, d.obj.mem, d.near.resolve)
	d.scan = newScanner(d.obj.mem, d.tab)
	d.hooks = &hooks{
		dir: filepath.Join(d.spec.PinDir, "links"), program: d.obj.program,
		nl: d.nl, ethtool: d.ethtool, log: d.log, mode: d.spec.Mode, complete: d.spec.CompleteChecksums,
		attached: map[string]*hook{}, failed: map[string]error{},
	}
	if d.obj.adopted {
		d.clock.shift = d.obj.mem.settings.TickShift // what the entries' times mean
		if err := d.tab.adopt(); err != nil {
			return err
		}
	} else {
		if err := d.obj.initialize(d.clock); err != nil {
			return err
		}
		if err := d.obj.pin(d.spec.PinDir); err != nil {
			return err
		}
	}
	return d.inNamespace(d.hooks.adopt)
}

// inNamespace runs f in the dataplane's network namespace: attaching goes by
// interface index, and which interface that is depends on the thread.
func (d *Dataplane) inNamespace(f func() error) error {
	cur, err := netns.Get()
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer func() { _ = cur.Close() }()
	if cur.Equal(d.ns) {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		// The thread is not unlocked: it dies with the goroutine, and nobody
		// else ever runs on it in the other namespace.
		lockThread()
		if err := netns.Set(d.ns); err != nil {
			done <- fmt.Errorf("network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Adopted reports whether Open found a running dataplane and took it over.
func (d *Dataplane) Adopted() bool { return d.obj.adopted }

// Set makes services the whole of what is balanced. It may be repeated: equal
// input writes nothing. A service or server that is gone is removed as LVS
// removes it by default: no new connections, and packets of its living ones
// are dropped until they time out, unless it comes back before.
//
// Persistence and one-packet scheduling are not built yet and ignored here.
// Set goes on after an error and returns all of them joined.
func (d *Dataplane) Set(services []lvs.ServiceSet) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	nat := false
	for _, s := range services {
		for _, r := range s.Destinations {
			nat = nat || r.Method == lvs.NAT
		}
	}
	var errs []error
	if nat != d.hooks.nat {
		// Before the first packet could be corrupted, a mode that cannot do NAT
		// gives way to one that can.
		d.hooks.nat = nat
		errs = append(errs, d.inNamespace(d.hooks.apply))
	}
	d.tab.noNAT = d.hooks.unsafe()
	if !d.following {
		if err := d.near.read(); err != nil {
			errs = append(errs, err)
		}
	}
	clear(d.tab.cache)
	return errors.Join(append(errs, d.tab.set(services))...)
}

// SetTimeouts sets the three timeouts; a 0 keeps what is in force. They rule
// connections that begin or change state from now on.
func (d *Dataplane) SetTimeouts(t lvs.Timeouts) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	for i, v := range map[int]time.Duration{
		int(lvs.StateEstablished): t.TCP, int(lvs.StateFinWait): t.TCPFin, prog.TimeoutUDP: t.UDP,
	} {
		if v < 0 || v > 31*24*time.Hour {
			return fmt.Errorf("timeout %s: must be between 0 and 31 days", v)
		}
		if v > 0 {
			d.obj.mem.settings.Timeouts[i] = d.clock.ticks(v)
		}
	}
	return nil
}

// SetInterfaces makes names the interfaces on which packets are looked at. One
// that does not exist is attached when it appears (while Run runs); its absence
// is no error (Status says it). Those left out are detached.
func (d *Dataplane) SetInterfaces(names []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	err := d.inNamespace(func() error { return d.hooks.set(names) })
	if err != nil {
		d.said = err.Error() // the caller tells it
	}
	return errors.Join(err, d.macs())
}

var errClosed = errors.New("dataplane is closed")

// Close gives up this process's handles and leaves everything pinned and
// forwarding, for the next Open. Run must have ended.
func (d *Dataplane) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	return d.release(false)
}

// Remove detaches and unpins everything: the orderly stop. It implies Close.
// Run must have ended.
func (d *Dataplane) Remove() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	d.near.release()
	err := d.inNamespace(func() error { return d.hooks.set(nil) })
	return errors.Join(err, d.release(true))
}

// release closes what is open, as far as Open got; remove also unpins.
func (d *Dataplane) release(remove bool) error {
	d.closed = true
	var errs []error
	if d.hooks != nil {
		errs = append(errs, d.hooks.close())
	}
	if remove {
		errs = append(errs, removeTree(d.spec.PinDir))
	}
	if d.news != nil {
		errs = append(errs, d.news.ring.Close())
	}
	if d.asks != nil {
		errs = append(errs, d.asks.Close())
	}
	if d.obj != nil {
		errs = append(errs, d.obj.close())
	}
	if d.nl != nil {
		d.nl.Close()
	}
	if d.ethtool >= 0 {
		errs = append(errs, unix.Close(d.ethtool))
	}
	if d.ns >= 0 {
		errs = append(errs, d.ns.Close())
	}
	return errors.Join(append(errs, d.lock.release(remove))...)
}
