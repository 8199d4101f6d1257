package xdp

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Sizes of the maps, for 10,000 services of four servers. ring has room for as
// many sh tables, or a thousand of mh.
const (
	maxServices = 16384
	maxDests    = 65536
	maxSlots    = 1 << 22
	maxStash    = 4096
	maxEvents   = 4 << 20 // bytes, 87,381 announcements

	// A host of less memory gets a quarter of each.
	smallHost = 3 << 30
)

// objects are the loaded programs and the maps, adopted or new.
type objects struct {
	dir      string // of the pins
	maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program
	mem      *memory
	adopted  bool
}

// loadObjects loads the programs over the maps that are pinned in dir, or over
// new ones, which the caller initializes and then pins.
func loadObjects(dir string, connections int, log *slog.Logger) (*objects, error) {
	pinned, err := openPinned(dir, log)
	if err != nil {
		return nil, err
	}
	o := &objects{dir: dir, maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}, adopted: pinned != nil}
	err = o.load(pinned, connections)
	closeMaps(pinned) // the collections have handles of their own
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

func (o *objects) load(pinned map[string]*ebpf.Map, connections int) error {
	for _, load := range []func() (*ebpf.CollectionSpec, error){prog.LoadXDP, prog.LoadTC} {
		spec, err := load()
		if err != nil {
			return fmt.Errorf("BPF object: %w", err)
		}
		size(spec, connections, pinned)
		// The verifier takes its time over those of the packet path; they are
		// loaded when an interface needs them.
		maps.DeleteFunc(spec.Programs, func(name string, p *ebpf.ProgramSpec) bool {
			return p.Type != ebpf.Syscall || name == injectProgram
		})
		if err := o.loadOne(spec, pinned); err != nil {
			return err
		}
	}
	var err error
	o.mem, err = mapMemory(o.maps)
	return err
}

// loadOne adds a collection's programs, and those of its maps that are not
// there yet.
func (o *objects) loadOne(spec *ebpf.CollectionSpec, pinned map[string]*ebpf.Map) error {
	opts := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}}
	for name := range spec.Maps {
		if m := o.maps[name]; m != nil {
			opts.MapReplacements[name] = m
		} else if m := pinned[name]; m != nil {
			opts.MapReplacements[name] = m
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, opts)
	if err != nil {
		return fmt.Errorf("load BPF programs: %w%s", unsupported(err), hint(err))
	}
	// The collection holds its own handles of the maps we gave it.
	for name, m := range coll.Maps {
		if o.maps[name] == nil {
			o.maps[name] = m
			delete(coll.Maps, name)
		}
	}
	for name, p := range coll.Programs {
		o.programs[name] = p
		delete(coll.Programs, name)
	}
	coll.Close()
	return nil
}

// unsupported marks what the kernel lacks as errors.ErrUnsupported, which
// ebpf.ErrNotSupported is not.
func unsupported(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) {
		return lackError{err}
	}
	return err
}

// lackError is something that the kernel lacks.
type lackError struct{ error }

func (e lackError) Unwrap() error   { return e.error }
func (lackError) Is(err error) bool { return err == errors.ErrUnsupported }

// hint says what an administrator can do about a failed load.
func hint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "; it needs root, or CAP_BPF and CAP_NET_ADMIN"
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, errors.ErrUnsupported):
		return "; the dataplane needs Linux 5.17 or newer"
	case errors.Is(err, unix.ENOMEM):
		return "; the connection table does not fit in memory, ask for fewer connections"
	}
	return ""
}

// size sets how many entries the maps get.
func size(spec *ebpf.CollectionSpec, connections int, pinned map[string]*ebpf.Map) {
	scale := uint32(1)
	if memTotal() < smallHost {
		scale = 4
	}
	entries := map[string]uint32{
		"conns": tableSets(connections), "stash": maxStash, "services": maxServices / scale, "srun": maxServices / scale,
		"sstats": maxServices / scale, "dests": maxDests / scale, "dcount": maxDests / scale, "dstats": maxDests / scale,
		"ring": maxSlots / scale, "events": maxEvents / scale,
	}
	for name, m := range spec.Maps {
		if n, ok := entries[name]; ok {
			m.MaxEntries = n
		}
		if p := pinned[name]; p != nil {
			m.MaxEntries = p.MaxEntries()
		}
	}
}

// tableSets is the number of sets for so many connections, a power of two.
func tableSets(connections int) uint32 {
	if connections <= 0 {
		connections = defaultConnections(memTotal())
	}
	sets := uint32(16)
	for int(sets)*prog.Ways < connections && sets < 1<<22 {
		sets <<= 1
	}
	return sets
}

// defaultConnections is 1,048,576 (75 MB) on a host of 4 GB or more (less what
// the kernel keeps for itself), a quarter above 1 GB, else 65,536.
func defaultConnections(total uint64) int {
	switch {
	case total >= 7<<29:
		return 1 << 20
	case total >= 7<<27:
		return 1 << 18
	}
	return 1 << 16
}

