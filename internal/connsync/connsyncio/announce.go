package connsyncio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

const (
	changesLen = 2048 // changes fetched at once
	walkLen    = 512  // of the whole table, added at once
	sendTries  = 4
	retrySend  = time.Millisecond
)

// waker ends a wait from another goroutine.
type waker struct {
	mu      sync.Mutex
	cancel  context.CancelFunc
	pending bool
}

// wake ends the wait that is under way, or the next one.
func (w *waker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = true
	if w.cancel != nil {
		w.cancel()
	}
}

// wait returns a context that ends after d, or by wake.
func (w *waker) wait(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel = cancel
	if w.pending {
		w.pending = false
		cancel()
	}
	return ctx, cancel
}

// sent is what the announcer has done, for others to read.
type sent struct {
	active                                                        bool
	datagrams, bytes, connections, missed, dropped, errors, unfit uint64
	waiting                                                       int
	missedAt, droppedAt                                           time.Time
}

// announcing is the goroutine that announces.
type announcing struct {
	d      *Daemon
	out    *connsync.Announcer
	active bool
	buf    []lvs.Connection
	cursor uint32
	errors uint64
	source *link // whose key this is
	key    *connsync.Key
}

// over is a context that has ended: what is there, without waiting.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func (d *Daemon) announceLoop(ctx context.Context) {
	port := uint16(0)
	if d.spec.CatchUp {
		port = d.spec.CatchUpPort
	}
	a := &announcing{d: d, buf: make([]lvs.Connection, 0, changesLen), out: connsync.NewAnnouncer(connsync.AnnouncerSpec{
		SyncID: d.spec.SyncID, MaxLen: d.spec.MaxLen, QueueLen: d.spec.QueueLen, Rate: d.spec.Rate,
		Signed: d.key != nil, Life: d.life, CatchUp: port,
	})}
	for ctx.Err() == nil {
		a.round(ctx)
	}
	a.leave()
	a.answer()
}

// round is one round of the announcer: what is asked of it, changes, datagrams,
// a part of the whole table.
func (a *announcing) round(ctx context.Context) {
	a.d.mu.Lock()
	master := a.d.role.master
	a.d.mu.Unlock()
	switch {
	case master && !a.active:
		a.enter()
	case !master && a.active:
		a.leave()
	}
	a.answer()
	if !a.active {
		ctx, cancel := a.d.announce.wait(ctx, time.Second)
		<-ctx.Done()
		cancel()
		return
	}
	wait := a.out.Wait(time.Now())
	l := a.d.currentLink()
	if l == nil {
		wait = time.Second
	}
	waiting, cancel := a.d.announce.wait(ctx, wait)
	n, ok := a.take(waiting)
	if !ok {
		<-waiting.Done()
	}
	cancel()
	a.send(l, false)
	if n == 0 {
		a.walk(time.Now())
		a.send(l, false)
	}
	a.publish()
}

// enter begins to be a master.
func (a *announcing) enter() {
	err := a.d.table.SetSync(&a.d.spec.Rules)
	a.d.note("rules", wrap("announce changes", err))
	if err != nil {
		return
	}
	a.active, a.cursor = true, 0
	a.out.OweKept()
	a.publish()
}

// leave ends it: what changed until now is still announced.
func (a *announcing) leave() {
	if !a.active {
		return
	}
	a.drain()
	a.d.note("rules", wrap("stop announcing changes", a.d.table.SetSync(nil)))
	a.out.Clear()
	a.active = false
	a.publish()
}

// answer does what Flush and HandOver ask for.
func (a *announcing) answer() {
	a.d.mu.Lock()
	flushes := a.d.flushes
	a.d.flushes = nil
	a.d.mu.Unlock()
	if len(flushes) == 0 {
		return
	}
	var err error
	if a.active {
		if slices.ContainsFunc(flushes, func(f flush) bool { return f.handOver }) {
			a.handOver()
		}
		a.drain()
		a.publish()
		if n := a.out.Queued(); n > 0 {
			err = fmt.Errorf("sync daemon: flush: %d datagrams wait for interface %s", n, a.d.spec.Interface)
		}
	}
	for _, f := range flushes {
		f.done <- err
	}
}

