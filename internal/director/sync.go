package director

import (
	"context"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/director/reconcile"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// flushLimit is how long a stop waits for the last announcements: without it a
// master would take to the grave what happened in its last milliseconds.
const flushLimit = 500 * time.Millisecond

// syncer is the sync daemon of a director whose configuration has one. It
// lives as long as what it was made from does not change.
type syncer struct {
	spec   connsyncio.Spec
	daemon *connsyncio.Daemon
	cancel context.CancelFunc
	done   chan struct{}
}

// syncSpec returns what the configuration says of synchronisation; false is
// that there is none.
func syncSpec(c *config.Config) (connsyncio.Spec, bool) {
	s := c.Global.SyncDaemon
	if s == nil {
		return connsyncio.Spec{}, false
	}
	k := c.Kaname.Sync
	return connsyncio.Spec{
		Interface: s.Interface, SyncID: uint8(s.SyncID), MaxLen: s.MaxLen, Group: s.Group, Port: uint16(s.Port), TTL: s.TTL,
		Secret: string(k.Key), Rules: k.Rules, QueueLen: k.QueueLen, Rate: k.Rate,
		CatchUp: k.CatchUp, CatchUpPort: uint16(k.CatchUpPort),
	}, true
}

// adjustSync makes the sync daemon what the configuration says. Without a
// dataplane there are no connections, and nothing to synchronise.
func (d *director) adjustSync() {
	spec, want := syncSpec(d.loaded.cfg)
	want = want && d.carrier.dp != nil
	if old := d.sync.Load(); old != nil {
		if want && old.spec == spec {
			return
		}
		d.endSync()
	}
	if !want || !d.announces() {
		d.quiet()
	}
	if !want {
		return
	}
	daemon, err := connsyncio.New(spec, d.carrier.dp, d.log)
	if err != nil {
		// The configuration was checked, so this is a mistake of ours; it must
		// not cost the addresses.
		d.log.Error("connections are not synchronised", "err", err)
		return
	}
	// It outlives the loop: a stop still has something to announce.
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.ctx))
	s := &syncer{spec: spec, daemon: daemon, cancel: cancel, done: make(chan struct{})}
	d.sync.Store(s)
	d.spawn(func() error {
		defer close(s.done)
		return daemon.Run(ctx)
	})
	d.assignSync()
}

// assignSync gives the sync daemon the role that the election wants: with an
// instance it announces while that is MASTER and listens otherwise, without
// one it does both (keepalived, lvs_sync_daemon).
func (d *director) assignSync() {
	s := d.sync.Load()
	if s == nil {
		return
	}
	both := d.loaded.cfg.Global.SyncDaemon.Instance == ""
	s.daemon.SetRole(d.announces(), !d.announces() || both)
}

// announces reports whether the configured sync daemon is a master now.
func (d *director) announces() bool {
	s := d.loaded.cfg.Global.SyncDaemon
	return s.Instance == "" || d.active[s.Instance]
}

// quiet ends what an adopted dataplane announces for a predecessor: nobody
// would fetch it.
func (d *director) quiet() {
	if d.carrier.dp == nil {
		return
	}
	if err := d.carrier.dp.SetSync(nil); err != nil {
		d.log.Warn("changes of connections are noted still, though nobody announces them", "err", err)
	}
}

// tellSync says that servers may have come for which connections are kept.
func (d *director) tellSync(rep reconcile.Report) {
	s := d.sync.Load()
	if s == nil {
		return
	}
	for _, op := range rep.Done {
		if _, ok := op.(reconcile.SetServices); ok {
			s.daemon.ServicesChanged()
		}
	}
}

// handOverSync announces what has changed so far, and from now on also
// connections that are being set up: their clients' next packets may go to the
// next master.
func (d *director) handOverSync() { d.flushWith((*connsyncio.Daemon).HandOver) }

// flushSync announces what has changed so far.
func (d *director) flushSync() { d.flushWith((*connsyncio.Daemon).Flush) }

func (d *director) flushWith(flush func(*connsyncio.Daemon, context.Context) error) {
	s := d.sync.Load()
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), flushLimit)
	defer cancel()
	if err := flush(s.daemon, ctx); err != nil {
		d.log.Warn("the last changes of connections were not announced", "err", err)
	}
}

// endSync ends the sync daemon, and waits for it.
func (d *director) endSync() {
	s := d.sync.Swap(nil)
	if s == nil {
		return
	}
	s.daemon.SetRole(false, false)
	s.cancel()
	<-s.done
}

// syncPicture is the daemon's part of the snapshot.
func (d *director) syncPicture(now time.Time) (*snapshot.Sync, []snapshot.Condition) {
	s := d.sync.Load()
	if s == nil {
		return nil, nil
	}
	return s.daemon.Status(), s.daemon.Conditions(now)
}

// kept yields the connections that were announced to this director and that
// its dataplane does not carry.
func (d *director) kept(yield func(lvs.Connection) bool) {
	if s := d.sync.Load(); s != nil {
		s.daemon.Kept(yield)
	}
}
