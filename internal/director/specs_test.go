package director

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/director/notify"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/health/checker"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

var addrs = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}), cmpopts.EquateEmpty()}

// parse builds a configuration that must have no errors.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, _, fs := config.Load(syntax.MapFiles{"k.conf": text}, "k.conf", config.Options{})
	if finding.Worst(fs) >= finding.Error {
		t.Fatalf("the test's configuration has errors: %v", fs)
	}
	return cfg
}

const pairConfig = `global_defs {
    vrrp_startup_delay 3
    script_user root
}
vrrp_script up {
    script "/bin/true"
    interval 2
    weight -20
    rise 2
    fall 3
}
vrrp_instance A {
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 2
    nopreempt
    authentication {
        auth_type AH
        auth_pass k@l-ve
    }
    track_script {
        up
        up weight 5
    }
    track_interface {
        eth1 weight 10
        eth2
    }
    virtual_ipaddress {
        192.0.2.1/24
        198.51.100.1/32 dev eth3 scope link label eth3:v
    }
    virtual_ipaddress_excluded {
        192.0.2.2/24 dev eth4
    }
    notify /bin/generic
    notify_master "/bin/master one two"
}
vrrp_instance B {
    interface eth1
    virtual_router_id 52
    authentication {
        auth_type PASS
        auth_pass secret
    }
    virtual_ipaddress { 203.0.113.1/24 }
}
vrrp_instance C {
    interface eth1
    virtual_router_id 53
    virtual_ipaddress { 203.0.113.2/24 }
}
vrrp_sync_group G {
    group {
        B
        C
    }
    track_interface { eth5 }
    notify_fault /bin/fault
}
@kaname kaname {
@kaname     interfaces eth6
@kaname }
`

