package director

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/director/notify"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/health/checker"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

// This file fills the small Specs of the rooms from the Config: they do not
// know it, and it does not know them.

func vrrpSpec(c *config.Config) vrrp.Spec {
	s := vrrp.Spec{StartupDelay: c.Global.StartupDelay}
	scripts := map[string]*config.Script{}
	for _, sc := range c.Scripts {
		if scripts[sc.Name] == nil { // of two alike the first is used
			scripts[sc.Name] = sc
			s.Scripts = append(s.Scripts, vrrp.ScriptSpec{Name: sc.Name, Rise: max(sc.Rise, 1), Fall: max(sc.Fall, 1)})
		}
	}
	for _, in := range c.Instances {
		s.Instances = append(s.Instances, instanceSpec(in, scripts))
	}
	for _, g := range c.SyncGroups {
		s.Groups = append(s.Groups, vrrp.GroupSpec{
			Name:            g.Name,
			Members:         g.Members,
			TrackInterfaces: tracks(g.TrackInterfaces, nil),
			TrackScripts:    tracks(g.TrackScripts, scripts),
		})
	}
	return s
}

func instanceSpec(in *config.Instance, scripts map[string]*config.Script) vrrp.InstanceSpec {
	s := vrrp.InstanceSpec{
		Name:                 in.Name,
		Interface:            in.Interface,
		VRID:                 uint8(in.VRID),
		Priority:             uint8(in.Priority),
		AdvertInterval:       in.AdvertInterval,
		Preempt:              !in.NoPreempt,
		PreemptDelay:         in.PreemptDelay,
		Source:               in.SourceAddr,
		DownTimerAdverts:     in.DownTimerAdverts,
		LowerPrioNoAdvert:    in.LowerPrioNoAdvert,
		HigherPrioSendAdvert: in.HigherPrioSendAdvert,
		SkipCheckAddresses:   in.SkipCheckAdvAddr,
		DontTrackPrimary:     in.DontTrackPrimary,
		TrackInterfaces:      tracks(in.TrackInterfaces, nil),
		TrackScripts:         tracks(in.TrackScripts, scripts),
		GARP: vrrp.GARPSpec{
			Repeat:          in.GARPRepeat,
			Delay:           in.GARPDelay,
			Refresh:         in.GARPRefresh,
			RefreshRepeat:   in.GARPRefreshRep,
			LowerPrioRepeat: in.GARPLowerRepeat,
			LowerPrioDelay:  in.GARPLowerDelay,
		},
	}
	switch in.Auth {
	case config.AuthPass:
		s.Auth, s.Password = vrrp.AuthPass, string(in.AuthPass)
	case config.AuthAH:
		s.Auth, s.Password = vrrp.AuthAH, string(in.AuthPass)
	case config.AuthNone:
	}
	for _, a := range in.Addresses {
		s.Addresses = append(s.Addresses, a.Prefix.Addr())
	}
	for _, a := range slices.Concat(in.Addresses, in.Excluded) {
		announced(&s, a)
	}
	return s
}

// announced lists an address where it is: on the instance's interface, or on
// the one that its line names.
func announced(s *vrrp.InstanceSpec, a config.Address) {
	if a.Dev == "" || a.Dev == s.Interface {
		s.Announce = append(s.Announce, a.Prefix.Addr())
		return
	}
	i := slices.IndexFunc(s.AnnounceOn, func(o vrrp.AnnounceSpec) bool { return o.Interface == a.Dev })
	if i < 0 {
		i = len(s.AnnounceOn)
		s.AnnounceOn = append(s.AnnounceOn, vrrp.AnnounceSpec{Interface: a.Dev})
	}
	s.AnnounceOn[i].Addrs = append(s.AnnounceOn[i].Addrs, a.Prefix.Addr())
}

// tracks resolves the weight of each line: its own, else the script's.
func tracks(lines []config.Track, scripts map[string]*config.Script) []vrrp.TrackSpec {
	var out []vrrp.TrackSpec
	for _, l := range lines {
		t := vrrp.TrackSpec{Name: l.Name, Weight: l.Weight, Reverse: l.Reverse}
		if sc := scripts[l.Name]; sc != nil && !l.HasWeight {
			t.Weight, t.Reverse = sc.Weight, sc.Reverse
		}
		out = append(out, t)
	}
	return out
}

// healthSpec returns the machine's spec and what each checker's probe does. As
// under keepalived a MISC_CHECK whose program cannot be run is no check at all;
// dropped is told of it.
func healthSpec(c *config.Config, dropped func(config.Where, error)) (health.Spec, map[health.CheckerID]checker.Target) {
	var s health.Spec
	targets := map[health.CheckerID]checker.Target{}
	for _, vs := range c.VirtualServers {
		svc := health.ServiceSpec{Name: vs.ID(), Quorum: vs.Quorum, Hysteresis: vs.Hysteresis, Sorry: vs.Sorry != nil}
		for _, rs := range vs.RealServers {
			server := health.ServerSpec{Addr: netip.AddrPortFrom(rs.Addr, rs.Port), Weight: rs.Weight}
			for _, ch := range rs.Checkers {
				t := target(c, ch)
				if t.Kind == checker.Misc {
					if err := t.Misc.Usable(c.Global.ScriptSecurity); err != nil {
						dropped(ch.Where, err)
						continue
					}
				}
				spec := health.CheckerSpec{
					Key:              t.Key(),
					Alpha:            ch.Alpha,
					DelayLoop:        ch.DelayLoop,
					DelayBeforeRetry: ch.DelayBeforeRetry,
					Warmup:           ch.Warmup,
					Retry:            ch.Retry,
				}
				server.Checkers = append(server.Checkers, spec)
				targets[health.CheckerID{Service: vs.ID(), Server: server.Addr, Key: spec.Key}] = t
			}
			svc.Servers = append(svc.Servers, server)
		}
		s.Services = append(s.Services, svc)
	}
	return s, targets
}

