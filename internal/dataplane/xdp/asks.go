package xdp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
)

const (
	// askPeriod is how often one client's neighbour is asked for.
	askPeriod = 200 * time.Millisecond
	// askClients bounds the memory of who was asked for.
	askClients = 1 << 14
)

// runAsks finds the way to clients for replies that wait for it (abi.h, struct
// ask), and enters it.
func (d *Dataplane) runAsks(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = d.asks.Flush() })() // closed is as good
	asked := map[netip.Addr]time.Time{}
	var r ringbuf.Record
	for {
		err := d.asks.ReadInto(&r)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ringbuf.ErrFlushed):
			continue // of an earlier Run
		case err != nil:
			return fmt.Errorf("dataplane: map asks: %w", err)
		case len(r.RawSample) != int(unsafe.Sizeof(prog.Ask{})):
			continue
		}
		ask := *(*prog.Ask)(unsafe.Pointer(unsafe.SliceData(r.RawSample)))
		client, now := prog.Addr4From(ask.Key.Src), time.Now()
		if now.Before(asked[client]) {
			continue
		}
		if len(asked) >= askClients {
			clear(asked)
		}
		if !d.findClient(&ask.Key, client) {
			asked[client] = now.Add(askPeriod)
		}
	}
}

// findClient enters the way to the client of the connection with this key; false
// is that it is not known yet.
func (d *Dataplane) findClient(key *prog.Flow, client netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	h, err := d.near.client(client)
	if err != nil {
		d.log.Warn("client's neighbour not asked for", "client", client, "reason", err)
	}
	if !h.resolved || h.local {
		return false
	}
	if e := d.obj.mem.find(key); e != nil && atomic.LoadUint32(&e.Ifindex) == 0 {
		e.L2Src, e.L2Dst, e.Vlan = h.dmac, h.smac, h.vlan
		atomic.StoreUint32(&e.Ifindex, uint32(h.ifindex))
	}
	return true
}

// find returns the live entry of a flow in the table; those in the stash were
// made by packets and need nothing of us.
func (m *memory) find(f *prog.Flow) *prog.Conn {
	place := prog.PlaceOf(m.settings, f)
	for _, set := range place.Set {
		s := &m.conns[set]
		for w := range prog.Ways {
			e := &s.Way[w]
			if atomic.LoadUint32(&s.Tag[w]) == place.Tag && e.Key == *f && live(atomic.LoadUint32(&e.State)) {
				return e
			}
		}
	}
	return nil
}
