package progtest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
)

// Hook is where a program is attached.
type Hook string

// The hooks.
const (
	XDP Hook = "xdp"
	TC  Hook = "tc"
)

// Verdicts. A hook's own numbers are translated into these.
const (
	Pass     = "PASS"
	Drop     = "DROP"
	Tx       = "TX" // XDP only
	Redirect = "REDIRECT"
	Aborted  = "ABORTED"
)

// Ifindex is the interface that BPF_PROG_RUN pretends packets come in on, the
// loopback.
const Ifindex = 1

// Options size a world.
type Options struct {
	Sets  uint32 // of the connection table, a power of two; 0: 64
	Stash uint32 // entries; 0: 64
	Flags uint32 // prog.SettingX
	Dests uint32 // slots of dests and dcount; 0: 8192
	Seed  uint32
}

// World is both objects loaded over one set of maps.
type World struct {
	Settings prog.Settings
	xdp, tc  *ebpf.Collection
	conns    []prog.ConnSet
	counts   []prog.DestCount
	inbox    []prog.Arrival
	events   *ringbuf.Reader
	asks     *ringbuf.Reader
	maps     [][]byte // to unmap
	nextRing uint32
	nextSvc  uint32
	nextDest uint32
}

// New loads the programs and resets the world.
func New(o Options) (*World, error) {
	o = o.defaults()
	w := &World{}
	err := w.load(o)
	if err == nil {
		err = w.Reset(o)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (o Options) defaults() Options {
	if o.Sets == 0 {
		o.Sets = 64
	}
	if o.Stash == 0 {
		o.Stash = 64
	}
	if o.Dests == 0 {
		o.Dests = 8192
	}
	return o
}

// Reset empties every map and writes the settings: LVS's timeouts, HZ 250.
// Sets may be fewer than the table was loaded with, Stash and Dests are those
// of New.
func (w *World) Reset(o Options) error {
	o = o.defaults()
	clear(w.conns)
	clear(w.counts)
	for _, name := range []string{"stash", "services", "frags", "macs"} {
		if err := empty(w.Map(name)); err != nil {
			return fmt.Errorf("empty %s: %w", name, err)
		}
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	for i := range prog.Reasons {
		err = errors.Join(err, w.Map("reasons").Put(uint32(i), make([]uint64, cpus)))
	}
	for i := range w.nextDest {
		err = errors.Join(err, w.Map("dstats").Put(i, make([]prog.Counters, cpus)), w.Map("dests").Put(i, &prog.Dest{}))
	}
	for i := range w.nextSvc {
		err = errors.Join(err, w.Map("sstats").Put(i, make([]prog.Counters, cpus)), w.Map("srun").Put(i, &prog.ServiceRun{}))
	}
	if err = errors.Join(err, w.Map("runtime").Put(uint32(0), &prog.Runtime{})); err != nil {
		return err
	}
	w.nextRing, w.nextDest, w.nextSvc = 0, 0, 1
	if _, err := w.Events(); err != nil {
		return err
	}
	if _, err := w.Asks(); err != nil {
		return err
	}
	s := prog.Settings{HashSeed: o.Seed, ConnsMask: o.Sets - 1, TickShift: 1, Flags: o.Flags}
	for i, sec := range [12]uint32{2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300} {
		s.Timeouts[i] = sec * 125
	}
	s.RefreshFloor = 10 * 125
	return w.Set(s)
}

// empty deletes every key of a hash map.
func empty(m *ebpf.Map) error {
	key := make([]byte, m.KeySize())
	for {
		switch err := m.NextKey(nil, &key); {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return nil
		case err != nil:
			return err
		}
		if err := m.Delete(key); err != nil {
			return err
		}
	}
}

func (w *World) load(o Options) error {
	spec, err := prog.LoadXDP()
	if err != nil {
		return err
	}
	tc, err := prog.LoadTC()
	if err != nil {
		return err
	}
	sizes := map[string]uint32{
		"conns": o.Sets, "stash": o.Stash, "ring": 1 << 18,
		"dests": o.Dests, "dcount": o.Dests, "dstats": o.Dests,
	}
	for name, n := range sizes {
		spec.Maps[name].MaxEntries = n
		tc.Maps[name].MaxEntries = n
	}
	if w.xdp, err = ebpf.NewCollection(spec); err != nil {
		return fmt.Errorf("load xdp: %w", err)
	}
	shared := map[string]*ebpf.Map{}
	for name, m := range w.xdp.Maps {
		if _, ok := tc.Maps[name]; ok && name != "scratch" && name != ".rodata" {
			shared[name] = m
		}
	}
	w.tc, err = ebpf.NewCollectionWithOptions(tc, ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return fmt.Errorf("load tc: %w", err)
	}
	for slot, name := range prog.XDPJumps {
		if err := w.xdp.Maps["xdp_jump"].Put(slot, w.xdp.Programs[name]); err != nil {
			return fmt.Errorf("jump to %s: %w", name, err)
		}
	}
	for slot, name := range prog.TCJumps {
		if err := w.tc.Maps["tc_jump"].Put(slot, w.tc.Programs[name]); err != nil {
			return fmt.Errorf("jump to %s: %w", name, err)
		}
	}
	if w.conns, err = mapped[prog.ConnSet](w, "conns"); err != nil {
		return err
	}
	if w.counts, err = mapped[prog.DestCount](w, "dcount"); err != nil {
		return err
	}
	if w.inbox, err = mapped[prog.Arrival](w, "inbox"); err != nil {
		return err
	}
	if w.events, err = ringbuf.NewReader(w.Map("events")); err != nil {
		return err
	}
	w.asks, err = ringbuf.NewReader(w.Map("asks"))
	return err
}

// mapped is the memory of a mmapable array as a slice.
func mapped[T any](w *World, name string) ([]T, error) {
	m := w.xdp.Maps[name]
	page := os.Getpagesize()
	size := (int(m.MaxEntries())*int(m.ValueSize()) + page - 1) / page * page
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s into memory: %w", name, err)
	}
	w.maps = append(w.maps, b)
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), m.MaxEntries()), nil
}

