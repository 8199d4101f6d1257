package xdp

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

const (
	injectProgram = "lb_inject"
	// longestLife is what a timeout may be at most, as SetTimeouts has it.
	longestLife = 31 * 24 * time.Hour
)

// Inject enters connections that another director announced and says of each
// what became of it, in out, which is as long as cs. Each lives for its
// Expires, of its Timeout, and is forwarded as the server that is configured
// here says. With mark not 0, entries that a packet or an announcement changed
// at that moment or after it are left as they are (Stale).
func (d *Dataplane) Inject(cs []lvs.Connection, out []lvs.Placement, mark uint32) error {
	if len(cs) != len(out) {
		return fmt.Errorf("inject: %d connections and room for %d answers", len(cs), len(out))
	}
	d.injecting.Lock()
	defer d.injecting.Unlock()
	p, err := d.injector()
	if err != nil {
		return err
	}
	for len(cs) > 0 {
		n := min(len(cs), prog.Inbox)
		if err := d.injectBatch(p, cs[:n], out[:n], mark); err != nil {
			return err
		}
		cs, out = cs[n:], out[n:]
		runtime.Gosched() // who waits for the lock is to get it now, not when our time slice ends
	}
	return nil
}

// injectBatch places what fits into the inbox, some 0.3 ms. The lock is held all
// the time: so no server changes under it, and the scanner never sees an
// insertion half done.
func (d *Dataplane) injectBatch(p *ebpf.Program, cs []lvs.Connection, out []lvs.Placement, mark uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	var from [prog.Inbox]int
	in := prog.Inject{Mark: mark}
	for i := range cs {
		a, answer := d.arrival(&cs[i])
		if out[i] = answer; answer != lvs.Placed {
			continue
		}
		d.obj.mem.inbox[in.Count] = a
		from[in.Count] = i
		in.Count++
	}
	if in.Count == 0 {
		return nil
	}
	if _, err := p.Run(&ebpf.RunOptions{Context: &in}); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	for i, c := range from[:in.Count] {
		out[c] = lvs.Placement(atomic.LoadUint32(&d.obj.mem.inbox[i].Result))
	}
	return nil
}

// arrival is c as the packet path takes it, with Placed, or why it cannot.
func (d *Dataplane) arrival(c *lvs.Connection) (prog.Arrival, lvs.Placement) {
	var a prog.Arrival
	switch {
	case c.Template, c.FWMark != 0, c.Protocol != lvs.TCP && c.Protocol != lvs.UDP,
		c.Protocol == lvs.TCP && c.State >= lvs.NumTCPStates, c.Protocol == lvs.UDP && c.State != lvs.StateNone,
		!c.Client.Addr().Is4(), !c.Virtual.Addr().Is4(), !c.Destination.Addr().Is4():
		return a, lvs.Unsupported
	case c.Expires <= 0:
		return a, lvs.Stale
	}
	s := d.tab.serviceFor(c.Protocol, c.Virtual)
	if s == nil {
		return a, lvs.NoService
	}
	to := s.destFor(c)
	if to == nil {
		return a, lvs.NoServer
	}
	a.Key = prog.Flow{
		Src: prog.Addr4(c.Client.Addr()), Dst: prog.Addr4(c.Virtual.Addr()),
		Sport: prog.Port(c.Client.Port()), Dport: prog.Port(c.Virtual.Port()), Proto: uint8(c.Protocol),
	}
	a.State, a.Dest, a.DestGen = uint32(c.State), to.slot, to.rec.Generation
	a.Left = d.clock.ticks(min(c.Expires, longestLife))
	a.Timeout = max(a.Left, d.clock.ticks(min(c.Timeout, longestLife)))
	if c.State.Active(c.Protocol) {
		a.Flags |= prog.ArrivalActive
	}
	if c.NoOutput && c.Method == lvs.NAT {
		a.Flags |= prog.ArrivalNoOutput
	}
	return a, lvs.Placed
}

// serviceFor is the service that packets to an address and port are for.
func (t *table) serviceFor(p lvs.Protocol, virtual netip.AddrPort) *service {
	key := lvs.ServiceKey{Protocol: p, Addr: virtual.Addr(), Port: virtual.Port()}
	if s := t.services[key]; s != nil {
		return s
	}
	key.Port = 0
	return t.services[key]
}

// destFor is the server of a connection, one that drains too.
func (s *service) destFor(c *lvs.Connection) *dest {
	if s.names == nil {
		s.names = make(map[netip.AddrPort]*dest, len(s.dests)+len(s.removed))
		for _, d := range s.removed {
			s.names[d.want.AddrPort()] = d
		}
		for _, d := range s.dests {
			s.names[d.want.AddrPort()] = d
		}
	}
	if d := s.names[c.Destination]; d != nil || c.Destination.Port() != c.Virtual.Port() {
		return d
	}
	return s.names[netip.AddrPortFrom(c.Destination.Addr(), 0)]
}

// injector returns lb_inject, loaded when it is needed first: the verifier takes
// some 150 ms over it, in which others may have the lock.
func (d *Dataplane) injector() (*ebpf.Program, error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, errClosed
	}
	p, known := d.obj.programs[injectProgram], maps.Clone(d.obj.maps)
	d.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := d.obj.loadInjector(known)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.Join(errClosed, p.Close())
	}
	d.obj.programs[injectProgram] = p
	return p, nil
}

// loadInjector takes lb_inject from where a process of the same build pinned it,
// or loads it over the maps and pins it.
func (o *objects) loadInjector(known map[string]*ebpf.Map) (*ebpf.Program, error) {
	dir := filepath.Join(o.dir, "programs", "inject-"+prog.XDPDigest())
	if o.adopted {
		if p, err := ebpf.LoadPinnedProgram(filepath.Join(dir, injectProgram), nil); err == nil {
			return p, nil
		}
	}
	spec, err := prog.LoadXDP()
	if err != nil {
		return nil, fmt.Errorf("BPF object: %w", err)
	}
	size(spec, 0, known)
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return name != injectProgram })
	opts := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}}
	for name := range spec.Maps {
		if m := known[name]; m != nil {
			opts.MapReplacements[name] = m
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, opts)
	if err != nil {
		return nil, fmt.Errorf("load BPF programs: %w%s", unsupported(err), hint(err))
	}
	defer coll.Close()
	if err := leavePrograms(spec, coll.Programs, dir); err != nil {
		return nil, err
	}
	return coll.DetachProgram(injectProgram), nil
}
