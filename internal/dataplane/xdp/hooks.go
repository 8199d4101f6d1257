package xdp

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/snapshot"
)

// hooks is where the programs are attached. Callers hold Dataplane.mu and are
// in the dataplane's network namespace.
type hooks struct {
	dir      string // of the pinned links
	program  func(Mode) (*ebpf.Program, error)
	nl       *netlink.Handle
	ethtool  int // a socket for ethtool's ioctl
	log      *slog.Logger
	mode     Mode // Auto or an explicit one
	complete bool // Spec.CompleteChecksums
	noTCX    bool // as on a kernel before 6.6; for tests

	nat      bool // some service is NAT: modes that would corrupt it are out
	wanted   []string
	attached map[string]*hook
	failed   map[string]error
}

// hook is one interface's attachment.
type hook struct {
	name    string
	ifindex int
	mode    Mode
	driver  string
	why     string    // why not a better mode
	link    link.Link // nil for clsact
}

// set makes names the interfaces that are attached.
func (h *hooks) set(names []string) error {
	h.wanted = slices.Compact(slices.Sorted(slices.Values(names)))
	return h.apply()
}

// apply attaches what is wanted and there, and detaches the rest. It is
// repeated whenever interfaces change.
func (h *hooks) apply() error {
	var errs []error
	for name, a := range h.attached {
		if !slices.Contains(h.wanted, name) {
			errs = append(errs, h.detach(a))
		}
	}
	clear(h.failed)
	for _, name := range h.wanted {
		if err := h.attach(name); err != nil {
			h.failed[name] = err
			errs = append(errs, fmt.Errorf("interface %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// attach makes sure of one interface. One that does not exist is no error.
func (h *hooks) attach(name string) error {
	l, err := h.nl.LinkByName(name)
	old := h.attached[name]
	if err != nil {
		if _, ok := errors.AsType[netlink.LinkNotFoundError](err); !ok {
			return err
		}
		if old != nil {
			h.log.Info("interface is gone", "iface", name)
			return h.detach(old)
		}
		return nil
	}
	if old != nil && (old.ifindex != l.Attrs().Index || !h.alive(old)) {
		if err := h.detach(old); err != nil {
			return err
		}
		old = nil
	}
	driver := driverOf(h.ethtool, l)
	order, why := []Mode{h.mode}, ""
	if h.mode == Auto {
		order, why = prefer(driver)
	}
	if err := h.safe(driver, h.mode); err != nil {
		if old != nil {
			return nil // it stays for DR; Set refuses the NAT servers
		}
		return err
	}
	return h.attachFirst(l, driver, order, why, old)
}

// safe says why NAT rules a mode out on a driver.
func (h *hooks) safe(driver string, m Mode) error {
	if !h.nat || h.complete || m == Auto || !partialChecksums(driver, m) {
		return nil
	}
	return fmt.Errorf("%w: %s XDP on %s cannot do NAT, its senders may leave checksums to offload and packets would be corrupted; use mode tc or auto", ErrMode, m, driver)
}

// unsafe returns why NAT must be refused: an interface is attached, and could
// not be attached otherwise, in a mode that would corrupt its packets.
func (h *hooks) unsafe() error {
	var errs []error
	for _, name := range h.wanted {
		if a := h.attached[name]; a != nil {
			if err := h.safe(a.driver, a.mode); err != nil {
				errs = append(errs, fmt.Errorf("interface %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// attachFirst attaches in the first of the modes that works.
func (h *hooks) attachFirst(l netlink.Link, driver string, order []Mode, why string, old *hook) error {
	name := l.Attrs().Name
	var errs []error
	for _, m := range order {
		if old != nil && old.mode == m && h.safe(driver, m) == nil {
			old.driver, old.why = driver, why
			return nil
		}
		if err := h.safe(driver, m); err != nil {
			errs = append(errs, err)
			continue
		}
		// Native and generic XDP exclude each other on an interface.
		if old != nil && old.mode != TC && m != TC {
			if err := h.detach(old); err != nil {
				return err
			}
			old = nil
		}
		a, err := h.attachAs(l, m)
		if err != nil {
			errs = append(errs, err)
			if why == "" {
				why = err.Error()
			}
			continue
		}
		a.driver, a.why = driver, why
		if old != nil {
			if err := h.detach(old); err != nil {
				h.log.Warn("earlier attachment stays", "iface", name, "mode", old.mode, "reason", err)
			}
		}
		h.attached[name] = a
		h.log.Info("dataplane attached", "iface", name, "mode", string(m), "driver", driver, "reason", why)
		return nil
	}
	return errors.Join(errs...)
}

func (h *hooks) attachAs(l netlink.Link, m Mode) (*hook, error) {
	a := &hook{name: l.Attrs().Name, ifindex: l.Attrs().Index, mode: m}
	var err error
	if m == TC {
		a.link, err = h.attachTC(l)
	} else {
		a.link, err = h.attachXDP(l, m)
	}
	if err != nil {
		return nil, err
	}
	if err := h.pin(a); err != nil {
		return nil, errors.Join(err, h.detach(a))
	}
	return a, nil
}

// pin leaves a trace of the attachment, by which it outlives this process. A
// clsact filter lives by itself; its trace is the program.
func (h *hooks) pin(a *hook) error {
	path := filepath.Join(h.dir, pinName(a.name, a.mode))
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pin of %s: %w", a.name, err)
	}
	if a.link != nil {
		if err := a.link.Pin(path); err != nil {
			return fmt.Errorf("pin link of %s: %w", a.name, err)
		}
		return nil
	}
	p, err := h.program(TC)
	if err != nil {
		return err
	}
	clone, err := p.Clone() // a program object can be pinned only once
	if err != nil {
		return fmt.Errorf("pin of %s: %w", a.name, err)
	}
	defer func() { _ = clone.Close() }()
	if err := clone.Pin(path); err != nil {
		return fmt.Errorf("pin of %s: %w", a.name, err)
	}
	return nil
}

// detach removes an attachment and its trace.
func (h *hooks) detach(a *hook) error {
	if h.attached[a.name] == a {
		delete(h.attached, a.name)
	}
	var errs []error
	if err := os.Remove(filepath.Join(h.dir, pinName(a.name, a.mode))); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, fmt.Errorf("unpin %s: %w", a.name, err))
	}
	if a.link != nil {
		errs = append(errs, a.link.Close())
	} else if l, err := h.nl.LinkByIndex(a.ifindex); err == nil && l.Attrs().Name == a.name {
		if err := h.nl.FilterDel(filter(a.ifindex, nil)); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove TC filter of %s: %w", a.name, err))
		}
		// The clsact qdisc may be somebody else's too; it costs nothing.
	}
	return errors.Join(errs...)
}

// alive reports whether the attachment still is in place: a link dies with its
// interface, and an administrator may have removed a filter.
func (h *hooks) alive(a *hook) bool {
	if a.link == nil {
		return h.filterThere(a.ifindex)
	}
	index, ok := linkIfindex(a.link)
	return ok && index == a.ifindex
}

func linkIfindex(l link.Link) (int, bool) {
	info, err := l.Info()
	if err != nil {
		return 0, false
	}
	if x := info.XDP(); x != nil {
		return int(x.Ifindex), x.Ifindex != 0
	}
	if x := info.TCX(); x != nil {
		return int(x.Ifindex), x.Ifindex != 0
	}
	return 0, false
}

// filterThere reports whether our filter is on the interface. While others
// change theirs the kernel may give a list that is not whole, so one list
// without ours proves nothing.
func (h *hooks) filterThere(ifindex int) bool {
	l, err := h.nl.LinkByIndex(ifindex)
	if err != nil {
		return false
	}
	for range 3 {
		filters, _ := h.nl.FilterList(l, netlink.HANDLE_MIN_INGRESS) // an error is no proof either
		if slices.ContainsFunc(filters, func(f netlink.Filter) bool {
			b, ok := f.(*netlink.BpfFilter)
			return ok && strings.HasPrefix(b.Name, filterName)
		}) {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// adopt takes over what an earlier process left attached, and swaps in this
// process's programs, each in one atomic step. What it cannot take over it
// removes: an interface that is gone, a file that it does not know.
func (h *hooks) adopt() error {
	entries, err := os.ReadDir(h.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pinned links: %w", err)
	}
	// A program that does not load must not cost what an earlier one carries.
	for _, e := range entries {
		if _, mode, ok := parsePinName(e.Name()); ok {
			if _, err := h.program(mode); err != nil {
				return err
			}
		}
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(h.dir, e.Name())
		a, err := h.adoptOne(path, e.Name())
		if err == nil {
			h.attached[a.name] = a
			// Wanted until SetInterfaces says otherwise: a link event before it
			// must not detach what carries traffic.
			h.wanted = append(h.wanted, a.name)
			continue
		}
		h.log.Warn("earlier attachment not adopted", "pin", e.Name(), "reason", err)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("unpin %s: %w", e.Name(), err))
		}
	}
	return errors.Join(errs...)
}

func (h *hooks) adoptOne(path, file string) (*hook, error) {
	name, mode, ok := parsePinName(file)
	if !ok {
		return nil, errors.New("no name of an attachment")
	}
	a := &hook{name: name, mode: mode}
	p, err := h.program(mode)
	if err != nil {
		return nil, err
	}
	if l, err := h.nl.LinkByName(name); err == nil {
		a.ifindex = l.Attrs().Index
		a.driver = driverOf(h.ethtool, l)
	}
	x, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		old, perr := ebpf.LoadPinnedProgram(path, nil)
		if perr != nil {
			return nil, err
		}
		_ = old.Close()
		if mode != TC || a.ifindex == 0 || !h.filterThere(a.ifindex) {
			return nil, errors.New("its TC filter is gone")
		}
		if err := h.nl.FilterReplace(filter(a.ifindex, p)); err != nil {
			return nil, fmt.Errorf("TC filter: %w", err)
		}
		return a, h.pin(a)
	}
	a.link = x
	if !h.alive(a) {
		return nil, errors.Join(errors.New("its interface is gone"), x.Close())
	}
	if err := x.Update(p); err != nil {
		h.log.Warn("the earlier process's program stays", "iface", name, "mode", string(mode), "reason", err)
	}
	return a, nil
}

// close gives up handles; what is pinned stays.
func (h *hooks) close() error {
	var errs []error
	for _, a := range h.attached {
		if a.link != nil {
			errs = append(errs, a.link.Close())
		}
	}
	clear(h.attached)
	return errors.Join(errs...)
}

// status lists the wanted interfaces.
func (h *hooks) status() []snapshot.AttachedTo {
	out := make([]snapshot.AttachedTo, 0, len(h.wanted))
	for _, name := range h.wanted {
		s := snapshot.AttachedTo{Name: name}
		switch a, err := h.attached[name], h.failed[name]; {
		case err != nil:
			s.Why = err.Error()
			if a != nil {
				s.Mode = string(a.mode)
			}
		case a != nil:
			s.Mode, s.Why = string(a.mode), a.why
		default:
			s.Why = "there is no such interface now; it is attached when it appears"
		}
		out = append(out, s)
	}
	return out
}