func TestVRRPSpec(t *testing.T) {
	got := vrrpSpec(parse(t, pairConfig))
	if got.StartupDelay != 3*time.Second {
		t.Errorf("startup delay %s", got.StartupDelay)
	}
	if d := cmp.Diff([]vrrp.ScriptSpec{{Name: "up", Rise: 2, Fall: 3}}, got.Scripts); d != "" {
		t.Errorf("scripts (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]vrrp.GroupSpec{{Name: "G", Members: []string{"B", "C"}, TrackInterfaces: []vrrp.TrackSpec{{Name: "eth5"}}}}, got.Groups, addrs); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
	if len(got.Instances) != 3 {
		t.Fatalf("%d instances", len(got.Instances))
	}
	a, b := got.Instances[0], got.Instances[1]
	garp := vrrp.GARPSpec{Repeat: 5, Delay: 5 * time.Second, RefreshRepeat: 1}
	want := vrrp.InstanceSpec{
		Name: "A", Interface: "eth0", VRID: 51, Priority: 150, AdvertInterval: 2 * time.Second, Preempt: false,
		Auth: vrrp.AuthAH, Password: "k@l-ve", DownTimerAdverts: 3,
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")},
		Announce:  []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		AnnounceOn: []vrrp.AnnounceSpec{
			{Interface: "eth3", Addrs: []netip.Addr{netip.MustParseAddr("198.51.100.1")}},
			{Interface: "eth4", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
		},
		// The script's own weight, since the line has none; the second line is dropped.
		TrackScripts:    []vrrp.TrackSpec{{Name: "up", Weight: -20}},
		TrackInterfaces: []vrrp.TrackSpec{{Name: "eth1", Weight: 10}, {Name: "eth2"}},
	}
	garpOf := a.GARP
	a.GARP = vrrp.GARPSpec{}
	if d := cmp.Diff(want, a, addrs); d != "" {
		t.Errorf("instance A (-want +got):\n%s", d)
	}
	if garpOf.Repeat != garp.Repeat || garpOf.Delay != garp.Delay || garpOf.RefreshRepeat != garp.RefreshRepeat {
		t.Errorf("GARP %+v, want %+v", garpOf, garp)
	}
	if b.Auth != vrrp.AuthPass || b.Password != "secret" || !b.Preempt || b.Priority != 100 {
		t.Errorf("instance B %+v", b)
	}
}

func TestInterfacesOf(t *testing.T) {
	got := interfacesOf(parse(t, pairConfig))
	want := []string{"eth0", "eth1", "eth2", "eth3", "eth4", "eth5", "eth6"}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(got))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if w := got["eth3"].String(); !strings.HasPrefix(w, "k.conf:32:") {
		t.Errorf("eth3 is named at %s, want k.conf:32", w)
	}
}

func TestNotifySpec(t *testing.T) {
	now, old := parse(t, pairConfig), parse(t, strings.ReplaceAll(strings.ReplaceAll(pairConfig, "instance B", "instance D"), "        B\n", "        D\n"))
	got := notifySpec(now, old)
	if d := cmp.Diff([]string{"A", "B", "C", "D"}, slices.Sorted(maps.Keys(got.Instances))); d != "" {
		t.Errorf("instances with those that are gone (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"/bin/master", "one", "two"}, got.Instances["A"].Master.Argv); d != "" {
		t.Errorf("notify_master (-want +got):\n%s", d)
	}
	if got.Instances["A"].Backup.Argv != nil || got.Groups["G"].Fault.Argv == nil || got.User != "root" {
		t.Errorf("got %+v", got)
	}
	if w := got.Instances["A"].Generic.Where; !strings.HasPrefix(w, "k.conf:") {
		t.Errorf("a script's place is %q", w)
	}
}

const serviceConfig = `virtual_server 192.0.2.1 80 {
    delay_loop 3
    lb_algo rr
    lb_kind NAT
    protocol TCP
    quorum 2
    hysteresis 1
    quorum_up /bin/up
    virtualhost www.example.com
    sorry_server 10.0.0.9 80
    real_server 10.0.0.1 8080 {
        weight 5
        notify_down /bin/down
        TCP_CHECK {
            connect_timeout 2
            connect_port 9090
        }
        HTTP_GET {
            url {
                path /a
                status_code 200-204 404
            }
            url {
                path /b
                digest 0123456789abcdef0123456789abcdef
                virtualhost b.example.com
            }
            connect_timeout 2
            retry 3
            delay_before_retry 4
        }
    }
    real_server 10.0.0.2 8080 {
        MISC_CHECK {
            misc_path "/bin/true x"
            misc_timeout 7
            misc_dynamic
        }
        MISC_CHECK {
            misc_path "/does/not/exist"
        }
    }
}
`

func TestHealthSpec(t *testing.T) {
	var dropped []string
	spec, targets := healthSpec(parse(t, serviceConfig), func(w config.Where, err error) {
		dropped = append(dropped, w.String()+" "+err.Error())
	})
	if len(spec.Services) != 1 || len(spec.Services[0].Servers) != 2 {
		t.Fatalf("services %+v", spec.Services)
	}
	svc := spec.Services[0]
	if svc.Quorum != 2 || svc.Hysteresis != 1 || !svc.Sorry {
		t.Errorf("service %+v", svc)
	}
	one, two := svc.Servers[0], svc.Servers[1]
	if one.Weight != 5 || len(one.Checkers) != 2 || len(two.Checkers) != 1 {
		t.Fatalf("servers %+v", svc.Servers)
	}
	if c := one.Checkers[1]; c.Retry != 3 || c.DelayBeforeRetry != 4*time.Second || c.DelayLoop != 3*time.Second {
		t.Errorf("HTTP_GET's times %+v", c)
	}
	if len(dropped) != 1 || !strings.Contains(dropped[0], "/does/not/exist") || !strings.HasPrefix(dropped[0], "k.conf:") {
		t.Errorf("dropped %q, want the command that is not there with its place", dropped)
	}
	target := func(s health.ServerSpec, i int) checker.Target {
		return targets[health.CheckerID{Service: svc.Name, Server: s.Addr, Key: s.Checkers[i].Key}]
	}
	if got := target(one, 0).Connect.To.String(); got != "10.0.0.1:9090" {
		t.Errorf("TCP_CHECK connects to %s", got)
	}
	urls := []checker.URL{
		{Path: "/a", Host: "www.example.com", Statuses: []checker.StatusRange{{From: 200, To: 204}, {From: 404, To: 404}}},
		{Path: "/b", Host: "b.example.com", Statuses: []checker.StatusRange{{From: 200, To: 299}}, Digest: "0123456789abcdef0123456789abcdef"},
	}
	if d := cmp.Diff(urls, target(one, 1).HTTP.URLs, addrs); d != "" {
		t.Errorf("urls (-want +got):\n%s", d)
	}
	misc := target(two, 0).Misc
	if d := cmp.Diff(checker.MiscSpec{Argv: []string{"/bin/true", "x"}, User: misc.User, Group: misc.Group, Timeout: 7 * time.Second, Dynamic: true}, misc); d != "" {
		t.Errorf("MISC_CHECK (-want +got):\n%s", d)
	}
	scripts := notifySpec(parse(t, serviceConfig), nil)
	key := notify.ServerKey{Service: svc.Name, Server: one.Addr}
	if scripts.Services[svc.Name].Up.Argv == nil || scripts.Servers[key].Down.Argv == nil || scripts.Servers[key].Up.Argv != nil {
		t.Errorf("scripts of services %+v, of servers %+v", scripts.Services, scripts.Servers)
	}
}

func TestScriptTimeout(t *testing.T) {
	for _, tt := range []struct{ timeout, interval, want time.Duration }{
		{0, 2 * time.Second, 2 * time.Second},
		{5 * time.Second, 2 * time.Second, 5 * time.Second},
	} {
		if got := scriptTimeout(&config.Script{Timeout: tt.timeout, Interval: tt.interval}); got != tt.want {
			t.Errorf("timeout %s interval %s: %s, want %s", tt.timeout, tt.interval, got, tt.want)
		}
	}
}

// One address and port may be a virtual server of TCP and one of UDP: their
// servers are checked and told apart.
func TestTCPAndUDPOfOneName(t *testing.T) {
	cfg := parse(t, `virtual_server 192.0.2.100 53 {
    lb_kind DR
    protocol TCP
    real_server 192.0.2.21 53 {
        TCP_CHECK {
        }
    }
}
virtual_server 192.0.2.100 53 {
    lb_kind DR
    protocol UDP
    real_server 192.0.2.21 53 {
        TCP_CHECK {
        }
    }
}
`)
	spec, targets := healthSpec(cfg, func(config.Where, error) {})
	var names []string
	for _, s := range spec.Services {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"192.0.2.100 53", "192.0.2.100 53 UDP"}) || len(targets) != 2 {
		t.Errorf("services %q with %d checks", names, len(targets))
	}
}
