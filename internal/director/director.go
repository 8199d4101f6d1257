package director

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/director/notify"
	"github.com/kaname-lb/kaname/internal/director/reconcile"
	"github.com/kaname-lb/kaname/internal/director/statedump"
	"github.com/kaname-lb/kaname/internal/event"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/health/checker"
	"github.com/kaname-lb/kaname/internal/hostnet"
	"github.com/kaname-lb/kaname/internal/snapshot"
	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/announce"
	"github.com/kaname-lb/kaname/internal/vrrp/track"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// director is one running director. Everything without a comment that says
// otherwise belongs to the goroutine of loop.
type director struct {
	o       Options
	log     *slog.Logger
	started time.Time
	loaded  loaded
	reload  snapshot.Reload

	// The host.
	net     *hostnet.Network
	book    *addressBook
	carrier carrier
	facts   facts
	host    *desired.Host // what Compute knows of it; nil when the facts changed
	hostAt  time.Time
	changes <-chan hostnet.Change
	rec     *reconcile.Reconciler
	retry   *time.Timer
	state   desired.State // the last one that was computed

	// The election.
	driver     *vrrpio.Driver
	driverDone chan error
	sockets    *vrrpio.Sockets
	announcer  *announce.Announcer // the driver's
	asker      *announce.Announcer // the loop's
	asked      time.Time
	tap        *vrrpio.Tap
	tracker    *track.Tracker
	begun      vrrp.Start        // with what a predecessor left
	synced     bool              // the host's present state is known, the election started
	active     map[string]bool   // instances that are MASTER here
	renamed    map[string]string // by the last reload, old name to new
	unready    map[string]bool   // of them, those whose addresses are not all there yet
	conditions conditions

	// The checks.
	health  *health.Machine
	targets map[health.CheckerID]checker.Target
	runner  *checker.Runner
	results chan health.Result

	// Telling.
	notifier *notify.Notifier
	pending  []event.Event     // to be told once the host is as it should be
	told     map[string]string // last state told to scripts, by instance
	memory   memory
	pids     pidFiles
	cleared  map[string]statedump.Counters // what STATS_CLEAR took for zero
	listener *api.Listener
	server   *api.Server
	requests chan func() // from the API, run by the loop

	picture   atomic.Pointer[snapshot.Snapshot] // read by everybody
	dataplane atomic.Pointer[xdp.Dataplane]     // carrier.dp, for everybody
	sync      atomic.Pointer[syncer]            // nil without lvs_sync_daemon; changed by the loop alone
	dirty     bool                              // the desired state may have changed

	ctx     context.Context // the life of everything that was started
	cancel  context.CancelFunc
	ready   chan struct{} // closed when the director serves
	serving bool          // it is closed
	workers sync.WaitGroup
	failed  atomic.Pointer[error] // the first error of a worker
}

// spawn runs f until it returns; its error ends the director.
func (d *director) spawn(f func() error) {
	d.workers.Go(func() {
		if err := f(); err != nil && !errors.Is(err, context.Canceled) {
			d.fail(err)
		}
	})
}

// fail records an error that the director cannot live with. Any goroutine may
// call it.
func (d *director) fail(err error) {
	if d.failed.CompareAndSwap(nil, &err) {
		d.cancel()
	}
}

// abandon closes what start opened before it failed, and returns what could
// not be. Nothing was changed on the host by then, but for left-overs that are
// gone.
func (d *director) abandon() error {
	var errs []error
	if d.cancel != nil {
		d.cancel()
	}
	if dp := d.carrier.dp; dp != nil {
		if dp.Adopted() {
			errs = append(errs, dp.Close())
		} else {
			errs = append(errs, dp.Remove())
		}
	}
	errs = append(errs, d.closeElection())
	if d.net != nil {
		errs = append(errs, d.net.Close())
	}
	if d.listener != nil {
		errs = append(errs, d.listener.Close())
	}
	return errors.Join(errs...)
}

// vrrpStatus returns the machine's picture and the driver's counters.
func (d *director) vrrpStatus() *vrrpio.Status {
	if d.driver == nil {
		return &vrrpio.Status{}
	}
	return d.driver.Status()
}

// stepHealth gives the checks' machine one input and carries out its actions.
func (d *director) stepHealth(in health.Input) {
	now := time.Now()
	for _, a := range d.health.Step(now, in) {
		d.healthAction(now, a)
	}
}

func (d *director) healthAction(now time.Time, a health.Action) {
	switch a := a.(type) {
	case health.Probe:
		d.runner.Start(a, d.targets[a.Checker])
	case health.Cancel:
		d.runner.Cancel(a)
	case health.ServerChanged:
		d.log.Info("real server "+upDown(a.Up), "service", a.Service, "server", a.Server, "reason", a.Reason)
		d.tell(event.ServerChanged{Time: now, Service: a.Service, Server: a.Server, Up: a.Up, Reason: a.Reason})
	case health.QuorumChanged:
		d.log.Info("quorum "+gainedLost(a.Up), "service", a.Service, "weight", a.Weight, "threshold", a.Threshold, "hysteresis", d.hysteresis(a.Service))
		d.tell(event.QuorumChanged{Time: now, Service: a.Service, Up: a.Up})
	case health.WeightChanged:
		d.log.Info("weight changed", "service", a.Service, "server", a.Server, "from", a.From, "to", a.To)
		d.dirty = true
	case health.CheckerChanged:
		d.log.Info("check "+succeededFailed(a.Up), "service", a.Checker.Service, "server", a.Checker.Server,
			"check", string(d.targets[a.Checker].Kind), "retries", a.Retries, "reason", a.Reason)
	case health.Ignored:
		if a.Reason != health.IgnoreLateResult {
			d.log.Warn("check ignored", "checker", a.Checker.String(), "reason", a.Reason.String())
		}
	}
}

func (d *director) hysteresis(service string) int {
	for _, vs := range d.loaded.cfg.VirtualServers {
		if vs.ID() == service {
			return vs.Hysteresis
		}
	}
	return 0
}

func (d *director) checkDropped(w config.Where, err error) {
	d.log.Warn("check dropped: the server counts as good in it", "where", w.String(), "reason", err)
}

// tell queues an event for the scripts; it is handed on when the host is as
// the new state wants it: addresses, announcement, then notify.
func (d *director) tell(ev event.Event) {
	d.pending = append(d.pending, ev)
	d.dirty = true
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func gainedLost(up bool) string {
	if up {
		return "gained"
	}
	return "lost"
}

func succeededFailed(up bool) string {
	if up {
		return "succeeded"
	}
	return "failed"
}