func memTotal() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return info.Totalram * uint64(info.Unit)
}

// openPinned opens the maps that an earlier process left in dir; nil is that
// there are none, or that they have another layout, which is said.
func openPinned(dir string, log *slog.Logger) (map[string]*ebpf.Map, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "maps"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pinned maps: %w", err)
	}
	found := map[string]*ebpf.Map{}
	for _, e := range entries {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, "maps", e.Name()), nil)
		if err != nil {
			closeMaps(found)
			return nil, fmt.Errorf("pinned map %s: %w", e.Name(), err)
		}
		found[e.Name()] = m
	}
	if err := sameLayout(found); err != nil {
		closeMaps(found)
		log.Warn("pinned maps have another layout, connections are not kept", "dir", dir, "reason", err)
		return nil, nil
	}
	return found, nil
}

// sameLayout says whether this program understands the pinned maps.
func sameLayout(pinned map[string]*ebpf.Map) error {
	var meta prog.Meta
	m := pinned["meta"]
	if m == nil {
		return errors.New("no meta map")
	}
	if err := m.Lookup(uint32(0), &meta); err != nil {
		return fmt.Errorf("meta map: %w", err)
	}
	if meta.Schema != prog.SchemaVersion {
		return fmt.Errorf("schema %d, this program has %d", meta.Schema, prog.SchemaVersion)
	}
	return nil
}

// pin pins all maps at once: in a directory beside, which is then renamed.
func (o *objects) pin(dir string) error {
	tmp := fmt.Sprintf("%s-new-%d", dir, os.Getpid())
	if err := removeTree(tmp); err != nil {
		return err
	}
	if err := o.pinInto(tmp); err != nil {
		return errors.Join(err, removeTree(tmp))
	}
	// Links that hold programs of another layout stay attached until theirs
	// are replaced; nothing else of what is there is of use.
	if err := moveLinks(dir, tmp); err != nil {
		return errors.Join(err, removeTree(tmp))
	}
	if err := removeTree(dir); err != nil {
		return errors.Join(err, removeTree(tmp))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return errors.Join(fmt.Errorf("pin directory %s: %w", dir, err), removeTree(tmp))
	}
	return nil
}

// sweepHalfMade removes what processes that died while creating left beside.
func sweepHalfMade(dir string) error {
	half, err := filepath.Glob(dir + "-new-*")
	if err != nil {
		return fmt.Errorf("pin directory %s: %w", dir, err)
	}
	for _, h := range half {
		if err := removeTree(h); err != nil {
			return err
		}
	}
	return nil
}

func moveLinks(from, to string) error {
	entries, err := os.ReadDir(filepath.Join(from, "links"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pinned links: %w", err)
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, "links", e.Name()), filepath.Join(to, "links", e.Name())); err != nil {
			return fmt.Errorf("pinned link %s: %w", e.Name(), err)
		}
	}
	return nil
}

func (o *objects) pinInto(tmp string) error {
	for _, sub := range []string{"maps", "links"} {
		if err := os.MkdirAll(filepath.Join(tmp, sub), 0o700); err != nil {
			return fmt.Errorf("pin directory: %w", err)
		}
	}
	for name, m := range o.maps {
		if name[0] == '.' {
			continue // constants of this load
		}
		if err := m.Pin(filepath.Join(tmp, "maps", name)); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	return nil
}

// removeTree is os.RemoveAll for a bpffs, where it may not follow surprises.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove pins: %w", err)
	}
	return nil
}

// initialize fills what a new table needs before the first packet.
func (o *objects) initialize(c *clock) error {
	s := o.mem.settings
	s.HashSeed, s.ConnsMask, s.TickShift = rand.Uint32(), uint32(len(o.mem.conns)-1), c.shift
	defaultTimeouts(s, c)
	if err := o.maps["meta"].Put(uint32(0), &prog.Meta{Schema: prog.SchemaVersion}); err != nil {
		return fmt.Errorf("map meta: %w", err)
	}
	return nil
}

// defaultTimeouts sets LVS's.
func defaultTimeouts(s *prog.Settings, c *clock) {
	for state := range lvs.ConnState(lvs.NumTCPStates) {
		s.Timeouts[state] = c.ticks(state.DefaultTimeout(lvs.TCP, false))
	}
	s.Timeouts[prog.TimeoutUDP] = c.ticks(lvs.StateNone.DefaultTimeout(lvs.UDP, false))
}

func (o *objects) close() error {
	var errs []error
	if o.mem != nil {
		errs = append(errs, o.mem.close())
	}
	for _, p := range o.programs {
		errs = append(errs, p.Close())
	}
	closeMaps(o.maps)
	return errors.Join(errs...)
}

func closeMaps(handles map[string]*ebpf.Map) {
	for _, m := range handles {
		_ = m.Close() // only a file descriptor
	}
}
