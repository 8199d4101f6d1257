package vrrptest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// Run plays a script and returns what happened, one line each. The error is a
// line that it does not understand, or the first invariant that broke.
func Run(script string) (string, error) {
	l := newLAN()
	for n, line := range strings.Split(script, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		clear(l.said)
		if err := l.command(fields); err != nil {
			return l.out.String(), fmt.Errorf("line %d: %s: %w", n+1, strings.TrimSpace(line), err)
		}
		l.check()
		if l.violation != nil {
			return l.out.String(), fmt.Errorf("line %d: %s: %w", n+1, strings.TrimSpace(line), l.violation)
		}
	}
	return l.out.String(), nil
}

var errUsage = errors.New("not understood")

// quiet are the commands that disturb no election.
var quiet = []string{"run", "status", "show", "seed"}

func (l *lan) command(f []string) error {
	if !slices.Contains(quiet, f[0]) {
		l.disturbed = l.now
	}
	switch f[0] {
	case "seed", "run", "status", "show", "heal", "net", "cut", "split":
		return l.global(f)
	case "router":
		return l.addRouter(f)
	}
	if len(f) < 2 {
		return errUsage
	}
	r := l.find(f[1])
	if r == nil {
		return fmt.Errorf("no router %s", f[1])
	}
	switch f[0] {
	case "instance", "group", "script", "track", "drop", "startup", "hostdelay":
		return r.describe(f[0], f[2:])
	}
	return r.operate(f[0], f[2:])
}

// global is about time and the network.
func (l *lan) global(f []string) error {
	switch {
	case f[0] == "heal":
		l.heal()
		return nil
	case f[0] == "status":
		l.status()
		return nil
	case f[0] == "net":
		return l.setNet(f[1:])
	case f[0] == "seed" && len(f) == 2:
		seed, err := strconv.ParseUint(f[1], 10, 64)
		l.rng = rand.New(rand.NewPCG(seed, 1))
		return err
	case f[0] == "run" && len(f) == 2:
		d, err := time.ParseDuration(f[1])
		if err != nil {
			return err
		}
		l.run(d)
		return nil
	case f[0] == "show" && len(f) == 3:
		switch f[1] {
		case "adverts":
			l.adverts = f[2] == "on"
		case "announcements":
			l.announce = f[2] == "on"
		default:
			return errUsage
		}
		return nil
	case len(f) == 4:
		a, b := l.find(f[2]), l.find(f[3])
		if a == nil || b == nil {
			return errUsage
		}
		l.cuts[path{f[1], a, b}] = true
		if f[0] == "split" {
			l.cuts[path{f[1], b, a}] = true
		}
		return nil
	}
	return errUsage
}

func (l *lan) setNet(options []string) error {
	return eachOption(options, func(k, v string) (err error) {
		switch k {
		case "loss":
			l.loss, err = strconv.ParseFloat(v, 64)
		case "dup":
			l.dup, err = strconv.ParseFloat(v, 64)
		case "delay":
			from, to, _ := strings.Cut(v, "..")
			if l.delayMin, err = time.ParseDuration(from); err == nil {
				l.delayMax, err = time.ParseDuration(to)
			}
		default:
			err = errUsage
		}
		return err
	})
}

// eachOption takes key=value words apart.
func eachOption(options []string, set func(key, value string) error) error {
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		if err := set(k, v); err != nil {
			return fmt.Errorf("%s: %w", o, err)
		}
	}
	return nil
}

func (l *lan) addRouter(f []string) error {
	if len(f) < 3 || l.find(f[1]) != nil {
		return errUsage
	}
	r := &router{lan: l, name: f[1], links: map[string]bool{}, sources: map[string]netip.Addr{}, hostDelay: 2 * time.Millisecond}
	l.routers = append(l.routers, r)
	return eachOption(f[2:], func(k, v string) (err error) {
		r.ifaces = append(r.ifaces, k)
		r.links[k] = true
		r.sources[k], err = netip.ParseAddr(v)
		return err
	})
}

func (l *lan) status() {
	for _, r := range l.routers {
		if r.machine == nil {
			l.say("%s not running", r.name)
			continue
		}
		s := r.machine.Status()
		for _, i := range s.Instances {
			waiting := ""
			if i.Waiting {
				waiting = ", waiting for its sync group"
			}
			master := "nobody"
			if i.Master.IsValid() {
				master = i.Master.String()
			}
			l.say("%s %s is %v, priority %d, hears %s%s (%s)", r.name, i.Name, i.State, i.EffectivePriority, master, waiting, i.Reason)
			if i.State != r.states[i.Name] {
				l.fail("%s %s is %v, its transitions led to %v", r.name, i.Name, i.State, r.states[i.Name])
			}
		}
	}
}

// operate is what happens to a router.
func (r *router) operate(verb string, args []string) error {
	switch verb {
	case "start":
		return r.boot(nil)
	case "resume":
		return r.boot(r.remembers)
	case "kill":
		r.kill()
		return nil
	case "stop":
		r.step(vrrp.Stop{})
		r.kill()
		return nil
	case "reload":
		r.running = r.spec
		r.step(vrrp.Reconfigure{Spec: r.spec})
		return nil
	}
	switch {
	case len(args) == 1 && verb == "failover":
		r.step(vrrp.Failover{Instance: args[0]})
	case len(args) == 1 && verb == "lost":
		i := r.instance(args[0])
		if i == nil || len(i.Addresses) == 0 {
			return errUsage
		}
		r.step(vrrp.AddressLost{Instance: args[0], Addr: i.Addresses[0]})
	case len(args) == 2 && verb == "link":
		r.links[args[0]] = args[1] == "up"
		r.step(vrrp.LinkChanged{Interface: args[0], Up: r.links[args[0]]})
	case len(args) == 2 && verb == "addr":
		r.sources[args[0]], _ = netip.ParseAddr(args[1]) // "none" is no address
		r.step(vrrp.SourceChanged{Interface: args[0], Addr: r.sources[args[0]]})
	case len(args) == 2 && verb == "result":
		result, ok := results[args[1]]
		if !ok {
			return errUsage
		}
		result.Script = args[0]
		r.step(result)
	default:
		return errUsage
	}
	return nil
}

var results = map[string]vrrp.ScriptResult{
	"ok":      {OK: true},
	"fail":    {Status: 1},
	"timeout": {Status: -1, TimedOut: true},
	"signal":  {Status: -1},
}
