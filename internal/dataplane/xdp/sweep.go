package xdp

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Sweep removes what is pinned in dir and detaches it, without loading
// anything: for whoever cleans up after a process that died. Nothing pinned is
// no error. It fails with ErrInUse while a process has dir open, and works in
// the network namespace of the calling thread.
func Sweep(dir string, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir = filepath.Clean(dir)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := takePins(dir, log)
	if err != nil {
		return err
	}
	return errors.Join(sweepFilters(filepath.Join(dir, "links")), sweepHalfMade(dir), removeTree(dir), lock.release(true))
}

// sweepFilters removes the clsact filters that dir speaks of. Links need
// nothing: they go with their pins.
func sweepFilters(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pinned links: %w", err)
	}
	nl, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer nl.Close()
	h := &hooks{dir: dir, nl: nl}
	var errs []error
	for _, e := range entries {
		name, mode, ok := parsePinName(e.Name())
		if !ok || mode != TC {
			continue
		}
		if x, err := link.LoadPinnedLink(filepath.Join(dir, e.Name()), nil); err == nil {
			_ = x.Close() // only a handle
			continue
		}
		if l, err := nl.LinkByName(name); err == nil {
			errs = append(errs, h.detach(&hook{name: name, mode: mode, ifindex: l.Attrs().Index}))
		}
	}
	return errors.Join(errs...)
}
