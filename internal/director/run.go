package director

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/director/keeper"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/hostnet"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

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
	(*line).Close()
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
	failed := d.failed.Load()
	d.endElection()
	d.stepHealth(health.Stop{})
	d.runner.Close()
	d.dirty = true
	d.settle()
	d.notifier.Close(stopScripts)
	d.cancel()
	d.tap.Close()
	d.workers.Wait()
	d.sockets.Close()
	d.announcer.Close()
	code := ExitOK
	if failed != nil {
		fmt.Fprintln(d.o.Stderr, "kaname:", *failed)
		code = status(*failed)
	}
	if dp := d.carrier.dp; dp != nil {
		if err := dp.Remove(); err != nil {
			fmt.Fprintln(d.o.Stderr, "kaname: dataplane:", err)
			code = max(code, ExitFailure)
		}
	}
	if err := d.memory.forget(); err != nil {
		fmt.Fprintln(d.o.Stderr, "kaname:", err)
	}
	d.listener.Close()
	d.net.Close()
	return code
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
		d.log.Error("election", "err", err)
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
		defer n.Close()
		book := newAddressBook(n, past.Addresses)
		for _, a := range past.Addresses {
			errs = append(errs, book.Remove(a))
		}
	}
	if _, err := os.Stat(o.pinDir()); err == nil {
		dp, err := xdp.Open(xdp.Spec{PinDir: o.pinDir(), Log: o.Log})
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, dp.Remove())
	}
	memory := memory{path: o.stateFile()}
	return errors.Join(append(errs, memory.forget())...)
}
