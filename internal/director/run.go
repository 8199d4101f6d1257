package director

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/director/keeper"
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
		fmt.Fprintln(o.Stderr, "kaname:", err)
		return ExitFailure
	}
	code := serve(ctx, o, &line, newKeeper)
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

func serve(ctx context.Context, o Options, line **keeper.Lifeline, newKeeper func() (*keeper.Lifeline, error)) int {
	// The election's thread needs a processor of Go's at once, whatever the
	// other goroutines do: with a few to spare it gets one.
	runtime.GOMAXPROCS(runtime.NumCPU() + spareProcs)
	// Before anything can be left behind, an orderly end must be possible.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	d, err := start(ctx, o)
	if err != nil {
		fmt.Fprintln(o.Stderr, "kaname:", err)
		return status(err)
	}
	d.reload = reloaded(d.started, d.loaded.findings, "")
	go d.watchOver(ctx, cancel, signals, line, newKeeper)
	d.loop(d.ctx)
	return d.stop()
}

// watchOver turns signals and the loss of the keeper into what the loop
// understands.
func (d *director) watchOver(ctx context.Context, stop func(), signals <-chan os.Signal,
	line **keeper.Lifeline, newKeeper func() (*keeper.Lifeline, error),
) {
	ready := d.ready
	for {
		var lost <-chan struct{}
		if *line != nil {
			lost = (*line).Lost()
		}
		select {
		case <-ready:
			ready = nil
			if *line != nil {
				_ = (*line).Ready() // a keeper that is gone is replaced below
			}
		case s := <-signals:
			if s != unix.SIGHUP {
				stop()
				return
			}
			select {
			case d.requests <- func() { d.reloadNow() }:
			case <-ctx.Done():
				return
			}
		case <-lost:
			d.replaceKeeper(line, newKeeper)
		case <-ctx.Done():
			return
		}
	}
}

// replaceKeeper starts a new keeper for this director, which goes on.
func (d *director) replaceKeeper(line **keeper.Lifeline, newKeeper func() (*keeper.Lifeline, error)) {
	_ = (*line).Close() // its other end is gone
	*line = nil
	if newKeeper == nil {
		return
	}
	next, err := newKeeper()
	if err != nil {
		d.log.Error("the keeper died and no new one could be started: going on without", "err", err)
		return
	}
	d.log.Warn("the keeper died: a new one watches over this director")
	*line = next
}

// stop ends everything in keepalived's order: priority 0, addresses, scripts;
// then the dataplane, so that packets that are on their way still find it.
func (d *director) stop() int {
	d.endElection()
	d.stepHealth(health.Stop{})
	d.runner.Close()
	d.dirty = true
	d.settle()
	d.notifier.Close(stopScripts)
	d.cancel()
	err := errors.Join(d.tap.Close())
	d.workers.Wait()
	err = errors.Join(err, d.sockets.Close(), d.announcer.Close())
	if dp := d.carrier.dp; dp != nil {
		err = errors.Join(err, dp.Remove())
	}
	err = errors.Join(err, d.memory.forget(), d.listener.Close(), d.net.Close())
	if failed := d.failed.Load(); failed != nil {
		err = errors.Join(*failed, err)
	}
	if err == nil {
		return ExitOK
	}
	fmt.Fprintln(d.o.Stderr, "kaname:", err)
	return status(err)
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
// addresses and its dataplane.
func Release(o Options) int {
	past, err := recall(o.stateFile())
	if err == nil {
		err = release(o, past)
	}
	if err != nil {
		fmt.Fprintln(o.Stderr, "kaname: release:", err)
		return status(err)
	}
	return ExitOK
}

func release(o Options, past *remembered) error {
	var errs []error
	if past != nil {
		n, err := hostnet.Open()
		if err != nil {
			return err
		}
		book := newAddressBook(n, past.Addresses)
		for _, a := range past.Addresses {
			errs = append(errs, book.Remove(a))
		}
		errs = append(errs, n.Close())
	}
	errs = append(errs, xdp.Sweep(o.pinDir(), o.Log))
	memory := memory{path: o.stateFile()}
	return errors.Join(append(errs, memory.forget())...)
}
