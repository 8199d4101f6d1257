package desired_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func ip(s string) netip.Addr       { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func endpoint(s string) config.Endpoint {
	ap := netip.MustParseAddrPort(s)
	return config.Endpoint{Addr: ap.Addr(), Port: ap.Port()}
}

func server(s string, m lvs.Method, weight int) *config.RealServer {
	ap := netip.MustParseAddrPort(s)
	return &config.RealServer{Addr: ap.Addr(), Port: ap.Port(), Method: m, Weight: weight}
}

// two is a virtual server with two real servers.
func two(m lvs.Method) *config.VirtualServer {
	return &config.VirtualServer{
		Name: "192.0.2.1 80", Endpoints: []config.Endpoint{endpoint("192.0.2.1:80")},
		Protocol: lvs.TCP, Scheduler: lvs.WLC, Method: m, Quorum: 1,
		RealServers: []*config.RealServer{server("10.0.0.2:8080", m, 1), server("10.0.0.3:8080", m, 3)},
	}
}

func up(weights ...int) desired.Service {
	s := desired.Service{QuorumUp: true}
	for _, w := range weights {
		s.Servers = append(s.Servers, desired.Server{Up: w >= 0, Weight: max(w, 0)})
	}
	return s
}

// plain is the host of most cases: clients on eth0, real servers on eth1.
var plain = desired.Host{
	Interfaces: []desired.Interface{
		{Name: "eth0", Prefixes: []netip.Prefix{prefix("192.0.2.250/24")}},
		{Name: "eth1", Prefixes: []netip.Prefix{prefix("10.0.0.254/24")}},
		{Name: "eth2", Prefixes: []netip.Prefix{prefix("172.16.0.1/16")}},
		{Name: "lo", Prefixes: []netip.Prefix{prefix("127.0.0.1/8")}},
	},
	Routes: []desired.Route{{Prefix: prefix("0.0.0.0/0"), Interface: "eth0"}},
}

// change returns a configuration of one virtual server after f changed it.
func change(m lvs.Method, f func(*config.VirtualServer)) *config.Config {
	vs := two(m)
	if f != nil {
		f(vs)
	}
	return &config.Config{VirtualServers: []*config.VirtualServer{vs}}
}

func inst(name, dev string, addrs ...string) *config.Instance {
	i := &config.Instance{Name: name, Interface: dev}
	for _, a := range addrs {
		i.Addresses = append(i.Addresses, config.Address{Prefix: prefix(a), Dev: dev})
	}
	return i
}

type tc struct {
	name string
	cfg  *config.Config
	vrrp desired.VRRP
	h    desired.Health
	host *desired.Host
}

func cases() []tc {
	sorry := func(inhibit bool) func(*config.VirtualServer) {
		return func(vs *config.VirtualServer) {
			vs.Sorry = &config.SorryServer{Addr: ip("10.0.0.9"), Port: 80, Method: vs.Method, Inhibit: inhibit}
		}
	}
	lost := func(weights ...int) desired.Service {
		s := up(weights...)
		s.QuorumUp = false
		return s
	}
	instances := &config.Config{Instances: []*config.Instance{
		inst("VI_2", "eth1", "10.0.0.1/24"),
		inst("VI_1", "eth0", "192.0.2.2/24", "192.0.2.1/24"),
		inst("VI_3", "eth0", "192.0.2.1/24", "192.0.2.3/32"),
	}}
	instances.Instances[0].Excluded = []config.Address{
		{Prefix: prefix("198.51.100.1/32"), Dev: "eth2", Label: "eth2:vip", Scope: "link"},
		{Prefix: prefix("198.51.100.2/32")},
	}
	return []tc{
		{name: "nothing configured", cfg: &config.Config{}},
		{name: "no configuration"},
		{name: "backup has services and no addresses", cfg: &config.Config{
			Instances: instances.Instances, VirtualServers: []*config.VirtualServer{two(lvs.DR)},
		}},
		{name: "addresses of active instances", cfg: instances, vrrp: desired.VRRP{"VI_1": true, "VI_2": true}},
		{name: "two instances share an address", cfg: instances, vrrp: desired.VRRP{"VI_1": true, "VI_3": true, "VI_2": false}},
		{name: "before any health is known", cfg: change(lvs.NAT, nil)},
		{name: "both up", cfg: change(lvs.NAT, nil), h: desired.Health{up(1, 3)}},
		{name: "effective weights", cfg: change(lvs.NAT, nil), h: desired.Health{up(7, 0)}},
		{name: "a server is down", cfg: change(lvs.NAT, nil), h: desired.Health{up(-1, 3)}},
		{name: "inhibited by the virtual server", cfg: change(lvs.NAT, func(vs *config.VirtualServer) { vs.InhibitOnFailure = true }), h: desired.Health{up(-1, 3)}},
		{name: "inhibited by the real server", cfg: change(lvs.NAT, func(vs *config.VirtualServer) { vs.RealServers[0].InhibitOnFailure = true }), h: desired.Health{up(-1, -1)}},
		{name: "quorum lost without sorry server", cfg: change(lvs.NAT, nil), h: desired.Health{lost(1, -1)}},
		{name: "quorum lost with sorry server", cfg: change(lvs.NAT, sorry(false)), h: desired.Health{lost(1, -1)}},
		{name: "quorum lost, live servers inhibited", cfg: change(lvs.NAT, func(vs *config.VirtualServer) {
			sorry(false)(vs)
			vs.InhibitOnFailure = true
		}), h: desired.Health{lost(1, -1)}},
		{name: "quorum with sorry server", cfg: change(lvs.NAT, sorry(false)), h: desired.Health{up(1, 3)}},
		{name: "quorum with inhibited sorry server", cfg: change(lvs.NAT, sorry(true)), h: desired.Health{up(1, 3)}},
		{name: "sorry server is a real server, quorum lost", cfg: change(lvs.DR, func(vs *config.VirtualServer) {
			vs.InhibitOnFailure = true
			vs.Sorry = &config.SorryServer{Addr: ip("10.0.0.2"), Port: 80, Method: lvs.DR}
		}), h: desired.Health{lost(-1, -1)}},
		{name: "sorry server is a real server, quorum there", cfg: change(lvs.DR, func(vs *config.VirtualServer) {
			vs.Sorry = &config.SorryServer{Addr: ip("10.0.0.2"), Port: 80, Method: lvs.DR, Inhibit: true}
		}), h: desired.Health{up(1, 1)}},
		{name: "DR takes the port of the service", cfg: change(lvs.DR, nil), h: desired.Health{up(1, 3)}},
		{name: "NAT without a port takes it too", cfg: change(lvs.NAT, func(vs *config.VirtualServer) { vs.RealServers[0].Port = 0 })},
		{name: "a group of addresses", cfg: change(lvs.DR, func(vs *config.VirtualServer) {
			vs.Group = "web"
			vs.Endpoints = []config.Endpoint{endpoint("192.0.2.9:443"), endpoint("192.0.2.1:80"), endpoint("192.0.2.1:443")}
		}), h: desired.Health{up(1, -1)}},
		{name: "everything that a service can say", cfg: change(lvs.DR, func(vs *config.VirtualServer) {
			vs.Protocol, vs.Scheduler, vs.SchedulerFlags = lvs.UDP, lvs.SH, lvs.SchedPort|lvs.SchedFallback
			vs.PersistenceTimeout, vs.OnePacket = 300*time.Second, true
			vs.RealServers[0].UpperThreshold, vs.RealServers[0].LowerThreshold = 100, 50
		})},
		{name: "firewall marks are left out", cfg: change(lvs.DR, func(vs *config.VirtualServer) { vs.FWMark = 7 })},
		{name: "the same service twice", cfg: &config.Config{VirtualServers: []*config.VirtualServer{two(lvs.DR), func() *config.VirtualServer {
			vs := two(lvs.DR)
			vs.Scheduler = lvs.RR
			vs.RealServers = append(vs.RealServers, server("10.0.0.4:80", lvs.DR, 9))
			return vs
		}()}}},
		{name: "the same server twice", cfg: change(lvs.DR, func(vs *config.VirtualServer) {
			vs.RealServers = append(vs.RealServers, server("10.0.0.2:9", lvs.DR, 9))
		})},
		{name: "timeouts", cfg: &config.Config{Global: config.Global{LVSTimeouts: lvs.Timeouts{TCP: time.Minute, UDP: time.Second}}}},
		{name: "interfaces are named", cfg: func() *config.Config {
			c := change(lvs.DR, nil)
			c.Kaname.Interfaces = []string{"eth9", "eth0", "eth9"}
			return c
		}()},
		{name: "server behind a gateway", cfg: change(lvs.NAT, func(vs *config.VirtualServer) {
			vs.RealServers[1].Addr = ip("203.0.113.5")
		}), host: &desired.Host{Interfaces: plain.Interfaces, Routes: append([]desired.Route{
			{Prefix: prefix("203.0.113.0/24"), Interface: "eth2"}, {Prefix: prefix("203.0.113.128/25"), Interface: "eth9"},
		}, plain.Routes...)}},
		{name: "servers that are down keep their interface", cfg: change(lvs.NAT, nil), h: desired.Health{up(-1, -1)}},
		{name: "routed virtual address", cfg: change(lvs.NAT, func(vs *config.VirtualServer) {
			vs.Endpoints[0].Addr = ip("198.51.100.1")
		}), host: &desired.Host{Interfaces: append(slices.Clone(plain.Interfaces),
			desired.Interface{Name: "lo", Prefixes: []netip.Prefix{prefix("198.51.100.1/32")}}), Routes: plain.Routes}},
		{name: "VLANs", cfg: &config.Config{
			Instances:      []*config.Instance{inst("VI", "eth0.10", "192.0.2.1/24")},
			VirtualServers: []*config.VirtualServer{two(lvs.NAT)},
		}, host: &desired.Host{Interfaces: []desired.Interface{
			{Name: "eth0"},
			{Name: "eth0.10", Parent: "eth0", Prefixes: []netip.Prefix{prefix("192.0.2.250/24")}},
			{Name: "bond0"},
			{Name: "bond0.5", Parent: "bond0"},
			{Name: "bond0.5.7", Parent: "bond0.5", Prefixes: []netip.Prefix{prefix("10.0.0.254/24")}},
		}}},
		{name: "nothing is known of the host", cfg: &config.Config{
			Instances:      []*config.Instance{inst("VI", "eth0", "192.0.2.1/24")},
			VirtualServers: []*config.VirtualServer{two(lvs.NAT)},
		}, host: &desired.Host{}},
		{name: "without services nothing is attached", cfg: instances, vrrp: desired.VRRP{"VI_1": true}},
	}
}

// TestCompute compares the text of every case with testdata/compute.txt.
func TestCompute(t *testing.T) {
	var b strings.Builder
	for _, c := range cases() {
		host := plain
		if c.host != nil {
			host = *c.host
		}
		b.WriteString("== " + c.name + "\n" + desired.Compute(c.cfg, c.vrrp, c.h, host).String() + "\n")
	}
	golden := filepath.Join("testdata", "compute.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParentsInARing(t *testing.T) {
	host := desired.Host{Interfaces: []desired.Interface{{Name: "a", Parent: "b"}, {Name: "b", Parent: "a", Prefixes: []netip.Prefix{prefix("10.0.0.1/8")}}}}
	if got := desired.Compute(change(lvs.DR, nil), nil, nil, host); len(got.Interfaces) != 1 {
		t.Errorf("interfaces %v", got.Interfaces)
	}
}

// genConfig draws configurations from few enough values that names, addresses
// and servers collide.
func genConfig(t *rapid.T) *config.Config {
	cfg := &config.Config{}
	for _, name := range []string{"A", "B"} {
		i := inst(name, rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "dev"))
		for range rapid.IntRange(0, 3).Draw(t, "addresses") {
			a := config.Address{
				Prefix: prefix(rapid.SampledFrom([]string{"192.0.2.1/24", "192.0.2.2/24", "192.0.2.1/32"}).Draw(t, "vip")),
				Dev:    rapid.SampledFrom([]string{"", "eth1", "eth2"}).Draw(t, "vipdev"),
				Label:  rapid.SampledFrom([]string{"", "x"}).Draw(t, "label"),
			}
			if rapid.Bool().Draw(t, "excluded") {
				i.Excluded = append(i.Excluded, a)
			} else {
				i.Addresses = append(i.Addresses, a)
			}
		}
		cfg.Instances = append(cfg.Instances, i)
	}
	methods := []lvs.Method{lvs.NAT, lvs.DR}
	for range rapid.IntRange(0, 3).Draw(t, "virtual servers") {
		vs := two(rapid.SampledFrom(methods).Draw(t, "method"))
		vs.Endpoints = nil
		for range rapid.IntRange(0, 2).Draw(t, "endpoints") {
			vs.Endpoints = append(vs.Endpoints, endpoint(rapid.SampledFrom([]string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.1:0"}).Draw(t, "endpoint")))
		}
		vs.RealServers = nil
		for range rapid.IntRange(0, 3).Draw(t, "servers") {
			rs := server(rapid.SampledFrom([]string{"10.0.0.2:80", "10.0.0.3:80", "10.0.0.2:8080", "10.0.0.2:0"}).Draw(t, "server"),
				rapid.SampledFrom(methods).Draw(t, "server method"), rapid.IntRange(-1, 3).Draw(t, "weight"))
			rs.InhibitOnFailure = rapid.Bool().Draw(t, "inhibit")
			vs.RealServers = append(vs.RealServers, rs)
		}
		if rapid.Bool().Draw(t, "sorry") {
			vs.Sorry = &config.SorryServer{Addr: ip("10.0.0.2"), Port: 80, Method: vs.Method, Inhibit: rapid.Bool().Draw(t, "sorry inhibit")}
		}
		cfg.VirtualServers = append(cfg.VirtualServers, vs)
	}
	return cfg
}

func genHealth(t *rapid.T) desired.Health {
	var h desired.Health
	for range rapid.IntRange(0, 4).Draw(t, "healths") {
		s := desired.Service{QuorumUp: rapid.Bool().Draw(t, "quorum")}
		for range rapid.IntRange(0, 4).Draw(t, "server healths") {
			s.Servers = append(s.Servers, desired.Server{Up: rapid.Bool().Draw(t, "up"), Weight: rapid.IntRange(-1, 3).Draw(t, "effective")})
		}
		h = append(h, s)
	}
	return h
}

// TestInvariants: whatever is put in, the State is sorted, distinct, equal
// when computed again, and has an address exactly where an active instance
// wants one.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg, h := genConfig(t), genHealth(t)
		v := desired.VRRP{"A": rapid.Bool().Draw(t, "A"), "B": rapid.Bool().Draw(t, "B")}
		st := desired.Compute(cfg, v, h, plain)
		if diff := cmp.Diff(st.String(), desired.Compute(cfg, v, h, plain).String()); diff != "" {
			t.Fatalf("not deterministic:\n%s", diff)
		}
		checkAddresses(t, cfg, v, st)
		for i, set := range st.Services {
			if i > 0 && st.Services[i-1].ServiceKey.Compare(set.ServiceKey) >= 0 {
				t.Fatalf("services not sorted or not distinct:\n%s", st)
			}
			seen := map[netip.AddrPort]bool{}
			for _, d := range set.Destinations {
				if seen[d.AddrPort()] || d.Weight < 0 || d.Method != lvs.NAT && d.Port != set.Port || d.Port == 0 && set.Port != 0 {
					t.Fatalf("destination %+v of %s:\n%s", d, set.ServiceKey, st)
				}
				seen[d.AddrPort()] = true
			}
		}
		if !slices.IsSorted(st.Interfaces) || len(slices.Compact(slices.Clone(st.Interfaces))) != len(st.Interfaces) || slices.Contains(st.Interfaces, "lo") {
			t.Fatalf("interfaces %v", st.Interfaces)
		}
	})
}

func checkAddresses(t *rapid.T, cfg *config.Config, v desired.VRRP, st desired.State) {
	type place struct {
		dev    string
		prefix netip.Prefix
	}
	want := map[place]bool{}
	for _, i := range cfg.Instances {
		for _, a := range slices.Concat(i.Addresses, i.Excluded) {
			if v[i.Name] {
				dev := a.Dev
				if dev == "" {
					dev = i.Interface
				}
				want[place{dev, a.Prefix}] = true
			}
		}
	}
	for i, a := range st.Addresses {
		if i > 0 && st.Addresses[i-1].Compare(a) >= 0 {
			t.Fatalf("addresses not sorted or not distinct:\n%s", st)
		}
		if !want[place{a.Interface, a.Prefix}] {
			t.Fatalf("%s is not wanted by an active instance", a)
		}
		delete(want, place{a.Interface, a.Prefix})
	}
	if len(want) > 0 {
		t.Fatalf("missing %v in\n%s", want, st)
	}
}
