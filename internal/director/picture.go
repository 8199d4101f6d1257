package director

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// publish makes a new snapshot and shows it to everybody.
func (d *director) publish() {
	now := time.Now()
	st := d.vrrpStatus()
	s := &snapshot.Snapshot{
		Time:       now,
		Started:    d.started,
		Version:    d.o.Version,
		PID:        os.Getpid(),
		ConfigFile: d.o.File,
		LastReload: d.reload,
		Instances:  d.instances(st),
		Services:   d.services(),
		Dataplane:  snapshot.Dataplane{Backend: "none"},
	}
	for _, g := range st.Machine.Groups {
		s.Groups = append(s.Groups, snapshot.Group{Name: g.Name, State: g.State.String(), Since: g.Since, Members: g.Members})
	}
	for _, sc := range st.Machine.Scripts {
		s.Scripts = append(s.Scripts, snapshot.Script{Name: sc.Name, Up: sc.Up, Known: sc.Known, Since: sc.Since, Detail: sc.Detail})
	}
	s.Conditions = d.conditions.conclude(now, d.views(st))
	if dp := d.carrier.dp; dp != nil {
		s.Dataplane = dp.Status()
		s.Conditions = append(s.Conditions, dp.Conditions()...)
	}
	var lasting []snapshot.Condition
	s.Sync, lasting = d.syncPicture(now)
	s.Conditions = append(s.Conditions, lasting...)
	d.picture.Store(s)
}

// instances joins what is configured, what the machine knows and what the
// driver counted.
func (d *director) instances(st *vrrpio.Status) []snapshot.Instance {
	var out []snapshot.Instance
	for _, m := range st.Machine.Instances {
		c := st.Instances[m.Name]
		in := snapshot.Instance{
			Name:              m.Name,
			State:             m.State.String(),
			Since:             m.Since,
			Reason:            m.Reason,
			Interface:         m.Interface,
			VRID:              int(m.VRID),
			Priority:          int(m.Priority),
			EffectivePriority: int(m.EffectivePriority),
			AdvertInterval:    m.AdvertInterval,
			Master:            m.Master,
			AdvertsSent:       c.AdvertsSent,
			AdvertsReceived:   m.Received,
			Ignored:           map[string]uint64{},
			BecameMaster:      c.BecameMaster,
			ReleasedMaster:    c.ReleasedMaster,
		}
		for r, i := range c.Ignored {
			in.Ignored[r.String()] = i.Count
		}
		if cfg := d.instance(m.Name); cfg != nil {
			for _, a := range slices.Concat(cfg.Addresses, cfg.Excluded) {
				in.Addresses = append(in.Addresses, a.Prefix)
			}
		}
		out = append(out, in)
	}
	return out
}

func (d *director) instance(name string) *config.Instance {
	for _, in := range d.loaded.cfg.Instances {
		if in.Name == name {
			return in
		}
	}
	return nil
}

// views are what the conditions are concluded from.
func (d *director) views(st *vrrpio.Status) []view {
	var out []view
	for _, m := range st.Machine.Instances {
		v := view{
			name: m.Name, iface: m.Interface, vrid: m.VRID,
			active: m.State == vrrp.Active, interval: m.AdvertInterval,
			waiting: m.Waiting, since: m.Since, lastAdvert: m.LastAdvert, source: m.Source,
			delivered: st.Interfaces[m.Interface].LastDelivered,
		}
		for _, g := range st.Machine.Groups {
			if slices.Contains(g.Members, m.Name) {
				v.group, v.groupState = g.Name, g.State.String()
			}
		}
		for r, i := range st.Instances[m.Name].Ignored {
			v.ignored = append(v.ignored, ignored{r, i.Last, i.From, i.Detail})
		}
		if cfg := d.instance(m.Name); cfg != nil {
			for _, a := range cfg.Addresses {
				v.addrs = append(v.addrs, a.Prefix.Addr())
			}
		}
		out = append(out, v)
	}
	return out
}

// services joins the configuration, the checks and the table.
func (d *director) services() []snapshot.VirtualServer {
	st := d.health.Status()
	var out []snapshot.VirtualServer
	for _, vs := range d.loaded.cfg.VirtualServers {
		svc, _ := st.Service(vs.ID())
		s := snapshot.VirtualServer{
			Name: vs.Name, Scheduler: vs.Scheduler, Method: vs.Method.String(),
			Quorum: vs.Quorum, QuorumUp: svc.QuorumUp,
		}
		for _, ep := range vs.Endpoints {
			s.Keys = append(s.Keys, lvs.ServiceKey{Protocol: vs.Protocol, Addr: ep.Addr, Port: ep.Port})
		}
		if vs.Sorry != nil {
			s.SorryServer = netip.AddrPortFrom(vs.Sorry.Addr, vs.Sorry.Port).String()
			s.SorryInUse = !svc.QuorumUp
		}
		table := d.table(s.Keys)
		for _, rs := range vs.RealServers {
			s.Servers = append(s.Servers, realServer(rs, svc, table))
		}
		out = append(out, s)
	}
	return out
}

// table returns what the first of the services holds in the desired state,
// which is sorted by key: a snapshot is made every second, of 10,000 services
// too.
func (d *director) table(keys []lvs.ServiceKey) []lvs.Destination {
	if len(keys) == 0 {
		return nil
	}
	i, ok := slices.BinarySearchFunc(d.state.Services, keys[0], func(set lvs.ServiceSet, k lvs.ServiceKey) int {
		return set.ServiceKey.Compare(k)
	})
	if !ok {
		return nil
	}
	return d.state.Services[i].Destinations
}

func realServer(rs *config.RealServer, svc health.ServiceStatus, table []lvs.Destination) snapshot.RealServer {
	addr := netip.AddrPortFrom(rs.Addr, rs.Port)
	out := snapshot.RealServer{Addr: addr, ConfiguredWeight: rs.Weight, Checks: len(rs.Checkers), Up: true}
	if r, ok := svc.Server(addr); ok {
		out.Up, out.Since, out.Reason = r.Up, r.Since, r.Reason
	}
	for _, dst := range table {
		if dst.Addr == rs.Addr && (dst.Port == rs.Port || rs.Method != lvs.NAT || rs.Port == 0) {
			out.InTable, out.Weight = true, dst.Weight
		}
	}
	return out
}

// reloaded is the record of a start or reload.
func reloaded(at time.Time, fs []finding.Finding, problem string) snapshot.Reload {
	r := snapshot.Reload{Time: at, OK: problem == "", Error: problem}
	for _, f := range fs {
		if f.Severity == finding.Warning {
			r.Warnings++
		}
	}
	r.Error = strings.TrimSpace(r.Error)
	return r
}
