package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds that the demo promises. With adverts every second keepalived's
// timers allow three intervals and the skew of priority 150, 3.41 s, for a
// master that says nothing, and the skew alone, 0.41 s, for one that says
// farewell; the rest is room for a busy machine.
const (
	demoLostBound = 5 * time.Second
	demoStopBound = 2 * time.Second
)

func (d *demo) hostLost(ctx context.Context) error {
	d.say("Round 1: %s loses its power. A probe asks %s every millisecond meanwhile.", demoMaster, demoTarget)
	err := d.round(ctx, demoMaster+" lost (kill -9 and cable dead)", demoLostBound, demoBackup, func() error {
		err := d.lab.Host(demoMaster).Lose()
		d.say("Now: every process on %s is killed -9 and its cable is dead.", demoMaster)
		return err
	}, func() bool { return d.lab.Host(demoBackup).Has(demoTarget.Addr()) })
	if err != nil {
		return err
	}
	return d.askHeld(ctx)
}

// askHeld makes another request on the held connection, which every director
// knows: the master announces connections, and who comes late catches up.
func (d *demo) askHeld(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a, err := d.held.Ask(ask)
	if err != nil {
		return fmt.Errorf("promised: the held connection goes on through another director: %w", err)
	}
	if a.Server != d.held.First.Server {
		return fmt.Errorf("promised: the held connection stays with %s; %s answered", d.held.First.Server, a.Server)
	}
	d.say("The held connection goes on: %s answered on it.", a.Server)
	return nil
}

func (d *demo) hostBack(ctx context.Context) error {
	d.say("%s gets its power back, boots and starts kaname again. Its priority is higher, so it takes over.", demoMaster)
	err := d.round(ctx, demoMaster+" back, takes over from "+demoBackup, demoStopBound, demoMaster, func() error {
		if err := d.lab.Host(demoMaster).Restore(); err != nil {
			return err
		}
		return d.startDirector(ctx, demoMaster)
	}, d.onlyMaster(demoMaster, demoBackup))
	if err != nil {
		return err
	}
	return d.askHeld(ctx)
}

func (d *demo) orderlyStop(ctx context.Context) error {
	d.say("Round 2: kaname on %s is stopped in an orderly way, with SIGTERM.", demoMaster)
	process := d.directors[demoMaster].Process
	err := d.round(ctx, demoMaster+" stopped (SIGTERM)", demoStopBound, demoBackup, func() error {
		return process.Signal(unix.SIGTERM)
	}, d.onlyMaster(demoBackup, demoMaster))
	if err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := process.Wait(wait); err != nil {
		return fmt.Errorf("promised: SIGTERM ends kaname with status 0: %w", err)
	}
	d.say("kaname on %s has ended with status 0 and left no address behind.", demoMaster)
	if err := d.askHeld(ctx); err != nil {
		return err
	}
	d.held.Close()
	return nil
}

// onlyMaster reports whether one director has the VIP and the other has not.
func (d *demo) onlyMaster(master, other string) func() bool {
	vip := demoTarget.Addr()
	return func() bool { return d.lab.Host(master).Has(vip) && !d.lab.Host(other).Has(vip) }
}

// round probes the service while something happens to it, waits until it is
// steady again, and keeps and judges the gap.
func (d *demo) round(ctx context.Context, what string, bound time.Duration, next string, happen func() error, settled func() bool) error {
	probe := d.lab.Host("client").Probe(demoTarget, time.Millisecond)
	defer probe.Stop()
	begun := time.Now()
	if err := d.steady(ctx, probe, begun); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := happen(); err != nil {
		return err
	}
	happened := time.Now()
	if err := d.await(ctx, fmt.Sprintf("%s has %s, and it alone", next, demoVIP), 10*time.Second, settled); err != nil {
		return err
	}
	d.say("%s has %s, %.0f ms later.", next, demoVIP, float64(time.Since(happened).Microseconds())/1000)
	if err := d.steady(ctx, probe, time.Now()); err != nil {
		return fmt.Errorf("after: %w", err)
	}
	r := probe.Since(begun)
	d.gaps = append(d.gaps, demoGap{what: what, report: r})
	d.say("Failover gap: %d ms (%d of %d probes unanswered).", r.Gap.Milliseconds(), r.Sent-r.Answered, r.Sent)
	if r.Blind > 100*time.Millisecond {
		d.say("  (This machine is busy: for %d ms altogether no probe was sent; such time is not counted.)", r.Blind.Milliseconds())
	}
	if r.Gap > bound {
		return fmt.Errorf("promised: a gap under %s when %s", bound, what)
	}
	return nil
}

// steady waits until the service answers every probe for a while.
func (d *demo) steady(ctx context.Context, p *Probe, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.AwaitSteady(ctx, since, 200*time.Millisecond); err != nil {
		r := p.Since(since)
		return fmt.Errorf("promised: %s answers every probe; it answered %d of %d: %w", demoTarget, r.Answered, r.Sent, err)
	}
	return nil
}

func (d *demo) tables(ctx context.Context) error {
	backup := d.directors[demoBackup]
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, err := backup.Tool(ctx, "status")
	if err != nil {
		return err
	}
	d.say("`kaname status` on %s:", demoBackup)
	d.quote(status, 40)
	if err := d.showServices(ctx, demoBackup); err != nil {
		return err
	}
	sessions, err := backup.Tool(ctx, "ipvs", "-Lnc")
	if err != nil {
		return err
	}
	d.say("`kaname ipvs -Lnc` on %s, the sessions (mostly the probe's):", demoBackup)
	d.quote(sessions, 8)
	return nil
}

func (d *demo) summary() {
	d.say("What happened, and how long the service was away for the client:")
	for _, g := range d.gaps {
		fmt.Fprintf(d.out, "          %-42s %6d ms   %5d of %5d probes lost\n", g.what, g.report.Gap.Milliseconds(), g.report.Sent-g.report.Answered, g.report.Sent)
	}
}

// explain shows the directors' logs after something went wrong.
func (d *demo) explain() {
	for _, name := range []string{demoMaster, demoBackup} {
		if director := d.directors[name]; director != nil {
			d.say("The end of the log of %s:", name)
			d.quote(tail(director.Process.Log(), 25), 25)
		}
	}
}

// cleanUp takes everything down and looks whether it is gone.
func (d *demo) cleanUp() error {
	if err := d.lab.Close(); err != nil {
		return fmt.Errorf("demo: clean up: %w", err)
	}
	if left := d.lab.record.Namespaces(); len(left) != 0 {
		return errors.New("demo: clean up: namespaces are left: " + fmt.Sprint(left))
	}
	d.say("All namespaces, links, processes and files of the demo are gone.")
	return nil
}
