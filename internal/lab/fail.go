package lab

import (
	"errors"
	"fmt"
)

// SetLink pulls the cable of an interface (false) or plugs it in again (true)
// and returns when both ends have noticed. The interface itself stays up, as
// with a real cable: it loses its carrier.
func (h *Host) SetLink(iface string, up bool) error {
	c := h.cables[iface]
	if c == nil {
		return fmt.Errorf("host %s: no interface %s", h.spec.Name, iface)
	}
	if err := c.set(up); err != nil {
		return fmt.Errorf("host %s: cable of %s: %w", h.spec.Name, iface, err)
	}
	if err := h.awaitLink(iface, up); err != nil {
		return fmt.Errorf("host %s: %w", h.spec.Name, err)
	}
	return nil
}

// Lose is a power failure: every cable is dead, every process is killed and
// every server of the host is gone, none of them with time for a farewell.
// The cables go first, so that no reset or last advert leaves the host.
func (h *Host) Lose() error {
	var errs []error
	for name, c := range h.cables {
		if err := c.set(false); err != nil {
			errs = append(errs, fmt.Errorf("host %s: cable of %s: %w", h.spec.Name, name, err))
		}
	}
	return errors.Join(append(errs, h.killEverything())...)
}

// Restore plugs a lost host in again. Like a booted machine it has what its
// spec says and nothing that its programs left: no process, no address that
// was added, no pinned BPF object, no attached program.
func (h *Host) Restore() error {
	if err := h.forget(); err != nil {
		return fmt.Errorf("host %s: %w", h.spec.Name, err)
	}
	var errs []error
	for name := range h.cables {
		errs = append(errs, h.SetLink(name, true))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return h.addRoutes()
}

// killEverything ends all processes in the host, whoever started them, and
// the servers that run in Go.
func (h *Host) killEverything() error {
	var err error
	if h.id != (inode{}) {
		if err = killAll(h.id); err != nil {
			err = fmt.Errorf("host %s: %w", h.spec.Name, err)
		}
	}
	h.mu.Lock()
	things := h.things
	h.things = nil
	h.mu.Unlock()
	for _, end := range things {
		end()
	}
	return err
}
