package xdp

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
)

// memory is the maps that the packet path and this process share word by
// word. Every access to a word that the packet path also writes goes through
// sync/atomic. The slices are invalid after close.
type memory struct {
	conns    []prog.ConnSet
	counts   []prog.DestCount
	settings *prog.Settings
	runtime  *prog.Runtime
	inbox    []prog.Arrival

	raw [][]byte
}

func mapMemory(m map[string]*ebpf.Map) (*memory, error) {
	mem := &memory{}
	var err error
	if mem.conns, err = share[prog.ConnSet](mem, m, "conns"); err != nil {
		return nil, err
	}
	if mem.counts, err = share[prog.DestCount](mem, m, "dcount"); err != nil {
		return nil, err
	}
	s, err := share[prog.Settings](mem, m, "settings")
	if err != nil {
		return nil, err
	}
	r, err := share[prog.Runtime](mem, m, "runtime")
	if err != nil {
		return nil, err
	}
	if mem.inbox, err = share[prog.Arrival](mem, m, "inbox"); err != nil {
		return nil, err
	}
	mem.settings, mem.runtime = &s[0], &r[0]
	return mem, nil
}

// share maps one array map into our memory as a slice of its values.
func share[T any](mem *memory, maps map[string]*ebpf.Map, name string) ([]T, error) {
	m := maps[name]
	var v T
	if uintptr(m.ValueSize()) != unsafe.Sizeof(v) || m.MaxEntries() == 0 {
		return nil, errors.Join(fmt.Errorf("map %s: values of %d bytes, expected %d", name, m.ValueSize(), unsafe.Sizeof(v)), mem.close())
	}
	page := os.Getpagesize()
	size := int(m.ValueSize()) * int(m.MaxEntries())
	b, err := unix.Mmap(m.FD(), 0, (size+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map %s: share its memory: %w", name, err), mem.close())
	}
	mem.raw = append(mem.raw, b)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), m.MaxEntries()), nil
}

func (m *memory) close() error {
	var errs []error
	for _, b := range m.raw {
		errs = append(errs, unix.Munmap(b))
	}
	m.raw, m.conns, m.counts, m.settings, m.runtime, m.inbox = nil, nil, nil, nil, nil, nil
	return errors.Join(errs...)
}

// setBits and clearBits change a word that the packet path changes too; they
// report whether anything changed.
func setBits(p *uint32, bits uint32) bool { return atomic.OrUint32(p, bits)&bits != bits }

func clearBits(p *uint32, bits uint32) bool { return atomic.AndUint32(p, ^bits)&bits != 0 }
