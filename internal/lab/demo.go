package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DemoOptions of Demo. The zero value is what `kaname lab demo` uses.
type DemoOptions struct {
	// Binary is the kaname to run as director; "" is the running program.
	Binary string
	// Log takes what goes wrong while cleaning up; nil discards.
	Log *slog.Logger
}

// Demo plays the built-in story on out: a topology is built, two directors
// elect, balance and fail over twice, and everything is taken down again. It
// returns an error when anything did not happen as promised, and cleans up
// also when ctx ends or a signal arrives.
func Demo(ctx context.Context, out io.Writer, o DemoOptions) (err error) {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return fmt.Errorf("demo: own binary: %w", err)
		}
	}
	d := &demo{out: out, start: time.Now(), binary: o.Binary, directors: map[string]*Director{}}
	d.say("Building five hosts out of network namespaces:")
	fmt.Fprint(out, demoDrawing)
	if d.lab, err = Build(demoTopology(), Options{Name: "demo", Log: o.Log}); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, d.cleanUp()) }()
	if err := d.play(ctx); err != nil {
		d.explain()
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// demo is one run of the story.
type demo struct {
	out       io.Writer
	start     time.Time
	binary    string
	lab       *Lab
	directors map[string]*Director
	held      *Held
	gaps      []demoGap
}

// demoGap is one line of the closing table.
type demoGap struct {
	what   string
	report ProbeReport
}

// play runs the acts in order.
func (d *demo) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, act := range []func(context.Context) error{
		d.startAll, d.distribution, d.holdOpen, d.hostLost, d.hostBack, d.orderlyStop, d.tables,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	d.summary()
	return nil
}

// say prints one line of narration with the time since the start.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "[%5.1f s] %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

// quote prints text as it is, indented.
func (d *demo) quote(text string, limit int) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if i == limit {
			fmt.Fprintf(d.out, "          | … %d more lines\n", len(lines)-limit)
			return
		}
		fmt.Fprintf(d.out, "          | %s\n", line)
	}
}

// await waits for a condition and keeps the reader company.
func (d *demo) await(ctx context.Context, what string, limit time.Duration, done func() bool) error {
	begun, spoke := time.Now(), time.Now()
	for !done() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted while waiting until %s: %w", what, err)
		}
		if time.Since(begun) > limit {
			return fmt.Errorf("promised: %s; not so after %s", what, limit)
		}
		if time.Since(spoke) > 2*time.Second {
			d.say("  … waiting until %s", what)
			spoke = time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func (d *demo) startAll(ctx context.Context) error {
	for _, name := range []string{"rs1", "rs2"} {
		if _, err := d.lab.Host(name).Serve(ServerSpec{Listen: ":80"}); err != nil {
			return err
		}
	}
	d.say("Both real servers answer on port 80. The configuration of %s, as keepalived would read it:", demoMaster)
	d.quote(demoConfig(demoMaster), 60)
	d.say("%s has the same with priority %d. Starting `kaname run` on both.", demoBackup, demoPriority[demoBackup])
	for _, name := range []string{demoMaster, demoBackup} {
		if err := d.startDirector(ctx, name); err != nil {
			return err
		}
	}
	d.say("Both are ready. An election takes three advertisement intervals of 1 s and a little.")
	return d.awaitMaster(ctx, demoMaster, demoBackup)
}

func (d *demo) startDirector(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	director, err := d.lab.Host(name).StartDirector(ctx, d.binary, demoConfig(name))
	if director != nil {
		d.directors[name] = director
	}
	return err
}

// awaitMaster waits until one director has the VIP and the other has not.
func (d *demo) awaitMaster(ctx context.Context, master, other string) error {
	vip := netip.MustParseAddr(demoVIP)
	what := fmt.Sprintf("%s has %s, and it alone", master, demoVIP)
	if err := d.await(ctx, what, 10*time.Second, func() bool {
		return d.lab.Host(master).Has(vip) && !d.lab.Host(other).Has(vip)
	}); err != nil {
		return err
	}
	d.say("%s is master: it has %s.", master, demoVIP)
	return nil
}

func (d *demo) distribution(ctx context.Context) error {
	d.say("The client makes 20 requests, each on a connection of its own:")
	count := map[string]int{}
	var order strings.Builder
	for range 20 {
		ask, cancel := context.WithTimeout(ctx, 2*time.Second)
		a, err := d.lab.Host("client").Get(ask, demoTarget)
		cancel()
		if err != nil {
			return fmt.Errorf("request to %s: %w", demoTarget, err)
		}
		count[a.Server]++
		order.WriteString(" " + a.Server)
	}
	d.quote(strings.TrimSpace(order.String()), 1)
	d.say("rs1 answered %d, rs2 %d; lb_algo rr promises 10 each.", count["rs1"], count["rs2"])
	if count["rs1"] != 10 || count["rs2"] != 10 {
		return errors.New("promised: round robin gives each server 10 of 20 requests")
	}
	return nil
}

func (d *demo) holdOpen(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	outside, err := d.lookOutside(ask)
	if err != nil {
		return err
	}
	if d.held, err = d.lab.Host("client").Hold(ask, demoTarget); err != nil {
		return fmt.Errorf("connection to hold: %w", err)
	}
	d.say("The client now holds a connection open and idle, %s to %s. `kaname ipvs -Lnc` on %s:", d.held.Local(), d.held.First.Server, demoMaster)
	table, err := d.directors[demoMaster].Tool(ask, "ipvs", "-Lnc")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for _, line := range lines {
		if strings.Contains(line, d.held.Local().String()) && strings.Contains(line, "ESTABLISHED") {
			d.quote(strings.Join(lines[:min(2, len(lines))], "\n")+"\n"+line, 3)
			d.say("  (and %d that are over and will be forgotten)", len(lines)-3)
			if err := d.showServices(ask, demoMaster); err != nil {
				return err
			}
			return d.tellOutside(ask, outside)
		}
	}
	d.quote(table, 30)
	return fmt.Errorf("promised: the table shows %s ESTABLISHED", d.held.Local())
}

// lookOutside has a real server listen to what the master tells its backup.
func (d *demo) lookOutside(ctx context.Context) (*Process, error) {
	p, err := d.lab.Host("rs1").Start(Program{Name: "watch", Args: []string{d.binary, "watch", "--table", "--for", "2s", "-i", "eth0"}})
	if err != nil {
		return nil, err
	}
	return p, d.await(ctx, "rs1 listens to the sync multicast", 5*time.Second, func() bool { return p.Log() != "" })
}

// tellOutside shows the held connection as the listener has it.
func (d *demo) tellOutside(ctx context.Context, p *Process) error {
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("kaname watch on rs1: %w: %s", err, tail(p.Log(), 5))
	}
	d.say("rs1 is no director, yet it sees the connection too: `kaname watch --table` there, where it needs no privilege:")
	var heading string
	for line := range strings.Lines(p.Log()) {
		if strings.HasPrefix(line, "pro ") {
			heading = line
		}
		if strings.Contains(line, d.held.Local().String()) && strings.Contains(line, "ESTABLISHED") {
			d.quote(heading+line, 2)
			return nil
		}
	}
	d.quote(p.Log(), 30)
	return fmt.Errorf("promised: the sync multicast shows %s ESTABLISHED", d.held.Local())
}

func (d *demo) showServices(ctx context.Context, name string) error {
	table, err := d.directors[name].Tool(ctx, "ipvs", "-Ln")
	if err != nil {
		return err
	}
	d.say("`kaname ipvs -Ln` on %s:", name)
	d.quote(table, 12)
	return nil
}
