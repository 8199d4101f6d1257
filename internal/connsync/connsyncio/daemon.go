package connsyncio

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// Times of the daemon.
const (
	tickEvery  = 250 * time.Millisecond
	checkEvery = time.Second
	retryKept  = 5 * time.Second
	flushTime  = 5 * time.Second
)

// Daemon synchronises the connections of one director. Its methods are safe
// for concurrent use.
type Daemon struct {
	spec  Spec
	table Table
	log   *slog.Logger
	key   *connsync.Key
	life  uint64
	enter func(func() error) error // runs what makes sockets

	kick     chan struct{} // the loop has something to do
	announce waker         // so has the announcer

	mu         sync.Mutex
	role       role
	since      time.Time
	link       *link
	trouble    troubles
	backup     *connsync.Backup
	kept       *connsync.Kept
	placements [lvs.NumPlacements]uint64
	overrun    uint64
	sent       sent
	fetch      *fetching // under way
	catchUp    *snapshot.CatchUp
	streams    streams
	flushes    []flush
	retry      bool // all kept connections
}

type role struct{ master, backup bool }

// String implements fmt.Stringer.
func (r role) String() string {
	switch r {
	case role{true, true}:
		return "master and backup"
	case role{master: true}:
		return "master"
	case role{backup: true}:
		return "backup"
	}
	return "none"
}

// New returns a daemon in no role. Nothing happens before Run.
func New(spec Spec, table Table, log *slog.Logger) (*Daemon, error) {
	spec, err := spec.complete()
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		spec: spec, table: table, log: log, since: time.Now(), life: uint64(time.Now().UnixNano()),
		enter: func(f func() error) error { return f() }, kick: make(chan struct{}, 1), trouble: troubles{},
		kept: connsync.NewKept(connsync.MaxKept),
	}
	if spec.Secret != "" {
		if d.key, err = connsync.NewKey(spec.Secret); err != nil {
			return nil, fmt.Errorf("sync daemon: %w", err)
		}
	}
	d.backup = connsync.NewBackup(connsync.BackupSpec{SyncID: spec.SyncID, Key: d.key, Self: d.life, CatchUp: spec.CatchUp})
	return d, nil
}

// Run is the daemon. It returns when ctx ends, after what was to be announced
// has been. What goes wrong meanwhile is told by Status and Conditions and
// tried again.
func (d *Daemon) Run(ctx context.Context) error {
	w := &work{d: d}
	announcer := make(chan struct{})
	go func() {
		defer close(announcer)
		d.announceLoop(ctx)
	}()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		w.step(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-d.kick:
		}
	}
	<-announcer // its last datagrams need the link
	w.unlink()
	w.wg.Wait()
	return nil
}

// SetRole makes the daemon a master, which announces, a backup, which enters
// what it hears into the table, both or neither. It does not wait: a master
// that stops being one still announces what changed before.
func (d *Daemon) SetRole(master, backup bool) {
	now := time.Now()
	r := role{master, backup}
	d.mu.Lock()
	changed := r != d.role
	if changed {
		d.role, d.since = r, now
		d.backup.SetRole(now, backup)
		if !backup && d.fetch != nil {
			d.fetch.cancel()
		}
	}
	d.mu.Unlock()
	if changed {
		d.log.Info("sync role", "iface", d.spec.Interface, "role", r.String())
		d.announce.wake()
		d.wake()
	}
}

// Flush returns when every change so far has been announced, at once if the
// daemon is no master. It fails when ctx ends before, and when the interface
// does not take them.
func (d *Daemon) Flush(ctx context.Context) error { return d.flush(ctx, false) }

// HandOver is Flush for a master that is about to leave in an orderly way: the
// connections that are being set up are announced too, those that there are and
// those that come, until the role changes. IPVS does not tell them, but their
// clients' next packets may go to the next master.
func (d *Daemon) HandOver(ctx context.Context) error { return d.flush(ctx, true) }

