package director

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/director/keeper"
	"github.com/kaname-lb/kaname/internal/director/statedump"
	"github.com/kaname-lb/kaname/internal/process"
	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// A dump is one file that a signal asks for.
type dump struct {
	file  string
	write func(io.Writer, *statedump.State) error
}

// dumpOn writes what the signal asks for.
func (d *director) dumpOn(sig os.Signal) {
	s := d.dumpState()
	vrrp, checks := len(s.Config.Instances) > 0, len(s.Config.VirtualServers) > 0
	var dumps []dump
	switch sig {
	case keeper.SignalData:
		dumps = append(dumps, dump{"keepalived_parent.data", statedump.WriteParent})
		if vrrp {
			dumps = append(dumps, dump{"keepalived.data", statedump.WriteVRRP})
		}
		if checks {
			dumps = append(dumps, dump{"keepalived_check.data", statedump.WriteChecks})
		}
	case keeper.SignalStats, keeper.SignalStatsClear:
		if vrrp {
			dumps = append(dumps, dump{"keepalived.stats", statedump.WriteStats})
		}
	case keeper.SignalJSON:
		if vrrp {
			dumps = append(dumps, dump{"keepalived.json", statedump.WriteJSON})
		}
	}
	for _, what := range dumps {
		path := filepath.Join(d.dumpDir(), what.file)
		if err := writeDump(path, s, what.write); err != nil {
			d.log.Error("dump not written", "file", path, "reason", err)
			continue
		}
		d.log.Info("dump written", "file", path)
	}
	if sig == keeper.SignalStatsClear {
		d.cleared = d.counters(d.vrrpStatus())
	}
}

func (d *director) dumpDir() string {
	if d.o.DumpDir != "" {
		return d.o.DumpDir
	}
	return os.TempDir()
}

// writeDump replaces path in one step, so that nobody reads half of it and
// nobody's link in a directory that all may write to is followed.
func writeDump(path string, s *statedump.State, write func(io.Writer, *statedump.State) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".keepalived-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // when it was not renamed
	err = errors.Join(write(f, s), f.Chmod(os.FileMode(0o666&^s.Umask)), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// logConfig logs what runs, line by line (keepalived -d).
func (d *director) logConfig() {
	var b bytes.Buffer
	s := d.dumpState()
	if err := errors.Join(statedump.WriteVRRP(&b, s), statedump.WriteChecks(&b, s)); err != nil {
		d.log.Error("configuration not logged", "reason", err)
	}
	for line := range strings.Lines(b.String()) {
		d.log.Info(strings.TrimSuffix(line, "\n"))
	}
}

// dumpState is everything that dumps print.
func (d *director) dumpState() *statedump.State {
	c := d.loaded.cfg
	st := d.vrrpStatus()
	s := &statedump.State{
		Config: c, Namespace: d.o.Namespace, Umask: c.Global.Umask, IDs: ids, ShowSecrets: d.o.ShowSecrets,
		Instances: map[string]statedump.Instance{}, Groups: map[string]string{}, Scripts: map[string]statedump.Script{},
		Services: d.services(),
	}
	if d.o.Umask != nil {
		s.Umask = *d.o.Umask
	}
	counters := d.counters(st)
	for _, m := range st.Machine.Instances {
		in := statedump.Instance{
			State: m.State.String(), Since: m.Since, Source: m.Source, EffectivePriority: int(m.EffectivePriority),
			AddressesSet: m.State == vrrp.Active, Counters: counters[m.Name].Minus(d.cleared[m.Name]),
		}
		if m.State == vrrp.Backup {
			in.MasterPriority = int(m.MasterPriority)
		}
		s.Instances[m.Name] = in
	}
	for _, g := range st.Machine.Groups {
		s.Groups[g.Name] = g.State.String()
	}
	for _, sc := range st.Machine.Scripts {
		s.Scripts[sc.Name] = statedump.Script{Known: sc.Known, Up: sc.Up}
	}
	s.Interfaces = d.dumpInterfaces()
	return s
}

// counters sums up by keepalived's names what the election counted.
func (d *director) counters(st *vrrpio.Status) map[string]statedump.Counters {
	out := map[string]statedump.Counters{}
	for _, m := range st.Machine.Instances {
		n := st.Instances[m.Name]
		of := func(reasons ...vrrp.IgnoreReason) (sum uint64) {
			for _, r := range reasons {
				sum += n.Ignored[r].Count
			}
			return sum
		}
		out[m.Name] = statedump.Counters{
			Received: m.Received, Sent: n.AdvertsSent, BecameMaster: n.BecameMaster, ReleasedMaster: n.ReleasedMaster,
			Length: of(vrrp.IgnoreMalformed), TTL: of(vrrp.IgnoreTTL), Type: of(vrrp.IgnoreType), Interval: of(vrrp.IgnoreInterval),
			Addresses: of(vrrp.IgnoreAddresses, vrrp.IgnoreDestination),
			AuthType:  of(vrrp.IgnoreAuthType), AuthBad: of(vrrp.IgnorePassword, vrrp.IgnoreICV, vrrp.IgnoreReplay),
			ZeroReceived: m.Releases, ZeroSent: n.PriorityZeroSent,
		}
	}
	return out
}

// dumpInterfaces lists the host's links; what cannot be read is not there.
func (d *director) dumpInterfaces() []statedump.Interface {
	links, err := d.net.Links()
	if err != nil {
		d.log.Warn("interfaces not listed in the dump", "reason", err)
	}
	var out []statedump.Interface
	for _, l := range links {
		i := statedump.Interface{Name: l.Name, Index: l.Index, Up: l.Up, MTU: l.MTU}
		if slices.ContainsFunc(l.MAC, func(b byte) bool { return b != 0 }) {
			i.MAC = l.MAC.String()
		}
		if a, err := d.net.Primary(l.Name); err == nil {
			i.Addr = a
		}
		for _, in := range d.loaded.cfg.Instances {
			tracks := slices.ContainsFunc(in.TrackInterfaces, func(t config.Track) bool { return t.Name == l.Name })
			if tracks || in.Interface == l.Name && !in.DontTrackPrimary {
				i.Tracked = append(i.Tracked, in.Name)
			}
		}
		out = append(out, i)
	}
	return out
}

// ids finds the numbers of a user; those of this process when there is none.
func ids(u config.User) (uid, gid uint32) {
	if cred, err := process.Credential(u.Name, u.Group); err == nil && cred != nil {
		return cred.Uid, cred.Gid
	}
	return uint32(os.Geteuid()), uint32(os.Getegid())
}

// priority is the effective one of an instance, 0 when it is not known.
func (d *director) priority(instance string) int {
	for _, m := range d.vrrpStatus().Machine.Instances {
		if m.Name == instance {
			return int(m.EffectivePriority)
		}
	}
	return 0
}
