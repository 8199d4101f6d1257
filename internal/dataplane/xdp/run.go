package xdp

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	scanPeriod    = 50 * time.Millisecond // one slice; a pass takes a second
	refreshPeriod = 30 * time.Second      // neighbours, and a look at everything
	settle        = 20 * time.Millisecond // changes of routes and links come in bursts
)

func lockThread() { runtime.LockOSThread() }

// Run does what must go on while the process lives: expiry and audit of the
// connection table, neighbours, rates, interfaces. It returns nil when ctx
// ends.
func (d *Dataplane) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.runTable(ctx) })
	g.Go(func() error { return d.runHost(ctx) })
	g.Go(func() error { return d.runAsks(ctx) })
	return g.Wait()
}

// runTable scans, reaps and estimates.
func (d *Dataplane) runTable(ctx context.Context) error {
	scan, rates := time.NewTicker(scanPeriod), time.NewTicker(estimatePeriod)
	defer scan.Stop()
	defer rates.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-scan.C:
			err = d.scanSlice()
		case <-rates.C:
			err = d.estimate()
		}
		if err != nil {
			return fmt.Errorf("dataplane: %w", err)
		}
	}
}

func (d *Dataplane) scanSlice() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	now, err := d.clock.now()
	if err != nil {
		return err
	}
	corrected, repaired := d.scan.corrected, d.scan.repaired
	if !d.scan.slice(now) {
		return nil
	}
	if d.scan.corrected != corrected || d.scan.repaired != repaired {
		d.log.Warn("connection table repaired", "counts", d.scan.corrected-corrected, "entries", d.scan.repaired-repaired)
	}
	if d.scan.stashed() {
		if _, err := d.obj.programs["lb_sweep"].Run(&ebpf.RunOptions{}); err != nil {
			return fmt.Errorf("sweep the stash: %w", err)
		}
	}
	return d.reap()
}

// reap frees the slots of removed servers that two whole passes found unnamed.
func (d *Dataplane) reap() error {
	for _, r := range d.tab.dests {
		if r != nil && !r.available() && r.empty >= 2 {
			if err := d.tab.reap(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// runHost follows the host's links, addresses, routes and neighbours. When a
// subscription breaks (the kernel drops one whose reader is slow) everything
// is read anew.
func (d *Dataplane) runHost(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := d.follow(ctx); err != nil {
			return fmt.Errorf("dataplane: follow the host: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(settle):
		}
	}
	return nil
}

func (d *Dataplane) follow(ctx context.Context) error {
	done := make(chan struct{})
	defer close(done)
	neigh := make(chan netlink.NeighUpdate, 256)
	links := make(chan netlink.LinkUpdate, 64)
	routes := make(chan netlink.RouteUpdate, 256)
	addrs := make(chan netlink.AddrUpdate, 64)
	ns := d.ns
	if err := netlink.NeighSubscribeWithOptions(neigh, done, netlink.NeighSubscribeOptions{Namespace: &ns}); err != nil {
		return fmt.Errorf("neighbours: %w", err)
	}
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{Namespace: &ns}); err != nil {
		return fmt.Errorf("links: %w", err)
	}
	if err := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{Namespace: &ns}); err != nil {
		return fmt.Errorf("routes: %w", err)
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{Namespace: &ns}); err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	d.follows(true)
	defer d.follows(false)
	d.look() // what changed before the subscriptions
	refresh := time.NewTicker(refreshPeriod)
	defer refresh.Stop()
	var dirty <-chan time.Time
	for {
		ok := true
		select {
		case <-ctx.Done():
			return nil
		case <-refresh.C:
			d.refresh()
		case <-dirty:
			dirty = nil
			d.look()
		case u, open := <-neigh:
			if ok = open; ok {
				d.neighbour(u)
			}
		case _, ok = <-links:
			dirty = soon(dirty)
		case _, ok = <-routes:
			dirty = soon(dirty)
		case _, ok = <-addrs:
			dirty = soon(dirty)
		}
		if !ok {
			return nil
		}
	}
}

func (d *Dataplane) follows(yes bool) {
	d.mu.Lock()
	d.following = yes
	d.mu.Unlock()
}

func soon(dirty <-chan time.Time) <-chan time.Time {
	if dirty != nil {
		return dirty
	}
	return time.After(settle)
}

// neighbour follows one change of the neighbour table.
func (d *Dataplane) neighbour(u netlink.NeighUpdate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	key, changed := d.near.learn(u.Neigh, u.Type == unix.RTM_DELNEIGH)
	if u.Type == unix.RTM_DELNEIGH && d.near.wanted[key] {
		_ = d.near.ask(key) // collected; an interface that is gone comes by its own event
	}
	if !changed {
		return
	}
	d.rehop(func(r *dest) bool { return d.near.via[r.want.Addr] == key })
}

// look takes in the host as it is: interfaces, routes, neighbours.
func (d *Dataplane) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.near.forgetLinks()
	if err := d.near.read(); err != nil {
		d.log.Warn("neighbour table not read", "reason", err)
	}
	said := ""
	if err := d.inNamespace(d.hooks.apply); err != nil {
		if said = err.Error(); said != d.said {
			d.log.Warn("interfaces not attached", "reason", err)
		}
	}
	d.said = said
	if err := d.macs(); err != nil {
		d.log.Warn("own addresses not written", "reason", err)
	}
	d.rehop(func(*dest) bool { return true })
}

func (d *Dataplane) refresh() {
	d.mu.Lock()
	if !d.closed {
		d.near.refresh()
	}
	d.mu.Unlock()
	d.look()
}

func (d *Dataplane) rehop(changed func(*dest) bool) {
	before := map[netip.Addr]hop{}
	for _, r := range d.tab.dests {
		if r != nil {
			before[r.want.Addr] = r.hop
		}
	}
	if err := d.tab.rehop(changed); err != nil {
		d.log.Warn("way to servers not written", "reason", err)
	}
	for _, r := range d.tab.dests {
		if r == nil {
			continue
		}
		if was, ok := before[r.want.Addr]; ok && was != r.hop {
			delete(before, r.want.Addr)
			d.log.Info("way to server changed", "server", r.want.Addr, "resolved", r.hop.resolved, "mac", macText(r.hop.dmac), "reason", r.hop.why)
		}
	}
}

func macText(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}
