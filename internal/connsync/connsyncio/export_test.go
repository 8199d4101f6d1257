package connsyncio

import (
	"context"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
)

// Within makes the daemon's sockets by way of enter, which runs a function in
// a network namespace.
func (d *Daemon) Within(enter func(func() error) error) { d.enter = enter }

// CutStreams closes the catch-up streams that are open, as a network does.
func (d *Daemon) CutStreams() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.streams.callers {
		c.Close()
	}
	return len(d.streams.callers)
}

// Ask fetches the table of a master that was not heard.
func (d *Daemon) Ask(from netip.AddrPort) error {
	d.mu.Lock()
	f := d.newFetching(context.Background(), connsync.Fetch{From: from, SyncID: d.spec.SyncID}, time.Now())
	d.mu.Unlock()
	defer f.cancel()
	return f.fetch()
}
