package xdp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// batchPause is the time between two looks at the ring while there is news. The
// packet path wakes the reader only when he has caught up, so the longer he
// stays away the rarer its wake-ups, which cost more than the announcements.
const batchPause = 3 * time.Millisecond

// namedAtOnce is how many events are given their names under one hold of the
// lock, about 1 ms.
const namedAtOnce = 4096

// announcer is the reader's end of the ring of announcements.
type announcer struct {
	ring    *ringbuf.Reader
	reasons *ebpf.Map

	mu     sync.Mutex // one reader at a time; taken before Dataplane.mu
	next   time.Time  // not before
	record ringbuf.Record
	events []prog.Event
}

func newAnnouncer(o *objects) (*announcer, error) {
	ring, err := ringbuf.NewReader(o.maps["events"])
	if err != nil {
		return nil, fmt.Errorf("map events: %w", err)
	}
	return &announcer{ring: ring, reasons: o.maps["reasons"]}, nil
}

// Announcements waits for connections that the rules want announced, appends
// those that are there to buf, at most as many as it has room for, and returns
// it. What an earlier process left unread comes first. missed is how many
// found no room since the last call, of this process or an earlier one. When
// ctx ends it returns what there is and no error.
func (d *Dataplane) Announcements(ctx context.Context, buf []lvs.Connection) (out []lvs.Connection, missed uint64, err error) {
	a := d.news
	a.mu.Lock()
	defer a.mu.Unlock()
	for out = buf; ; {
		if err = a.read(ctx, cap(buf)-len(out)); err != nil {
			return out, 0, err
		}
		if out, err = d.name(out, a.events); err != nil {
			return out, 0, err
		}
		if missed, err = d.missed(); err != nil || missed > 0 || len(out) > len(buf) || len(buf) == cap(buf) || ctx.Err() != nil {
			return out, missed, err
		}
	}
}

// read fills a.events with what is in the ring, at most n, and waits for the
// first one until ctx ends.
func (a *announcer) read(ctx context.Context, n int) error {
	a.events = a.events[:0]
	if n <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(a.next)):
	}
	stop := context.AfterFunc(ctx, func() { _ = a.ring.Flush() }) // closed is as good
	defer stop()
	a.ring.SetDeadline(time.Time{})
	for len(a.events) < n {
		err := a.ring.ReadInto(&a.record)
		switch {
		case errors.Is(err, ringbuf.ErrFlushed) && ctx.Err() == nil && len(a.events) == 0:
			continue // of an earlier call's ctx
		case errors.Is(err, ringbuf.ErrFlushed), errors.Is(err, os.ErrDeadlineExceeded):
			a.pause()
			return nil
		case err != nil:
			return fmt.Errorf("map events: %w", err)
		}
		if len(a.events) == 0 {
			a.ring.SetDeadline(time.Now()) // what there is, from now on
		}
		if b := a.record.RawSample; len(b) == int(unsafe.Sizeof(prog.Event{})) {
			a.events = append(a.events, *(*prog.Event)(unsafe.Pointer(unsafe.SliceData(b))))
		}
	}
	return nil
}

// pause puts off the next look, after one that emptied the ring.
func (a *announcer) pause() {
	if len(a.events) > 0 {
		a.next = time.Now().Add(batchPause)
	}
}

// discard drops what is unread. With a reader at work there is nothing to drop:
// what he has not taken yet is new.
func (a *announcer) discard() error {
	if !a.mu.TryLock() {
		return nil
	}
	defer a.mu.Unlock()
	a.ring.SetDeadline(time.Now())
	for {
		err := a.ring.ReadInto(&a.record)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil && !errors.Is(err, ringbuf.ErrFlushed) {
			return fmt.Errorf("map events: %w", err)
		}
	}
}

// name appends the connections of events; those of a server that is gone are
// left out.
func (d *Dataplane) name(out []lvs.Connection, events []prog.Event) ([]lvs.Connection, error) {
	for len(events) > 0 {
		n := min(len(events), namedAtOnce)
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return out, errClosed
		}
		for i := range events[:n] {
			ev := &events[i]
			if to := d.tab.owner(ev.Dest, ev.DestGen); to != nil {
				e := prog.Conn{Key: ev.Key, Timeout: ev.Timeout, InPkts: ev.InPkts}
				out = append(out, connection(&e, ev.State, 0, d.clock, to))
			}
		}
		d.mu.Unlock()
		events = events[n:]
	}
	return out, nil
}

// missed returns how many announcements found no room since it was asked last.
func (d *Dataplane) missed() (uint64, error) {
	var perCPU []uint64
	if err := d.news.reasons.Lookup(uint32(prog.XDPReasonREASON_SYNC_MISSED), &perCPU); err != nil {
		return 0, fmt.Errorf("map reasons: %w", err)
	}
	total := uint32(0)
	for _, n := range perCPU {
		total += uint32(n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, errClosed
	}
	return uint64(total - atomic.SwapUint32(&d.obj.mem.runtime.MissedTold, total)), nil
}