func target(c *config.Config, ch *config.Checker) checker.Target {
	t := checker.Target{
		Kind: checker.Kind(ch.Kind),
		Connect: checker.Connect{
			To:       ch.ConnectTo,
			From:     ch.BindTo,
			FromPort: ch.BindPort,
			Device:   ch.BindIf,
			Timeout:  ch.ConnectTimeout,
		},
	}
	switch ch.Kind {
	case config.HTTPGet:
		t.HTTP.Version = ch.HTTPVersion
		for _, u := range ch.URLs {
			url := checker.URL{Path: u.Path, Digest: u.Digest, Host: u.VirtualHost}
			if url.Host == "" {
				url.Host = ch.VirtualHost
			}
			for _, r := range u.Statuses {
				url.Statuses = append(url.Statuses, checker.StatusRange(r))
			}
			t.HTTP.URLs = append(t.HTTP.URLs, url)
		}
	case config.MiscCheck:
		user := withDefault(ch.Misc.User, c.Global.ScriptUser)
		t.Misc = checker.MiscSpec{
			Argv:    ch.Misc.Argv,
			User:    user.Name,
			Group:   user.Group,
			Timeout: ch.MiscTimeout,
			Dynamic: ch.MiscDynamic,
		}
		if t.Misc.Timeout == 0 {
			t.Misc.Timeout = ch.DelayLoop
		}
	default: // TCP_CHECK has no more; Config.Runnable leaves out what is not run
	}
	return t
}

func withDefault(u, def config.User) config.User {
	if u.Name == "" {
		return def
	}
	return u
}

// notifySpec lists the scripts of c, and of the instances that were in old (may
// be nil) and are gone: their end has still to be told.
func notifySpec(c, old *config.Config) notify.Spec {
	s := notify.Spec{
		Instances: map[string]notify.Scripts{},
		Groups:    map[string]notify.Scripts{},
		Services:  map[string]notify.ServerScripts{},
		Servers:   map[notify.ServerKey]notify.ServerScripts{},
		User:      c.Global.ScriptUser.Name,
		Group:     c.Global.ScriptUser.Group,
		Secure:    c.Global.ScriptSecurity,
	}
	if old != nil {
		for _, in := range old.Instances {
			s.Instances[in.Name] = scriptsOf(in.Notify)
		}
	}
	for _, in := range c.Instances {
		s.Instances[in.Name] = scriptsOf(in.Notify)
	}
	for _, g := range c.SyncGroups {
		s.Groups[g.Name] = scriptsOf(g.Notify)
	}
	for _, vs := range c.VirtualServers {
		s.Services[vs.ID()] = notify.ServerScripts{Up: script(vs.QuorumUp), Down: script(vs.QuorumDown)}
		for _, rs := range vs.RealServers {
			key := notify.ServerKey{Service: vs.ID(), Server: netip.AddrPortFrom(rs.Addr, rs.Port)}
			s.Servers[key] = notify.ServerScripts{Up: script(rs.NotifyUp), Down: script(rs.NotifyDown)}
		}
	}
	return s
}

func scriptsOf(n config.Notify) notify.Scripts {
	return notify.Scripts{
		Master:        script(n.Master),
		Backup:        script(n.Backup),
		Fault:         script(n.Fault),
		Stop:          script(n.Stop),
		Generic:       script(n.Generic),
		LowerPriority: script(n.MasterRxLowerPri),
	}
}

func script(c config.Command) notify.Script {
	if !c.Set() {
		return notify.Script{}
	}
	return notify.Script{Argv: c.Argv, User: c.User.Name, Group: c.User.Group, Where: c.Where.String()}
}

// interfacesOf lists the interfaces that the VRRP part names, each once, with
// the position of its first naming.
func interfacesOf(c *config.Config) map[string]config.Where {
	out := map[string]config.Where{}
	add := func(name string, w config.Where) {
		if _, ok := out[name]; !ok && name != "" {
			out[name] = w
		}
	}
	for _, in := range c.Instances {
		add(in.Interface, in.InterfaceAt)
		for _, a := range in.Addresses {
			add(a.Dev, a.Where)
		}
		for _, a := range in.Excluded {
			add(a.Dev, a.Where)
		}
		for _, t := range in.TrackInterfaces {
			add(t.Name, t.Where)
		}
	}
	for _, g := range c.SyncGroups {
		for _, t := range g.TrackInterfaces {
			add(t.Name, t.Where)
		}
	}
	for _, name := range c.Kaname.Interfaces {
		add(name, c.Kaname.Where)
	}
	return out
}

// scriptTimeout is a vrrp_script's time-out: its own, else its interval.
func scriptTimeout(s *config.Script) time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return s.Interval
}

// place formats a position as the start of a message.
func place(w config.Where) string { return fmt.Sprintf("%s: ", w) }