// handOver has connections that are being set up announced from now on, and
// announces those that there are.
func (a *announcing) handOver() {
	rules := a.d.spec.Rules
	rules.HalfOpen = true
	err := a.d.table.SetSync(&rules)
	a.d.note("rules", wrap("announce changes", err))
	l := a.d.currentLink()
	for cursor, more := uint32(0), err == nil; more; more = err == nil && cursor != 0 {
		var part []lvs.Connection
		part, cursor, err = a.d.table.Walk(cursor, a.buf[:0])
		a.d.note("walk", wrap("walk", err))
		for i := range part {
			if c := &part[i]; !c.Template && !c.State.Announced(c.Protocol) {
				a.out.Add(c)
			}
		}
		a.out.Cut()
		a.send(l, true)
	}
}

// drain announces everything that has changed until now, whatever the rate.
func (a *announcing) drain() {
	l := a.d.currentLink()
	for until := time.Now().Add(flushTime); time.Now().Before(until); {
		a.send(l, true)
		if n, ok := a.take(over); n == 0 || !ok {
			break
		}
	}
	a.out.Cut()
	a.send(l, true)
}

// take adds changes to the queue and says how many they were.
func (a *announcing) take(ctx context.Context) (int, bool) {
	changes, missed, err := a.d.table.Announcements(ctx, a.buf[:0])
	a.d.note("changes", wrap("changes", err))
	for i := range changes {
		a.out.Add(&changes[i])
	}
	if missed > 0 {
		a.out.Miss(missed)
	}
	if len(changes) < cap(a.buf) {
		a.out.Cut()
	}
	return len(changes), err == nil
}

// send sends the datagrams that may leave.
func (a *announcing) send(l *link, urgent bool) {
	if l == nil {
		return
	}
	if a.d.key != nil && a.source != l {
		a.source, a.key = l, a.d.key.From(l.source.WithZone(""))
	}
	entries := a.d.table.Entries()
	for {
		b := a.out.Next(time.Now(), entries, a.key, urgent)
		if b == nil {
			return
		}
		if err := l.write(b); err != nil {
			a.errors++
			a.out.Miss(0)
			if !errors.Is(err, unix.ENOBUFS) {
				a.d.fail(l, "send", err)
				return
			}
		}
	}
}

// write sends one datagram. When the interface's queue is full it waits a
// little.
func (l *link) write(b []byte) (err error) {
	if err := l.send.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return err
	}
	for range sendTries {
		if _, err = l.send.Write(b); !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		time.Sleep(retrySend)
	}
	return err
}

// walk adds the next part of the whole table, or of what is kept, if that is
// owed.
func (a *announcing) walk(now time.Time) {
	var part []lvs.Connection
	var err error
	n := min(walkLen, a.out.Room())
	switch a.out.NextWalk(now) {
	case connsync.WalkTable:
		part, a.cursor, err = a.d.table.Walk(a.cursor, a.buf[:0:n])
		a.d.note("walk", wrap("walk", err))
	case connsync.WalkKept:
		a.d.mu.Lock()
		part, a.cursor = a.d.kept.Walk(now, a.cursor, a.buf[:0:n])
		a.d.mu.Unlock()
	case connsync.WalkNone:
		return
	}
	for i := range part {
		// LVS does not announce a connection that is being set up.
		if c := &part[i]; c.Template || c.State.Announced(c.Protocol) {
			a.out.Add(c)
		}
	}
	a.out.Cut()
	a.out.Walked(now, len(part), a.cursor == 0)
}

// publish lets others see the counters.
func (a *announcing) publish() {
	o, now := a.out, time.Now()
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	s := &a.d.sent
	if o.Missed > s.missed {
		s.missedAt = now
	}
	if o.Dropped > s.dropped {
		s.droppedAt = now
	}
	*s = sent{
		a.active, o.Datagrams, o.Bytes, o.Connections, o.Missed, o.Dropped, a.errors, o.Unfit,
		o.Queued(), s.missedAt, s.droppedAt,
	}
}

// wrap names what did not work with the table.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("connection table: %s: %w", what, err)
}