// flush is somebody who waits for a Flush or HandOver.
type flush struct {
	done     chan error
	handOver bool
}

func (d *Daemon) flush(ctx context.Context, handOver bool) error {
	done := make(chan error, 1)
	d.mu.Lock()
	if !d.role.master && !d.sent.active {
		d.mu.Unlock()
		return nil
	}
	d.flushes = append(d.flushes, flush{done, handOver})
	d.mu.Unlock()
	d.announce.wake()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("sync daemon: flush: %w", ctx.Err())
	}
}

// ServicesChanged says that virtual or real servers came: connections that
// were kept for want of them are tried again.
func (d *Daemon) ServicesChanged() {
	d.mu.Lock()
	d.retry = d.kept.Len() > 0
	d.mu.Unlock()
	d.wake()
}

// wake has the loop look around.
func (d *Daemon) wake() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// work is what the loop of Run has started.
type work struct {
	d       *Daemon
	wg      sync.WaitGroup
	checked time.Time
	retried time.Time
	retrier chan struct{} // closed when the last retry has ended
	unserve func()
}

// step does what is due.
func (w *work) step(ctx context.Context) {
	d, now := w.d, time.Now()
	if now.Sub(w.checked) >= checkEvery {
		w.checked = now
		w.relink()
	}
	w.serve(ctx)
	d.mu.Lock()
	d.backup.Tick(now)
	d.kept.Expire(now, 1<<15)
	idle := d.fetch == nil && d.link != nil
	f, ok := connsync.Fetch{}, false
	if idle {
		f, ok = d.backup.NextFetch(now)
	}
	if ok {
		d.fetch = d.newFetching(ctx, f, now)
		w.wg.Go(d.fetch.run)
	}
	d.mu.Unlock()
	w.retryKept(ctx, now)
}

// relink opens the sockets if they are not, or no longer fit.
func (w *work) relink() {
	d := w.d
	d.mu.Lock()
	l := d.link
	d.mu.Unlock()
	if l != nil {
		err := d.enter(func() error { return l.current(d.spec) })
		if err == nil && !l.failed.Load() {
			return
		}
		w.unlink()
	}
	err := d.enter(func() (err error) {
		l, err = open(d.spec)
		return err
	})
	d.note("interface", err)
	if err != nil {
		return
	}
	d.note("socket", nil)
	d.mu.Lock()
	d.link = l
	d.backup.SetMaxSize(l.mtu - d.spec.overhead())
	d.mu.Unlock()
	d.announce.wake()
	w.wg.Go(func() { d.receive(l) })
}

func (w *work) unlink() {
	if w.unserve != nil {
		w.unserve()
		w.unserve = nil
	}
	w.d.mu.Lock()
	l, f := w.d.link, w.d.fetch
	w.d.link = nil
	if f != nil {
		f.cancel()
	}
	w.d.mu.Unlock()
	if l != nil {
		l.close()
	}
}

func (d *Daemon) currentLink() *link {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link == nil || d.link.failed.Load() {
		return nil
	}
	return d.link
}

// troubles are what does not work now, by what it is about.
type troubles map[string]lasting

type lasting struct {
	since time.Time
	err   error
}

// note says whether something works, and logs when that changes.
func (d *Daemon) note(what string, err error) {
	d.mu.Lock()
	old, bad := d.trouble[what]
	switch {
	case err == nil:
		delete(d.trouble, what)
	case bad:
		d.trouble[what] = lasting{old.since, err}
	default:
		d.trouble[what] = lasting{time.Now(), err}
	}
	d.mu.Unlock()
	switch {
	case err != nil && (!bad || old.err.Error() != err.Error()):
		d.log.Warn("sync trouble", "iface", d.spec.Interface, "reason", err)
	case err == nil && bad:
		d.log.Info("sync trouble is over", "iface", d.spec.Interface, "reason", old.err)
	}
}
