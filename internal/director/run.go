package director

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/director/keeper"
	"github.com/kaname-lb/kaname/internal/director/reconcile"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/hostnet"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

// spareProcs is how many more of Go's processors there are than real ones.
// Measured with every processor busy: 10 ms timers are late by up to 78 ms
// without, 7 ms with four.
const spareProcs = 4

// stopScripts is how long STOP scripts may take, as under keepalived.
const stopScripts = time.Second

// Run is the director process: it serves until SIGTERM and returns its exit
// status. newKeeper starts another keeper when the present one is gone; it is
// nil for a director without one.
func Run(ctx context.Context, o Options, newKeeper func() (*keeper.Lifeline, error)) int {
	line, err := attach(o)
	if err != nil {
		complain(o, err)
		return ExitFailure
	}
	code, line := serve(ctx, o, line, newKeeper)
	if line != nil {
		// Nobody hears it when the keeper died just now, and that is no error.
		_ = line.Bye(code)
	}
	return code
}

func attach(o Options) (*keeper.Lifeline, error) {
	if o.LifelineFD == 0 {
		return nil, nil
	}
	return keeper.Attach(o.LifelineFD)
}

// serve returns the exit status and the lifeline to the keeper of that moment.
func serve(ctx context.Context, o Options, line *keeper.Lifeline, newKeeper func() (*keeper.Lifeline, error)) (int, *keeper.Lifeline) {
	// The election's thread needs a processor of Go's at once, whatever the
	// other goroutines do: with a few to spare it gets one.
	runtime.GOMAXPROCS(runtime.NumCPU() + spareProcs)
	// Before anything can be left behind, an orderly end must be possible.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, caught...)
	defer signal.Stop(signals)

	d, err := start(ctx, o)
	if err != nil {
		complain(o, err)
		return status(err), line
	}
	d.reload = reloaded(d.started, d.loaded.findings, "")
	w := &watch{d: d, signals: signals, line: line, newKeeper: newKeeper}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.run()
	}()
	d.loop(d.ctx)
	<-watched
	return d.stop(), w.line
}

// complain tells an error, each of its lines as a message of its own.
func complain(o Options, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(o.Stderr, "kaname:", strings.TrimSuffix(line, "\n"))
	}
}

// stop ends everything in keepalived's order: priority 0, addresses, scripts;
// then the dataplane, so that packets that are on their way still find it.
func (d *director) stop() int {
	d.log.Info("stopping")
	heirless := d.heirless()
	d.handOverSync() // whoever takes over knows everything until now
	d.endElection()
	handedOver := d.awaitHeirs(heirless)
	d.flushSync()
	d.stepHealth(health.Stop{})
	// Stopped before it had begun, it may yet have a predecessor's addresses.
	d.synced, d.dirty = true, true
	var err error
	if !d.o.KeepAddresses {
		err = unreleased(d.settle())
	}
	// Scripts are waited for when the addresses are gone: the peer has them now.
	d.runner.Close()
	d.notifier.Close(stopScripts)
	d.endSync()
	d.cancel()
	d.workers.Wait()
	err = errors.Join(err, d.closeElection())
	err = errors.Join(err, d.leave(handedOver), d.memory.forget(), d.pids.remove(), d.listener.Close(), d.net.Close())
	if failed := d.failed.Load(); failed != nil {
		err = errors.Join(*failed, err)
	}
	if err == nil {
		return ExitOK
	}
	complain(d.o, err)
	return status(err)
}

// leave takes the dataplane away, or lets it go on by itself.
func (d *director) leave(handedOver bool) error {
	dp := d.carrier.dp
	switch {
	case dp == nil:
		return nil
	case d.o.KeepDataplane:
		return dp.Close()
	case handedOver:
		time.Sleep(linger)
	}
	return dp.Remove()
}

// unreleased is what of the addresses could not be taken away. That the
// dataplane was not as it should be is no matter now: it goes.
func unreleased(rep reconcile.Report) error {
	errs := []error{rep.Read}
	for _, f := range rep.Failed {
		if _, ok := f.Op.(reconcile.RemoveAddress); ok {
			errs = append(errs, f.Err)
		}
	}
	return errors.Join(errs...)
}

// endElection releases every instance and hears the election out, so that the
// STOP scripts run and the addresses go.
func (d *director) endElection() {
	d.driver.Send(vrrp.Stop{})
	events := d.driver.Events()
	for ev := range events {
		d.onElection(ev)
	}
	if err := <-d.driverDone; err != nil {
		d.fail(fmt.Errorf("election: %w", err))
	}
	clear(d.active)
}

// Release takes away what a director that died for good left on the host: its
// addresses and its dataplane. When another director has the instance by now,
// they are that one's, and it does nothing.
func Release(o Options) int {
	l, err := api.Listen(o.socket())
	if err != nil {
		err = listenError(err)
	} else {
		past, unread := recall(o.stateFile())
		err = errors.Join(unread, release(o, past), l.Close())
	}
	if err != nil {
		complain(o, fmt.Errorf("release: %w", err))
	}
	return status(err)
}

func release(o Options, past *remembered) error {
	var errs []error
	if past != nil {
		errs = append(errs, releaseAddresses(past.Addresses))
	}
	errs = append(errs, xdp.Sweep(o.pinDir(), o.Log))
	if err := errors.Join(errs...); err != nil {
		return err // what is remembered is still needed
	}
	memory := memory{path: o.stateFile()}
	return memory.forget()
}

func releaseAddresses(addrs []desired.Address) error {
	n, err := hostnet.Open()
	if err != nil {
		return err
	}
	book := newAddressBook(n)
	var errs []error
	for _, a := range addrs {
		errs = append(errs, book.Remove(a))
	}
	return errors.Join(append(errs, n.Close())...)
}
