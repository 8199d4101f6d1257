package director

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/director/keeper"
)

// keeperPause is the least time between two new keepers, and before another
// try when one could not be started: a binary that was replaced by a broken
// one must not have processes started as fast as they die.
const keeperPause = 5 * time.Second

// caught are the signals that a director must not die of: the keeper passes
// keepalived's on, and whoever read the log may go away (PIPE).
var caught = append([]os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE}, keeper.DumpSignals...)

// watch turns signals and the loss of the keeper into what the loop understands.
type watch struct {
	d         *director
	signals   <-chan os.Signal
	line      *keeper.Lifeline // to the present keeper; nil without one
	newKeeper func() (*keeper.Lifeline, error)
	last      time.Time        // a keeper was started, or could not be
	again     <-chan time.Time // when one is to be started; nil for not
}

// run returns when the director is to stop.
func (w *watch) run() {
	ready := w.d.ready
	for {
		var lost <-chan struct{}
		if w.line != nil {
			lost = w.line.Lost()
		}
		select {
		case <-ready:
			ready = nil
			if w.line != nil {
				_ = w.line.Ready() // a keeper that is gone is replaced below
			}
		case s := <-w.signals:
			w.signal(s)
		case <-lost:
			w.lost()
		case <-w.again:
			w.replace()
		case <-w.d.ctx.Done():
			return
		}
	}
}

func (w *watch) signal(s os.Signal) {
	switch s {
	case unix.SIGTERM, unix.SIGINT:
		w.d.cancel()
	case unix.SIGHUP:
		select {
		case w.d.requests <- func() { w.d.reloadNow() }:
		case <-w.d.ctx.Done():
		}
	case keeper.SignalData, keeper.SignalStats, keeper.SignalStatsClear, keeper.SignalJSON:
		select {
		case w.d.requests <- func() { w.d.dumpOn(s) }:
		case <-w.d.ctx.Done():
		}
	}
}

func (w *watch) lost() {
	_ = w.line.Close() // its other end is gone
	w.line = nil
	if w.newKeeper != nil {
		w.again = time.After(time.Until(w.last.Add(keeperPause)))
	}
}

// replace starts a new keeper for this director, which goes on.
func (w *watch) replace() {
	w.again, w.last = nil, time.Now()
	next, err := w.newKeeper()
	if err != nil {
		w.d.log.Error("the keeper died and no new one could be started: trying again, nobody restarts this director meanwhile", "err", err)
		w.again = time.After(keeperPause)
		return
	}
	w.d.log.Warn("the keeper died: a new one watches over this director")
	w.line = next
}