// Close frees everything.
func (w *World) Close() {
	for _, b := range w.maps {
		_ = unix.Munmap(b)
	}
	w.maps, w.conns, w.counts, w.inbox = nil, nil, nil, nil
	for _, r := range []*ringbuf.Reader{w.events, w.asks} {
		if r != nil {
			_ = r.Close()
		}
	}
	for _, c := range []*ebpf.Collection{w.xdp, w.tc} {
		if c != nil {
			c.Close()
		}
	}
}

// Set writes the settings.
func (w *World) Set(s prog.Settings) error {
	w.Settings = s
	return w.Map("settings").Put(uint32(0), &s)
}

// Map is the shared map of that name.
func (w *World) Map(name string) *ebpf.Map { return w.xdp.Maps[name] }

// Program is the entry program of the hook.
func (w *World) Program(h Hook) *ebpf.Program {
	if h == XDP {
		return w.xdp.Programs["lb_xdp"]
	}
	return w.tc.Programs["lb_tc"]
}

// Server is a destination as a test describes it.
type Server struct {
	Addr         netip.Addr
	Port         uint16
	Method       uint8
	Weight       uint32
	Flags        uint32 // prog.DestX; 0: available and resolved
	Ifindex      uint32 // 0: Ifindex
	VLAN         uint16
	DMAC, SMAC   MAC
	Upper, Lower uint32
}

// Service is a virtual service as a test describes it.
type Service struct {
	Addr     netip.Addr
	Port     uint16
	Proto    uint8
	Sched    uint32
	Flags    uint32
	Servers  []Server
	Slots    []uint32 // indices into Servers; nil: each once, in order
	Fallback []uint32 // the same for the stateless fallback; nil: none
}

// Added is where a service went.
type Added struct {
	Key   prog.ServiceKey
	ID    uint32
	Dests []uint32 // indices into dests, in the order of Servers
}

// Add writes a service and its destinations.
func (w *World) Add(s Service) (Added, error) {
	a := Added{ID: w.nextSvc}
	w.nextSvc++
	for _, r := range s.Servers {
		i := w.nextDest
		w.nextDest++
		a.Dests = append(a.Dests, i)
		if err := w.SetDest(i, a.ID, 1, r); err != nil {
			return a, err
		}
	}
	slots := s.Slots
	if slots == nil {
		for i := range s.Servers {
			slots = append(slots, uint32(i))
		}
	}
	a.Key = prog.ServiceKey{Port: prog.Port(s.Port), Proto: s.Proto}
	a.Key.Addr.B = s.Addr.As16()
	return a, w.Lay(a, s, slots)
}

// Lay gives an added service a new region of slots (indices into Servers, or
// prog.SlotEmpty), scheduler and flags.
func (w *World) Lay(a Added, s Service, slots []uint32) error {
	sv := prog.Service{Id: a.ID, Flags: s.Flags, Sched: s.Sched}
	var err error
	if sv.RingOff, sv.RingLen, err = w.region(a, slots); err != nil {
		return err
	}
	if sv.FbOff, sv.FbLen, err = w.region(a, s.Fallback); err != nil {
		return err
	}
	return w.Map("services").Put(&a.Key, &sv)
}

