package director

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/director/notify"
	"github.com/kaname-lb/kaname/internal/director/reconcile"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/health/checker"
	"github.com/kaname-lb/kaname/internal/hostnet"
	"github.com/kaname-lb/kaname/internal/process"
	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/announce"
	"github.com/kaname-lb/kaname/internal/vrrp/track"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// start builds a director, in the order in which each step can refuse before
// anything on the host was changed: configuration, permissions, socket,
// interfaces, election, dataplane. On an error what was opened is closed again.
func start(ctx context.Context, o Options) (_ *director, err error) {
	d := &director{
		o: o, log: o.Log, started: time.Now(),
		memory:   memory{path: o.stateFile()},
		requests: make(chan func()),
		results:  make(chan health.Result, 256),
		ready:    make(chan struct{}),
		active:   map[string]bool{},
		unready:  map[string]bool{},
		told:     map[string]string{},
		pids:     pidFiles{files: o.PIDFiles, log: o.Log},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.abandon())
		}
	}()
	past := d.past()
	if d.loaded, err = d.firstConfig(past); err != nil {
		return nil, err
	}
	d.ctx, d.cancel = context.WithCancel(ctx)
	c := d.loaded.cfg
	for _, step := range []func() error{
		func() error { return permitted(c) },
		d.listen,
		func() error { return d.openHost(past) },
		d.openElection,
		func() error { return d.openDataplane(c) },
		func() error { return d.clean(past, c) },
		d.monitor,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	d.begin(past)
	return d, nil
}

// past recalls what a killed predecessor left.
func (d *director) past() *remembered {
	past, err := recall(d.o.stateFile())
	if err != nil {
		d.log.Warn("what the last director left cannot be read: starting afresh", "err", err)
	}
	return past
}

// firstConfig loads the configuration, or takes the predecessor's when
// resuming: the file may have been edited since and not be ready.
func (d *director) firstConfig(past *remembered) (loaded, error) {
	if d.o.Resume && past != nil {
		if l := past.Sources.reload(); l.ok() {
			return l, nil
		}
	}
	l := load(d.o, rand.Uint64())
	if err := l.unreadable(); err != nil {
		return l, exitError{ExitNoConfig, err}
	}
	d.print(l.findings)
	if !l.ok() {
		n := 0
		for _, f := range l.findings {
			if f.Severity == finding.Error {
				n++
			}
		}
		return l, exit(ExitConfig, "%s: not started, for the errors above: %d", d.o.File, n)
	}
	return l, nil
}

// print shows findings as `kaname check` does.
func (d *director) print(fs []finding.Finding) {
	for _, f := range fs {
		if d.o.Report != nil {
			d.o.Report(f)
			continue
		}
		fmt.Fprint(d.o.Stderr, finding.Render(f))
	}
}

// listen takes the control socket, and with it the instance.
func (d *director) listen() error {
	l, err := api.Listen(d.o.socket())
	if err != nil {
		return listenError(err)
	}
	d.listener = l
	return nil
}

func listenError(err error) error {
	if _, busy := errors.AsType[*api.InUseError](err); busy {
		return exitError{ExitRunning, err}
	}
	if _, path := errors.AsType[*fs.PathError](err); path {
		return fmt.Errorf("%w: choose another directory with --run-dir", err)
	}
	return err
}

// openHost opens the network and checks that the interfaces are there.
func (d *director) openHost(past *remembered) error {
	var err error
	if d.net, err = hostnet.Open(); err != nil {
		return err
	}
	d.book = newAddressBook(d.net)
	if past != nil {
		d.book.know(past.Addresses)
	}
	d.net.SetVirtual(virtualAddresses(d.loaded.cfg))
	return checkInterfaces(d.net, d.loaded.cfg)
}

