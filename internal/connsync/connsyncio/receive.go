package connsyncio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

const oobLen = 128

// placer enters connections into the table. It belongs to one goroutine.
type placer struct {
	d   *Daemon
	out []lvs.Placement
}

// place enters connections into the table and keeps what finds no place there.
// With mark they are as old as that, else of now.
func (p *placer) place(cs []lvs.Connection, mark uint32) error {
	if len(cs) == 0 {
		return nil
	}
	if len(cs) > cap(p.out) {
		p.out = make([]lvs.Placement, 2*len(cs))
	}
	out := p.out[:len(cs)]
	err := wrap("enter connections", p.d.table.Inject(cs, out, mark))
	if p.d.note("inject", err); err != nil {
		return err
	}
	return p.settle(cs, out, mark)
}

// settle counts what became of connections and keeps those without a place.
func (p *placer) settle(cs []lvs.Connection, out []lvs.Placement, mark uint32) (err error) {
	now := time.Now()
	homeless := false
	for _, o := range out {
		homeless = homeless || !o.InTable()
	}
	if homeless && mark == 0 {
		if mark, err = p.d.table.Mark(); err != nil {
			return wrap("clock", err)
		}
	}
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for i, o := range out {
		p.d.placements[min(o, lvs.NumPlacements-1)]++
		if o.InTable() {
			p.d.kept.Settle(&cs[i], o)
		} else {
			p.d.kept.Put(now, &cs[i], o, mark)
		}
	}
	return nil
}

// receive takes what others announce until the link is closed.
func (d *Daemon) receive(l *link) {
	ms := make([]ipv4.Message, batchLen)
	for i := range ms {
		ms[i].Buffers, ms[i].OOB = [][]byte{make([]byte, maxDatagram)}, make([]byte, oobLen)
	}
	p := placer{d: d}
	var conns []lvs.Connection
	var dropped uint32
	for {
		n, err := l.batch.ReadBatch(ms, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			d.fail(l, "receive", err)
			return
		}
		conns, dropped = d.takeBatch(l, ms[:n], conns[:0], dropped)
		// An error has been noted; what was not entered comes again with a
		// catch-up or with the next change.
		_ = p.place(conns, 0)
	}
}

// fail says that a socket does not work: the link is made anew.
func (d *Daemon) fail(l *link, what string, err error) {
	l.failed.Store(true)
	d.note("socket", fmt.Errorf("interface %s: %s: %w", d.spec.Interface, what, err))
	d.wake()
}

// takeBatch makes connections of datagrams. dropped is how many the kernel has
// dropped so far.
func (d *Daemon) takeBatch(l *link, ms []ipv4.Message, conns []lvs.Connection, dropped uint32) ([]lvs.Connection, uint32) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range ms {
		m := &ms[i]
		index, total := control(m.OOB[:m.NN])
		if more := int32(total - dropped); more > 0 { // it is told only sometimes
			d.overrun += uint64(more)
			dropped = total
		}
		from, ok := m.Addr.(*net.UDPAddr)
		if !ok || index != l.index {
			continue
		}
		addr := from.AddrPort().Addr().Unmap()
		conns = d.backup.Take(now, addr.WithZone(""), m.Buffers[0][:m.N], conns)
	}
	return conns, dropped
}

// retryKept tries connections again that have found no place: all when the
// services have changed, else those that a full table or a clash kept out.
func (w *work) retryKept(ctx context.Context, now time.Time) {
	d := w.d
	d.mu.Lock()
	defer d.mu.Unlock()
	why := func(lvs.Placement) bool { return true }
	switch {
	case w.retrier != nil && !isClosed(w.retrier):
		return
	case d.retry:
		d.retry = false
	case now.Sub(w.retried) < retryKept, d.kept.Count(lvs.TableFull)+d.kept.Count(lvs.Clash) == 0:
		return
	default:
		why = func(p lvs.Placement) bool { return p == lvs.TableFull || p == lvs.Clash }
	}
	w.retried, w.retrier = now, make(chan struct{})
	w.wg.Go(func() {
		defer close(w.retrier)
		d.retryAll(ctx, why)
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (d *Daemon) retryAll(ctx context.Context, why func(lvs.Placement) bool) {
	buf, out := make([]lvs.Connection, 0, changesLen), make([]lvs.Placement, changesLen)
	for cursor := uint32(0); ctx.Err() == nil; {
		d.mu.Lock()
		part, next, mark := d.kept.Retry(time.Now(), cursor, buf[:0], why)
		d.mu.Unlock()
		err := wrap("enter kept connections", d.table.Inject(part, out[:len(part)], mark))
		if d.note("inject", err); err != nil {
			return
		}
		d.mu.Lock()
		for i, o := range out[:len(part)] {
			d.kept.Settle(&part[i], o)
			if o.InTable() {
				d.placements[o]++
			}
		}
		d.mu.Unlock()
		if cursor = next; cursor == 0 {
			return
		}
	}
}

// Kept yields the connections that were announced to us and that the table
// does not have. Their Expires is what is left.
func (d *Daemon) Kept(yield func(lvs.Connection) bool) {
	buf := make([]lvs.Connection, 0, changesLen)
	for cursor := uint32(0); ; {
		var part []lvs.Connection
		part, cursor = d.keptPart(cursor, buf)
		for _, c := range part {
			if !yield(c) {
				return
			}
		}
		if cursor == 0 {
			return
		}
	}
}

func (d *Daemon) keptPart(cursor uint32, buf []lvs.Connection) ([]lvs.Connection, uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kept.Walk(time.Now(), cursor, buf[:0])
}

// peerAddr is where a peer is reached from this link: a link-local address
// needs the interface.
func peerAddr(spec Spec, f connsync.Fetch) netip.AddrPort {
	if a := f.From.Addr(); a.IsLinkLocalUnicast() && a.Is6() {
		return netip.AddrPortFrom(a.WithZone(spec.Interface), f.From.Port())
	}
	return f.From
}
