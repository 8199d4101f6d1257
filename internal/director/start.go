package director

import (
	"context"
	"errors"
	"fmt"
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
// anything on the host was changed: configuration, socket, permissions,
// interfaces, dataplane. On an error what was opened is closed again.
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
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.abandon())
		}
	}()
	past := d.past()
	l, err := d.firstConfig(past)
	if err != nil {
		return nil, err
	}
	d.loaded = l
	if d.listener, err = api.Listen(o.socket()); err != nil {
		return nil, listenError(err)
	}
	if err := d.openHost(past); err != nil {
		return nil, err
	}
	if err := d.openDataplane(l.cfg); err != nil {
		return nil, err
	}
	if !o.Resume {
		if err := d.clean(past, l.cfg); err != nil {
			return nil, err
		}
	}
	d.rec = reconcile.New(d.book, &d.carrier)
	d.notifier = notify.New(notifySpec(l.cfg, nil), d.log)
	d.begin(ctx, past)
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
	if t, ok := l.sources.Texts[d.o.File]; ok && t.Err != "" {
		return l, exit(ExitNoConfig, "%s", t.Err)
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
		fmt.Fprint(d.o.Stderr, finding.Render(f))
	}
}

func listenError(err error) error {
	if _, busy := errors.AsType[*api.InUseError](err); busy {
		return exitError{ExitRunning, err}
	}
	return err
}

// openHost opens the network and checks that the interfaces are there.
func (d *director) openHost(past *remembered) error {
	var err error
	if d.net, err = hostnet.Open(); err != nil {
		return err
	}
	var known []desired.Address
	if past != nil {
		known = past.Addresses
	}
	d.book = newAddressBook(d.net, known)
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
// keepalived does, configured addresses that somebody else put there.
func (d *director) clean(past *remembered, c *config.Config) error {
	want := wanted(c)
	var hosts []hostnet.Address
	for _, a := range want {
		h, err := hostAddress(a)
		if err != nil {
			return err
		}
		hosts = append(hosts, h)
	}
	left, err := d.net.Leftovers(hosts)
	if err != nil {
		return fmt.Errorf("look for left-over addresses: %w", err)
	}
	for _, l := range left {
		ours := l.Marked || past != nil && slices.ContainsFunc(past.Addresses, func(a desired.Address) bool {
			return a.Interface == l.Interface && a.Prefix == l.Prefix
		})
		if ours {
			d.log.Info("removing an address that an earlier run left", "iface", l.Interface, "address", l.Prefix)
		} else {
			d.log.Warn("a virtual address is on the interface already, and kaname did not put it there: removing it; take it out of the system's network configuration",
				"iface", l.Interface, "address", l.Prefix)
		}
		if err := d.net.Remove(l.Address); err != nil {
			return fmt.Errorf("remove %s from %s: %w", l.Prefix, l.Interface, err)
		}
	}
	return nil
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

// begin starts everything that runs: from here on the director must be stopped.
func (d *director) begin(ctx context.Context, past *remembered) {
	c := d.loaded.cfg
	d.ctx, d.cancel = context.WithCancel(ctx)
	ctx = d.ctx

	var spec health.Spec
	spec, d.targets = healthSpec(c, d.checkDropped)
	d.runner = checker.NewRunner(checker.Limits{}, func(r health.Result) {
		select {
		case d.results <- r:
		case <-ctx.Done():
		}
	})
	d.health = health.New(spec, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	var restore *health.Remembered
	if d.o.Resume && past != nil {
		restore = past.Health
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
	d.stepHealth(health.Start{Restore: restore})

	d.server = api.NewServer(source{d}, d.log)
	d.spawn(func() error { return d.server.Serve(ctx, d.listener) })
	if dp := d.carrier.dp; dp != nil {
		d.spawn(func() error { return dp.Run(ctx) })
	}
	d.beginVRRP(ctx)
}

// beginVRRP starts the election when there is one.
func (d *director) beginVRRP(ctx context.Context) {
	changes, err := d.net.Monitor(ctx)
	if err != nil {
		d.fail(fmt.Errorf("watch the host's interfaces: %w", err))
		return
	}
	d.changes = changes
	if err := d.openDriver(); err != nil {
		d.fail(err)
		return
	}
	d.tracker = track.New(d.log, func(r vrrp.ScriptResult) { d.driver.Send(r) })
	d.tracker.Update(trackScripts(d.loaded.cfg))
	d.spawn(func() error { return d.tracker.Run(ctx) })
	// The driver outlives ctx: it is ended by vrrp.Stop, so that priority 0 is sent.
	d.driverDone = make(chan error, 1)
	go func() { d.driverDone <- d.driver.Run(context.WithoutCancel(ctx)) }()
}

func (d *director) openDriver() error {
	sockets, err := vrrpio.Listen()
	if err != nil {
		return err
	}
	d.sockets = sockets
	if d.announcer, err = announce.New(); err != nil {
		return err
	}
	if d.tap, err = vrrpio.NewTap(d.log); err != nil {
		return err
	}
	spec := vrrpSpec(d.loaded.cfg)
	d.driver = vrrpio.New(vrrpio.Spec{
		Machine:   vrrp.New(spec),
		Election:  spec,
		Transport: sockets,
		Announcer: d.announcer,
		Logger:    d.log,
		Realtime:  true,
	})
	d.tap.Watch(tapSpec(d.loaded.cfg))
	return nil
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
