package director

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/event"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

// reloadNow loads the file again and takes it over if it can be run; else the
// running configuration goes on untouched.
func (d *director) reloadNow() api.ReloadResult {
	d.log.Info("reloading", "file", d.o.File)
	l := load(d.o, rand.Uint64())
	err := d.takeOver(l)
	res := api.ReloadResult{OK: err == nil, Findings: l.findings}
	if err != nil {
		res.Error = err.Error()
		d.log.Error("reload refused: the running configuration goes on", "file", d.o.File, "err", err)
		d.print(l.findings)
	} else {
		d.log.Info("reloaded", "file", d.o.File, "findings", len(l.findings))
	}
	d.reload = reloaded(time.Now(), l.findings, res.Error)
	d.tell(event.Reloaded{Time: d.reload.Time, Err: res.Error})
	d.settle() // who is told of it may look at once
	return res
}

// takeOver checks everything that can be refused before it changes anything.
func (d *director) takeOver(l loaded) error {
	if err := l.unreadable(); err != nil {
		return err
	}
	if !l.ok() {
		return fmt.Errorf("%s has errors", d.o.File)
	}
	if err := checkInterfaces(d.net, l.cfg); err != nil {
		return err
	}
	opened := d.carrier.dp == nil
	if err := d.openDataplane(l.cfg); err != nil {
		return err
	}
	if dp := d.carrier.dp; opened && dp != nil {
		d.rec.Forget()
		d.spawn(func() error { return dp.Run(d.ctx) })
	}
	old := d.loaded.cfg
	d.warnFixed(old, l.cfg)
	d.rename(old, l.cfg)
	d.announceChanged(old, l.cfg)
	d.loaded, d.host = l, nil
	d.net.SetVirtual(virtualAddresses(l.cfg))
	d.notifier.Set(notifySpec(l.cfg, old))
	var spec health.Spec
	spec, d.targets = healthSpec(l.cfg, d.checkDropped)
	d.stepHealth(health.Reconfigure{Spec: spec})
	d.tap.Watch(tapSpec(l.cfg))
	d.driver.Send(vrrp.Reconfigure{Spec: vrrpSpec(l.cfg)})
	d.tracker.Update(trackScripts(l.cfg))
	d.adjustSync()
	d.pids.write(l.cfg)
	d.dirty = true
	return nil
}

// warnFixed tells of settings that a running dataplane keeps.
func (d *director) warnFixed(old, now *config.Config) {
	a, b := old.Kaname, now.Kaname
	if d.carrier.dp != nil && len(old.VirtualServers) > 0 &&
		(a.Dataplane != b.Dataplane || a.XDPMode != b.XDPMode || a.Connections != b.Connections) {
		d.log.Warn("dataplane, xdp_mode and connections are taken over at the next start only", "where", b.Where.String())
	}
}

// rename follows an instance that only changed its name: the election goes on
// by interface and VRID, and says nothing.
func (d *director) rename(old, now *config.Config) {
	was := map[router]string{}
	for _, in := range old.Instances {
		was[router{in.Interface, uint8(in.VRID)}] = in.Name
	}
	active, told := map[string]bool{}, map[string]string{}
	d.renamed = map[string]string{}
	for _, in := range now.Instances {
		if name, ok := was[router{in.Interface, uint8(in.VRID)}]; ok {
			if d.active[name] {
				active[in.Name] = true
			}
			told[in.Name] = d.told[name]
			if name != in.Name {
				d.renamed[name] = in.Name
			}
		}
	}
	d.active, d.told = active, told
}

// announceChanged marks the active instances whose addresses a reload changes:
// once the addresses are on, the election announces them again.
func (d *director) announceChanged(old, now *config.Config) {
	had := map[string][]config.Address{}
	for _, in := range old.Instances {
		had[in.Name] = slices.Concat(in.Addresses, in.Excluded)
	}
	for _, in := range now.Instances {
		same := slices.EqualFunc(had[in.Name], slices.Concat(in.Addresses, in.Excluded), func(a, b config.Address) bool {
			return a.Prefix == b.Prefix && a.Dev == b.Dev
		})
		if d.active[in.Name] && !same {
			d.unready[in.Name] = true
		}
	}
}

// source is what the control socket reads. Its methods are called by many
// goroutines; what belongs to the loop is asked of the loop.
type source struct{ d *director }

// Snapshot returns the last picture.
func (s source) Snapshot() *snapshot.Snapshot { return s.d.picture.Load() }

// Services returns the table with live counts.
func (s source) Services() ([]lvs.ServiceStatus, error) {
	if dp := s.d.dataplane.Load(); dp != nil {
		return dp.Services(), nil
	}
	return nil, nil
}

// Connections yields the connection table.
func (s source) Connections(yield func(lvs.Connection) bool) error {
	if dp := s.d.dataplane.Load(); dp != nil {
		more := true
		dp.Connections(func(c lvs.Connection) bool {
			more = yield(c)
			return more
		})
		if more {
			s.d.kept(yield)
		}
	}
	return nil
}

// Reload asks the loop to reload.
func (s source) Reload(ctx context.Context) (api.ReloadResult, error) {
	answer := make(chan api.ReloadResult, 1)
	select {
	case s.d.requests <- func() { answer <- s.d.reloadNow() }:
		return <-answer, nil
	case <-ctx.Done():
		return api.ReloadResult{}, ctx.Err()
	case <-s.d.ctx.Done():
		return api.ReloadResult{}, errors.New("the director is stopping")
	}
}
