package dump

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// special writes the values whose words are more than their field. ok is false
// for all others.
func (p *printer) special(k *config.Keyword, parent any, v reflect.Value) (words []string, off, ok bool) {
	switch x := v.Interface().(type) {
	case config.ExtraGARP:
		return extraGARP(x), x.Every == 0, true
	case config.SMTPServer:
		return []string{word(x.Host), strconv.Itoa(int(x.Port))}, x.Host == "", true
	case config.Track:
		return []string{word(x.Name)}, x.Name == "", true
	case lvs.Timeouts:
		w := timeouts(x)
		return w, w == nil, true
	case *config.SyncDaemon:
		return syncDaemon(x), x == nil, true
	case *config.MACVLAN:
		return macvlan(x), x == nil, true
	case lvs.Method:
		return method(x, tunnelOf(parent)), false, true
	case lvs.Scheduler:
		return []string{string(x)}, false, true
	case []int:
		return texts(x), len(x) == 0, true
	case []config.StatusRange:
		return statuses(x), len(x) == 0, true
	case []string:
		return quoted(x), len(x) == 0 && !given(parent, k.Name), true
	case [2]int:
		return texts(x[:]), x == [2]int{}, true
	}
	return p.sibling(k, parent, v)
}

// sibling writes the values that another field of the block completes.
func (p *printer) sibling(k *config.Keyword, parent any, v reflect.Value) (words []string, off, ok bool) {
	s := reflect.ValueOf(parent).Elem()
	switch k.Name {
	case "weight":
		if r := s.FieldByName("Reverse"); r.IsValid() {
			return reverse(int(v.Int()), r.Bool()), false, true
		}
	case "init_file":
		f := parent.(*config.TrackFile)
		if f.InitValue == nil {
			return nil, true, true
		}
		return when([]string{strconv.Itoa(*f.InitValue)}, f.InitOverwrite, "overwrite"), false, true
	case "name", "require_reply", "regex", "persistence_granularity":
		return serverValue(k.Name, parent)
	case "umask":
		return []string{fmt.Sprintf("%#o", v.Int())}, false, true
	case "lvs_flush_on_stop":
		return when(nil, v.String() == "VS", "VS"), v.String() == "", true
	case "dynamic_interfaces":
		return when(nil, v.String() == "allow_if_changes", "allow_if_changes"), v.String() == "", true
	case "notify_deleted":
		n := parent.(*config.Notify)
		if n.DeletedCommand.Set() {
			return append([]string{command(n.DeletedCommand.Argv)}, userWords(n.DeletedCommand.User)...), false, true
		}
		return nil, !n.Deleted, true
	case "user":
		return p.scriptUser(parent)
	case "param_match":
		return when(nil, v.String() != "exact", v.String()), v.String() == "" || v.String() == "exact", true
	case "old_unicast_checksum":
		return when(nil, v.String() == "never", "never"), v.String() == "" || v.String() == "auto", true
	case "quorum_max":
		return []string{strconv.FormatInt(v.Int(), 10)}, v.Int() < 0, true
	case "owner_ignore_adverts": // an owner's false means true when written
		if _, ok := parent.(*config.Instance); ok {
			return []string{"true"}, !v.Bool(), true
		}
	case "timer_expired_backup":
		return []string{strconv.FormatInt(v.Int(), 10)}, v.Int() == 0, true
	}
	return nil, false, false
}

func when(words []string, on bool, w string) []string {
	if on {
		return append(words, w)
	}
	return words
}

func reverse(weight int, on bool) []string {
	return when([]string{strconv.Itoa(weight)}, on, "reverse")
}

func texts(xs []int) []string {
	var s []string
	for _, x := range xs {
		s = append(s, strconv.Itoa(x))
	}
	return s
}

func quoted(xs []string) []string {
	var s []string
	for _, x := range xs {
		s = append(s, word(x))
	}
	return s
}

// given reports whether a keyword that needs no words was written.
func given(parent any, kw string) bool {
	n, ok := parent.(*config.Nftables)
	return ok && (kw == "vrrp_iptables" && n.HasIPTables || kw == "vrrp_ipsets" && n.HasIPSets)
}

func extraGARP(x config.ExtraGARP) []string {
	return append(when(nil, x.All, "all"), decimal(x.Every, time.Second))
}

func timeouts(t lvs.Timeouts) []string {
	var w []string
	for _, x := range []struct {
		name string
		d    time.Duration
	}{{"tcp", t.TCP}, {"tcpfin", t.TCPFin}, {"udp", t.UDP}} {
		if x.d > 0 {
			w = append(w, x.name, decimal(x.d, time.Second))
		}
	}
	return w
}

