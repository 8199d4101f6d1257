package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// Field report 003: one director is the gateway of a cluster and forwards two
// ports of its own address to it by NAT.
var report003 = lab.Topology{
	Segments: []lab.SegmentSpec{{Name: "external"}, {Name: "cluster"}},
	Hosts: []lab.HostSpec{
		{Name: "host01", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "external", Addrs: []string{"192.168.0.10/24"}}}},
		lab.HostSpec{Name: "lb", Ifaces: []lab.IfaceSpec{
			{Name: "eth0", Segment: "external", Addrs: []string{"192.168.0.1/24"}},
			{Name: "eth1", Segment: "cluster", Addrs: []string{"172.16.0.254/24"}},
		}}.AsRouter(),
		clusterNode("master", "1"),
		clusterNode("worker01", "11"),
		clusterNode("worker02", "12"),
	},
}

func clusterNode(name, last string) lab.HostSpec {
	return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "cluster", Addrs: []string{"172.16.0." + last + "/24"}}}}.
		AsNATServer("172.16.0.254")
}

func TestReport003Check(t *testing.T) {
	t.Parallel()
	if binary == "" {
		t.Skip("needs root: the binary is built for root's tests")
	}
	out, err := exec.Command(binary, "check", seed(t, "003")).CombinedOutput()
	if err != nil {
		t.Errorf("warnings alone must not fail the check: %v", err)
	}
	advice := regexp.MustCompile(`003\.conf:\d+:\d+: warning: .*ng_get_retry.*\bretry\b`)
	if n := len(advice.FindAllString(string(out), -1)); n != 3 {
		t.Errorf("%d warnings name ng_get_retry and the right word retry, want 3:\n%s", n, out)
	}
}

func TestReport003(t *testing.T) {
	t.Parallel()
	api, web := netip.MustParseAddrPort("192.168.0.1:6443"), netip.MustParseAddrPort("192.168.0.1:30080")
	l := stage(t, report003)
	client := l.Host("host01")
	master := serve(t, l, ":6443", "master")["master"]
	workers := serve(t, l, ":30080", "worker01", "worker02")
	d := direct(t, l.Host("lb"), read(t, seed(t, "003")))
	answers(t, client, api)
	answers(t, client, web)

	used := map[string]int{}
	for range 10 {
		a := get(t, client, web)
		used[a.Server]++
		if a.Saw != a.Local.String() || !strings.HasPrefix(a.Saw, "192.168.0.10:") {
			t.Errorf("%s saw %s, the client is %s", a.Server, a.Saw, a.Local)
		}
	}
	if used["worker01"] != 5 || used["worker02"] != 5 {
		t.Errorf("10 requests by rr: %v", used)
	}
	services := table(t, d)
	if got := services["TCP 192.168.0.1:30080 rr"]["172.16.0.11:30080"]; got.forward != "Masq" || got.weight != 1 {
		t.Errorf("worker01 in the table: %+v, want Masq, weight 1", got)
	}

	// The check's time is delay_loop, 10 s, and one retry after 3 s; the rest
	// is for a busy machine.
	const checkTime = 30 * time.Second
	workers["worker01"].ClosePort()
	master.ClosePort()
	t.Run("closed port", func(t *testing.T) {
		eventually(t, checkTime, "worker01 out of the table", func() error {
			if got, in := table(t, d)["TCP 192.168.0.1:30080 rr"]["172.16.0.11:30080"]; in {
				return fmt.Errorf("still %+v", got)
			}
			return nil
		})
		for range 10 {
			if a := get(t, client, web); a.Server != "worker02" {
				t.Errorf("%s answered, want worker02 alone", a.Server)
			}
		}
		eventually(t, checkTime, "master with weight 0 (inhibit_on_failure)", func() error {
			got, in := table(t, d)["TCP 192.168.0.1:6443 rr"]["172.16.0.1:6443"]
			if !in || got.weight != 0 {
				return fmt.Errorf("in the table: %v, %+v", in, got)
			}
			return nil
		})
	})
	t.Run("opened port", func(t *testing.T) {
		for _, s := range []*lab.Server{workers["worker01"], master} {
			if err := s.OpenPort(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, checkTime, "both back", func() error {
			all := table(t, d)
			w, m := all["TCP 192.168.0.1:30080 rr"]["172.16.0.11:30080"], all["TCP 192.168.0.1:6443 rr"]["172.16.0.1:6443"]
			if w.weight != 1 || m.weight != 1 {
				return fmt.Errorf("worker01 %+v, master %+v", w, m)
			}
			return nil
		})
		used := map[string]int{}
		for range 10 {
			used[get(t, client, web).Server]++
		}
		if used["worker01"] != 5 || get(t, client, api).Server != "master" {
			t.Errorf("10 requests by rr after worker01 came back: %v", used)
		}
	})
	terminate(t, d)
}