func checkInterfaces(n *hostnet.Network, c *config.Config) error {
	names := interfacesOf(c)
	var missing []string
	for name, where := range names {
		if _, err := n.Link(name); err != nil {
			if !errors.Is(err, hostnet.ErrNoInterface) {
				return err
			}
			missing = append(missing, fmt.Sprintf("%sinterface %s does not exist on this host: see `ip link` for those that do", place(where), name))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return exit(ExitConfig, "%s", strings.Join(missing, "\n"))
}

// openDataplane opens it when something is to be balanced.
func (d *director) openDataplane(c *config.Config) error {
	if d.carrier.dp != nil || len(c.VirtualServers) == 0 {
		return nil
	}
	mode := xdp.Auto
	switch {
	case c.Kaname.Dataplane == "tc":
		mode = xdp.TC
	case c.Kaname.XDPMode == "native":
		mode = xdp.Native
	case c.Kaname.XDPMode == "generic":
		mode = xdp.Generic
	}
	dp, err := xdp.Open(xdp.Spec{PinDir: d.o.pinDir(), Connections: c.Kaname.Connections, Mode: mode, Log: d.log})
	if err != nil {
		return fmt.Errorf("dataplane: %w", err)
	}
	d.carrier.dp = dp
	d.dataplane.Store(dp)
	return nil
}

// clean removes what a dead predecessor left: addresses of ours, and, as
// keepalived does, configured addresses that somebody else put there. One that
// resumes goes on with them instead.
func (d *director) clean(past *remembered, c *config.Config) error {
	if d.o.Resume {
		return nil
	}
	if past != nil && d.carrier.dp == nil { // it balanced, this one does not
		if err := xdp.Sweep(d.o.pinDir(), d.log); err != nil {
			return err
		}
	}
	hosts, err := hostAddresses(wanted(c))
	if err != nil {
		return err
	}
	left, err := d.net.Leftovers(hosts)
	if err != nil {
		return fmt.Errorf("look for left-over addresses: %w", err)
	}
	others := claimedByOthers(d.o)
	for _, l := range left {
		if others[bookKey(l.Interface, l.Prefix)] {
			continue // an address of another instance on this host
		}
		d.tellLeftover(l, past)
		if err := d.net.Remove(l.Address); err != nil {
			return err
		}
	}
	return nil
}

func (d *director) tellLeftover(l hostnet.Leftover, past *remembered) {
	ours := l.Marked || past != nil && slices.ContainsFunc(past.Addresses, func(a desired.Address) bool {
		return a.Interface == l.Interface && a.Prefix == l.Prefix
	})
	if ours {
		d.log.Info("removing an address that an earlier run left", "iface", l.Interface, "address", l.Prefix)
		return
	}
	d.log.Warn("a virtual address is on the interface already, and kaname did not put it there: removing it; take it out of the system's network configuration",
		"iface", l.Interface, "address", l.Prefix)
}

// wanted lists every virtual address that the configuration may ever want.
func wanted(c *config.Config) []desired.Address {
	all := desired.VRRP{}
	for _, in := range c.Instances {
		all[in.Name] = true
	}
	return desired.Compute(c, all, nil, desired.Host{}).Addresses
}

func virtualAddresses(c *config.Config) []netip.Addr {
	var out []netip.Addr
	for _, a := range wanted(c) {
		out = append(out, a.Prefix.Addr())
	}
	return out
}

// openElection opens what VRRP needs, so that a missing permission is known
// before anything was changed.
func (d *director) openElection() error {
	var err error
	if d.sockets, err = vrrpio.Listen(); err != nil {
		return err
	}
	if d.asker, err = announce.New(); err != nil {
		return err
	}
	if d.announcer, err = announce.New(); err != nil {
		return err
	}
	d.tap, err = vrrpio.NewTap(d.log)
	return err
}

// closeElection is the reverse, as far as openElection got.
func (d *director) closeElection() error {
	var errs []error
	if d.tap != nil {
		errs = append(errs, d.tap.Close())
	}
	if d.asker != nil {
		errs = append(errs, d.asker.Close())
	}
	if d.announcer != nil {
		errs = append(errs, d.announcer.Close())
	}
	if d.sockets != nil {
		errs = append(errs, d.sockets.Close())
	}
	return errors.Join(errs...)
}

func (d *director) monitor() error {
	var err error
	if d.changes, err = d.net.Monitor(d.ctx); err != nil {
		return fmt.Errorf("watch the host's interfaces: %w", err)
	}
	return nil
}

// begin starts everything that runs: from here on the director must be stopped.
func (d *director) begin(past *remembered) {
	c := d.loaded.cfg
	d.pids.write(c)
	d.rec = reconcile.New(d.book, &d.carrier)
	d.notifier = notify.New(notifySpec(c, nil), d.log)
	if !d.o.Resume {
		past = nil
	}
	d.beginChecks(past)
	d.server = api.NewServer(source{d}, d.log)
	d.spawn(func() error { return d.server.Serve(d.ctx, d.listener) })
	if dp := d.carrier.dp; dp != nil {
		d.spawn(func() error { return dp.Run(d.ctx) })
	}
	d.beginElection(past)
	d.adjustSync()
}

func (d *director) beginChecks(past *remembered) {
	var spec health.Spec
	spec, d.targets = healthSpec(d.loaded.cfg, d.checkDropped)
	d.runner = checker.NewRunner(checker.Limits{}, func(r health.Result) {
		select {
		case d.results <- r:
		case <-d.ctx.Done():
		}
	})
	d.health = health.New(spec, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	var restore *health.Remembered
	if past != nil {
		restore = past.Health
	}
	d.stepHealth(health.Start{Restore: restore})
}

// beginElection starts the driver; the election itself starts when the state
// of the host is known.
func (d *director) beginElection(past *remembered) {
	if past != nil {
		d.begun = vrrp.Start{Resume: past.VRRP, Scripts: past.Scripts}
		maps.Copy(d.told, past.Notified)
		// The addresses stay on until the election says otherwise: it goes on as
		// Active, or an instance changes to another state.
		for _, r := range past.VRRP {
			if r.State == vrrp.Active {
				d.active[r.Instance] = true
			}
		}
	}
	spec := vrrpSpec(d.loaded.cfg)
	d.driver = vrrpio.New(vrrpio.Spec{
		Machine:   vrrp.New(spec),
		Election:  spec,
		Transport: d.sockets,
		Announcer: d.announcer,
		Logger:    d.log,
		Realtime:  true,
	})
	d.tap.Watch(tapSpec(d.loaded.cfg))
	d.tracker = track.New(d.log, func(r vrrp.ScriptResult) { d.driver.Send(r) })
	d.tracker.Update(trackScripts(d.loaded.cfg))
	d.spawn(func() error { return d.tracker.Run(d.ctx) })
	// The driver outlives ctx: it is ended by vrrp.Stop, so that priority 0 is sent.
	d.driverDone = make(chan error, 1)
	go func() { d.driverDone <- d.driver.Run(context.WithoutCancel(d.ctx)) }()
}

func tapSpec(c *config.Config) []vrrpio.TapInterface {
	at := map[string]int{}
	var out []vrrpio.TapInterface
	for _, in := range c.Instances {
		i, ok := at[in.Interface]
		if !ok {
			i = len(out)
			at[in.Interface] = i
			out = append(out, vrrpio.TapInterface{Name: in.Interface})
		}
		out[i].VRIDs = append(out[i].VRIDs, uint8(in.VRID))
		for _, a := range in.Addresses {
			out[i].VIPs = append(out[i].VIPs, a.Prefix.Addr())
		}
	}
	return out
}

func trackScripts(c *config.Config) []track.Script {
	var out []track.Script
	for _, s := range c.Scripts {
		user := withDefault(s.Command.User, c.Global.ScriptUser)
		out = append(out, track.Script{
			Name: s.Name,
			Command: process.Command{
				Argv: s.Command.Argv, User: user.Name, Group: user.Group, Timeout: scriptTimeout(s),
			},
			Interval: s.Interval,
		})
	}
	return out
}