func (w *World) region(a Added, slots []uint32) (off, n uint32, err error) {
	if int(w.nextRing)+len(slots) > int(w.Map("ring").MaxEntries()) {
		w.nextRing = 0 // nothing else runs: what is there may go
	}
	off = w.nextRing
	for _, s := range slots {
		v := uint32(prog.SlotEmpty)
		if s != prog.SlotEmpty {
			v = a.Dests[s]
		}
		if err := w.Map("ring").Put(w.nextRing, v); err != nil {
			return 0, 0, err
		}
		w.nextRing++
	}
	return off, uint32(len(slots)), nil
}

// SetDest writes slot i of dests and its schedulable part.
func (w *World) SetDest(i, service, generation uint32, r Server) error {
	if r.Flags == 0 {
		r.Flags = prog.DestAvailable | prog.DestResolved
	}
	if r.Ifindex == 0 {
		r.Ifindex = Ifindex
	}
	d := prog.Dest{
		Port: prog.Port(r.Port), Method: r.Method, Flags: r.Flags, Generation: generation,
		Service: service, Ifindex: r.Ifindex, Vlan: r.VLAN, Dmac: r.DMAC, Smac: r.SMAC,
		Upper: r.Upper, Lower: r.Lower,
	}
	d.Addr.B = r.Addr.As16()
	if err := w.Map("dests").Put(i, &d); err != nil {
		return err
	}
	atomic.StoreUint32(&w.counts[i].Weight, r.Weight)
	if r.Flags&prog.DestAvailable != 0 {
		atomic.OrUint32(&w.counts[i].Flags, prog.DcountAvailable)
	} else {
		atomic.AndUint32(&w.counts[i].Flags, ^prog.DcountAvailable)
	}
	return nil
}

// Count is the live scheduling record of destination i.
func (w *World) Count(i uint32) *prog.DestCount { return &w.counts[i] }

// Sets is the live connection table.
func (w *World) Sets() []prog.ConnSet { return w.conns }

// Conn finds the live entry of a flow in the table, not in the stash.
func (w *World) Conn(f prog.Flow) *prog.Conn {
	p := prog.PlaceOf(&w.Settings, &f)
	for _, set := range p.Set {
		s := &w.conns[set]
		for i := range s.Way {
			e := &s.Way[i]
			st := atomic.LoadUint32(&e.State)
			if atomic.LoadUint32(&s.Tag[i]) == p.Tag && e.Key == f && st&prog.StateMask != prog.StateDead && st&prog.Tentative == 0 {
				return e
			}
		}
	}
	return nil
}

// FlowOf is the key of a packet.
func FlowOf(p Packet) prog.Flow {
	return prog.Flow{
		Src: prog.Addr4(p.SrcIP), Dst: prog.Addr4(p.DstIP),
		Sport: prog.Port(p.SPort), Dport: prog.Port(p.DPort), Proto: p.Proto,
	}
}

// Now is the tick of the packet path.
func (w *World) Now() (uint32, error) {
	c, err := w.Clock()
	return uint32(c.Jiffies >> w.Settings.TickShift), err
}

// Clock runs lb_clock.
func (w *World) Clock() (prog.Clock, error) {
	var c prog.Clock
	_, err := w.xdp.Programs["lb_clock"].Run(&ebpf.RunOptions{Context: &c, ContextOut: &c})
	return c, err
}

// Sweep runs lb_sweep and returns how many stash entries it freed.
func (w *World) Sweep() (uint32, error) {
	return w.xdp.Programs["lb_sweep"].Run(&ebpf.RunOptions{})
}

// Events takes what is in the ring of announcements out of it.
func (w *World) Events() ([]prog.Event, error) { return drain[prog.Event](w.events) }

// Asks takes what is in the ring of unknown clients out of it.
func (w *World) Asks() ([]prog.Ask, error) { return drain[prog.Ask](w.asks) }

func drain[T any](ring *ringbuf.Reader) (out []T, err error) {
	ring.SetDeadline(time.Now())
	for {
		r, err := ring.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("ring: %w", err)
		}
		out = append(out, *(*T)(unsafe.Pointer(unsafe.SliceData(r.RawSample))))
	}
}