func syncDaemon(s *config.SyncDaemon) []string {
	if s == nil {
		return nil
	}
	w := []string{s.Interface}
	if s.Instance != "" {
		w = append(w, "inst", word(s.Instance))
	}
	w = append(w, "id", strconv.Itoa(s.SyncID))
	if s.MaxLen > 0 {
		w = append(w, "maxlen", strconv.Itoa(s.MaxLen))
	}
	return append(w, "port", strconv.Itoa(s.Port), "ttl", strconv.Itoa(s.TTL), "group", s.Group.String())
}

func macvlan(m *config.MACVLAN) []string {
	if m == nil {
		return nil
	}
	var w []string
	if m.Name != "" {
		w = append(w, "name", word(m.Name))
	}
	if m.Addr.IsValid() {
		w = append(w, m.Addr.String())
	}
	w = when(when(w, m.MAC != "", m.MAC), m.Mode != "", m.Mode)
	if m.Group != "" {
		w = append(w, "group", word(m.Group))
	}
	return when(w, m.NetlinkNotifyMsg, "netlink_notify_msg")
}

// tunnelOf returns the tunnel options that go with the forwarding method of a
// block.
func tunnelOf(parent any) config.Tunnel {
	f := reflect.ValueOf(parent).Elem().FieldByName("Tunnel")
	if !f.IsValid() {
		return config.Tunnel{}
	}
	t, _ := reflect.TypeAssert[config.Tunnel](f)
	return t
}

func method(m lvs.Method, t config.Tunnel) []string {
	name := map[lvs.Method]string{lvs.NAT: "NAT", lvs.DR: "DR", lvs.TUN: "TUN"}[m]
	if m != lvs.TUN || t.Type == "" {
		return []string{name}
	}
	w := []string{name, "type", t.Type}
	if t.Port > 0 {
		w = append(w, "port", strconv.Itoa(int(t.Port)))
	}
	return when(w, t.Checksum != "", t.Checksum)
}

func statuses(rs []config.StatusRange) []string {
	var w []string
	for _, r := range rs {
		s := strconv.Itoa(r.From)
		if r.To != r.From {
			s += "-" + strconv.Itoa(r.To)
		}
		w = append(w, s)
	}
	return w
}

// flagsOf are the scheduler's flags under the names of its scheduler.
func flagsOf(vs *config.VirtualServer) []string {
	var w []string
	if vs.Scheduler != lvs.SH && vs.Scheduler != lvs.MH {
		return nil
	}
	w = when(w, vs.SchedulerFlags&lvs.SchedPort != 0, string(vs.Scheduler)+"-port")
	return when(w, vs.SchedulerFlags&lvs.SchedFallback != 0, string(vs.Scheduler)+"-fallback")
}

// serverValue writes the values of servers and checkers that another field
// completes, or that have a spelling of their own.
func serverValue(kw string, parent any) (words []string, off, ok bool) {
	switch x := parent.(type) {
	case *config.VirtualServer:
		return []string{granularity(x)}, x.PersistenceGranularity == 0, true
	case *config.URL:
		return []string{escaped(x.Regex)}, x.Regex == "", true
	case *config.Checker:
		switch {
		case kw == "require_reply":
			return when(nil, x.Reply != "", x.Reply), !x.RequireReply, true
		case x.Kind == config.BFDCheck:
			return []string{word(x.Track.Name)}, x.Track.Name == "", true
		}
	}
	return nil, false, false
}

// granularity is a mask for IPv4, a length for IPv6.
func granularity(vs *config.VirtualServer) string {
	v6 := vs.IPFamily == "inet6"
	for _, rs := range vs.RealServers {
		v6 = v6 || vs.IPFamily == "" && len(vs.Endpoints) == 0 && rs.Addr.Is6()
	}
	for _, e := range vs.Endpoints {
		v6 = v6 || e.Addr.IsValid() && e.Addr.Is6() && vs.Group == ""
	}
	if v6 {
		return strconv.Itoa(vs.PersistenceGranularity)
	}
	return net4(vs.PersistenceGranularity)
}

// net4 is the mask of a length.
func net4(bits int) string {
	m := ^uint32(0) << (32 - min(bits, 32))
	return netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}).String()
}

// scriptUser writes the user of a vrrp_script or MISC_CHECK, which stands in
// its command.
func (p *printer) scriptUser(parent any) (words []string, off, ok bool) {
	var u config.User
	switch x := parent.(type) {
	case *config.Script:
		u = x.Command.User
	case *config.Checker:
		u = x.Misc.User
	}
	w := userWords(u)
	return w, w == nil, true
}
