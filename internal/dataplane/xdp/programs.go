package xdp

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
)

// path is one of the two builds of the packet path.
type path struct {
	kind, entry, jumpMap string
	load                 func() (*ebpf.CollectionSpec, error)
	jumps                map[uint32]string
	digest               func() string
}

func pathOf(m Mode) path {
	if m == TC {
		return path{"tc", "lb_tc", "tc_jump", prog.LoadTC, prog.TCJumps, prog.TCDigest}
	}
	return path{"xdp", "lb_xdp", "xdp_jump", prog.LoadXDP, prog.XDPJumps, prog.XDPDigest}
}

// program returns the entry program for a mode, loaded with all that it calls.
//
// The verifier takes up to a second or two over a packet path, too long for a
// director that has to resume within one advertisement interval. So programs
// are pinned under the digest of their object, and a process that carries the
// same object takes them from there in no time.
func (o *objects) program(m Mode) (*ebpf.Program, error) {
	p := pathOf(m)
	if loaded := o.programs[p.entry]; loaded != nil {
		return loaded, nil
	}
	spec, err := p.load()
	if err != nil {
		return nil, fmt.Errorf("BPF object: %w", err)
	}
	size(spec, 0, o.maps)
	maps.DeleteFunc(spec.Programs, func(_ string, s *ebpf.ProgramSpec) bool { return s.Type == ebpf.Syscall })
	dir := filepath.Join(o.dir, "programs", p.kind+"-"+p.digest())
	if !o.takePrograms(spec, dir) {
		if err := o.loadOne(spec, nil); err != nil {
			return nil, err
		}
		if err := leavePrograms(spec, o.programs, dir); err != nil {
			return nil, err
		}
	}
	for index, name := range p.jumps {
		target := o.programs[name]
		if target == nil {
			return nil, fmt.Errorf("program %s is missing from the object", name)
		}
		if err := o.maps[p.jumpMap].Put(index, target); err != nil {
			return nil, fmt.Errorf("map %s: program %s: %w", p.jumpMap, name, err)
		}
	}
	return o.programs[p.entry], nil
}

// takePrograms opens the programs pinned in dir, all or none. They belong to
// the adopted maps only: new maps need programs of their own.
func (o *objects) takePrograms(spec *ebpf.CollectionSpec, dir string) bool {
	if !o.adopted {
		return false
	}
	found := map[string]*ebpf.Program{}
	for name := range spec.Programs {
		p, err := ebpf.LoadPinnedProgram(filepath.Join(dir, name), nil)
		if err != nil {
			for _, p := range found {
				_ = p.Close()
			}
			return false
		}
		found[name] = p
	}
	maps.Copy(o.programs, found)
	return true
}

// leavePrograms pins the programs for the next process, in place of those of
// another build. They are whole when the directory has its name.
func leavePrograms(spec *ebpf.CollectionSpec, programs map[string]*ebpf.Program, dir string) error {
	parent, name := filepath.Split(dir)
	kind, _, _ := strings.Cut(name, "-")
	old, err := filepath.Glob(filepath.Join(parent, kind+"-*"))
	if err != nil {
		return fmt.Errorf("pin programs: %w", err)
	}
	half := filepath.Join(parent, "new-"+name)
	for _, d := range append(old, half) {
		if err := removeTree(d); err != nil {
			return fmt.Errorf("pin programs: %w", err)
		}
	}
	if err := os.MkdirAll(half, 0o700); err != nil {
		return fmt.Errorf("pin programs: %w", err)
	}
	for name := range spec.Programs {
		if err := pinProgram(programs[name], filepath.Join(half, name)); err != nil {
			return errors.Join(fmt.Errorf("pin program %s: %w", name, err), removeTree(half))
		}
	}
	if err := os.Rename(half, dir); err != nil {
		return errors.Join(fmt.Errorf("pin programs: %w", err), removeTree(half))
	}
	return nil
}

// pinProgram pins a clone: a program object can be pinned only once, and the
// entry may become the trace of a clsact filter too.
func pinProgram(p *ebpf.Program, at string) error {
	clone, err := p.Clone()
	if err != nil {
		return err
	}
	return errors.Join(clone.Pin(at), clone.Close())
}