// Inject runs lb_inject over the arrivals, at most prog.Inbox, and returns the
// results. One goroutine at a time may.
func (w *World) Inject(mark uint32, as ...prog.Arrival) ([]uint32, error) {
	in := prog.Inject{Count: uint32(copy(w.inbox, as)), Mark: mark}
	if _, err := w.xdp.Programs["lb_inject"].Run(&ebpf.RunOptions{Context: &in}); err != nil {
		return nil, err
	}
	var out []uint32
	for i := range as {
		out = append(out, w.inbox[i].Result)
	}
	return out, nil
}

// Run sends one frame through the hook's entry program. The returned frame is
// what the program left, whatever the verdict.
func (w *World) Run(h Hook, frame []byte) (verdict string, out []byte, err error) {
	buf := make([]byte, len(frame)+256)
	o := ebpf.RunOptions{Data: frame, DataOut: buf}
	ret, err := w.Program(h).Run(&o)
	if err != nil {
		return "", nil, err
	}
	v, err := verdictOf(h, ret)
	return v, o.DataOut, err
}

func verdictOf(h Hook, ret uint32) (string, error) {
	names := map[uint32]string{0: Aborted, 1: Drop, 2: Pass, 3: Tx, 4: Redirect}
	if h == TC {
		names = map[uint32]string{0xffffffff: Pass, 2: Drop, 7: Redirect}
	}
	if v, ok := names[ret]; ok {
		return v, nil
	}
	return "", fmt.Errorf("%s program returned %d, which is no verdict", h, ret)
}

// Reasons are the counts of all reasons that are not 0, by name.
func (w *World) Reasons() (map[string]uint64, error) {
	got := map[string]uint64{}
	for i := range prog.Reasons {
		var per []uint64
		if err := w.Map("reasons").Lookup(uint32(i), &per); err != nil {
			return nil, err
		}
		for _, n := range per {
			if n > 0 {
				got[prog.Reason(i).String()] += n
			}
		}
	}
	return got, nil
}

// Traffic sums the counters of an element of dstats or sstats over the CPUs.
func (w *World) Traffic(name string, i uint32) (prog.Counters, error) {
	var per []prog.Counters
	var c prog.Counters
	err := w.Map(name).Lookup(i, &per)
	for _, p := range per {
		c.Conns += p.Conns
		c.InPkts += p.InPkts
		c.InBytes += p.InBytes
		c.OutPkts += p.OutPkts
		c.OutBytes += p.OutBytes
	}
	return c, err
}

// Audit recounts the table and the stash and reports every destination whose
// counts differ, every duplicate, and every entry in a state that nobody is
// working on. Nothing may run meanwhile.
func (w *World) Audit() error {
	active, inactive := map[uint32]int32{}, map[uint32]int32{}
	seen := map[prog.Flow]bool{}
	var errs []error
	add := func(where string, e *prog.Conn) {
		if seen[e.Key] {
			errs = append(errs, fmt.Errorf("%s: second entry of %+v", where, e.Key))
		}
		seen[e.Key] = true
		switch {
		case e.State&prog.StateMask == prog.StateDead || e.State&prog.Tentative != 0:
			errs = append(errs, fmt.Errorf("%s: left in word %#x", where, e.State))
		case e.State&prog.WordReply != 0:
		case activeState(e.State & prog.StateMask):
			active[e.Dest]++
		default:
			inactive[e.Dest]++
		}
	}
	for i := range w.conns {
		for way := range w.conns[i].Way {
			switch tag := w.conns[i].Tag[way]; tag {
			case prog.TagFree:
			case prog.TagClaimed:
				errs = append(errs, fmt.Errorf("set %d way %d: left claimed", i, way))
			default:
				add(fmt.Sprintf("set %d way %d", i, way), &w.conns[i].Way[way])
			}
		}
	}
	var k prog.Flow
	var e prog.Conn
	it := w.Map("stash").Iterate()
	n := int32(0)
	for it.Next(&k, &e) {
		add("stash", &e)
		n++
	}
	errs = append(errs, it.Err())
	var rt prog.Runtime
	errs = append(errs, w.Map("runtime").Lookup(uint32(0), &rt))
	if rt.StashCount != n {
		errs = append(errs, fmt.Errorf("stash has %d entries, stash_count says %d", n, rt.StashCount))
	}
	for i := uint32(0); i < w.nextDest; i++ {
		c := &w.counts[i]
		if c.Active != active[i] || c.Inactive != inactive[i] {
			errs = append(errs, fmt.Errorf("destination %d: counted %d active %d inactive, table has %d and %d",
				i, c.Active, c.Inactive, active[i], inactive[i]))
		}
	}
	return errors.Join(errs...)
}

func activeState(s uint32) bool { return s == 1 || s == 2 || s == 3 || s == 10 }
