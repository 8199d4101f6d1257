package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// Field report 000, second question: one director, two application servers
// with an interface on each of two segments, DR. `lb_algo lc` beats `lvs_sched
// rr`, and one browser that keeps its connection open drives everybody else
// to the other server.
var report000 = lab.Topology{
	Segments: []lab.SegmentSpec{{Name: "front"}, {Name: "back"}},
	Hosts: []lab.HostSpec{
		{Name: "client", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "front", Addrs: []string{"192.168.21.1/26"}}}},
		{Name: "lb", Ifaces: []lab.IfaceSpec{
			{Name: "ens3", Segment: "front", Addrs: []string{"192.168.21.10/26"}},
			{Name: "ens4", Segment: "back", Addrs: []string{"192.168.21.70/26"}},
		}},
		application("app1", "11", "71"),
		application("app2", "12", "72"),
	},
}

func application(name, front, back string) lab.HostSpec {
	return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{
		{Name: "ens3", Segment: "front", Addrs: []string{"192.168.21." + front + "/26"}},
		{Name: "ens4", Segment: "back", Addrs: []string{"192.168.21." + back + "/26"}},
	}}.AsDRServer("192.168.21.20")
}

func TestReport000Check(t *testing.T) {
	t.Parallel()
	if binary == "" {
		t.Skip("needs root: the binary is built for root's tests")
	}
	line := 0
	for i, text := range strings.Split(read(t, seed(t, "000")), "\n") {
		if strings.TrimSpace(text) == "lb_algo lc" {
			line = i + 1
		}
	}
	out, err := exec.Command(binary, "check", seed(t, "000")).CombinedOutput()
	if err != nil {
		t.Errorf("warnings alone must not fail the check: %v", err)
	}
	where := fmt.Sprintf("000.conf:%d:", line)
	for finding := range strings.Lines(string(out)) {
		if strings.Contains(finding, where) && strings.Contains(finding, "lvs_sched") && strings.Contains(finding, "lc") {
			return
		}
	}
	t.Errorf("no finding at %s that tells of lc and lvs_sched:\n%s", where, out)
}

// idle waits until a service has no more than n active connections.
func idle(t *testing.T, d *lab.Director, service string, n int) {
	t.Helper()
	eventually(t, 5*time.Second, "idle", func() error {
		active := 0
		for _, server := range table(t, d)[service] {
			active += server.active
		}
		if active > n {
			return fmt.Errorf("%d active connections", active)
		}
		return nil
	})
}

func TestReport000(t *testing.T) {
	t.Parallel()
	const vip = "192.168.21.20"
	target := netip.MustParseAddrPort(vip + ":80")
	l := stage(t, report000)
	client, lb := l.Host("client"), l.Host("lb")
	serve(t, l, ":80", "app1", "app2")
	config := read(t, seed(t, "000"))
	d := direct(t, lb, config)
	eventually(t, 10*time.Second, "master", func() error {
		if !hasAll(lb, vip) {
			return fmt.Errorf("no %s on lb", vip)
		}
		return nil
	})
	answers(t, client, target)
	backOf := map[string]string{"app1": "192.168.21.71:80", "app2": "192.168.21.72:80"}

	held, err := client.Hold(within(t, 5*time.Second), target)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	capture, err := client.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		// Until the director has seen the last one's end, both servers hold one.
		idle(t, d, "TCP "+target.String()+" lc", 1)
		if a := get(t, client, target); a.Server == held.First.Server {
			t.Errorf("a new connection went to %s, which holds one", a.Server)
		}
	}
	checkDirectReplies(t, l, capture.Stop(), target)

	idle(t, d, "TCP "+target.String()+" lc", 1)
	lc := table(t, d)["TCP "+target.String()+" lc"]
	if len(lc) != 2 {
		t.Fatalf("ipvs -Ln has no lc service with two destinations:\n%s", tool(t, d, "ipvs", "-Ln"))
	}
	for name, addr := range backOf {
		want := 0
		if name == held.First.Server {
			want = 1
		}
		if got := lc[addr]; got.active != want || got.forward != "Route" || got.weight != 1 {
			t.Errorf("%s: %+v, want Route, weight 1, ActiveConn %d", addr, got, want)
		}
	}
	checkHeldListed(t, d, held, target, backOf[held.First.Server])

	if err := d.WriteConfig(strings.Replace(config, "  lb_algo lc\n", "", 1)); err != nil {
		t.Fatal(err)
	}
	tool(t, d, "reload")
	if _, ok := table(t, d)["TCP "+target.String()+" rr"]; !ok {
		t.Errorf("after the fix no rr service:\n%s", tool(t, d, "ipvs", "-Ln"))
	}
	last := ""
	for i := range 20 {
		a := get(t, client, target)
		if a.Server == last {
			t.Errorf("after the fix request %d went to %s again", i, last)
		}
		last = a.Server
	}
	if a, err := held.Ask(within(t, 5*time.Second)); err != nil || a.Server != held.First.Server {
		t.Errorf("the held connection after the reload: %q, %v; want %s", a.Server, err, held.First.Server)
	}
	held.Close()
	terminate(t, d, vip)
}

// checkDirectReplies: what came from the VIP came from a real server's own
// interface, and none of it from the director.
func checkDirectReplies(t *testing.T, l *lab.Lab, packets []lab.Packet, vip netip.AddrPort) {
	t.Helper()
	from := map[string]string{
		l.Host("app1").MAC("ens3").String(): "app1",
		l.Host("app2").MAC("ens3").String(): "app2",
	}
	replies := 0
	for _, p := range packets {
		s := p.Decode()
		if s.Src != vip {
			continue
		}
		replies++
		if from[s.SrcMAC.String()] == "" {
			t.Errorf("reply not from a real server's MAC: %s", s)
		}
	}
	if replies == 0 {
		t.Error("no reply from the VIP captured")
	}
}

func checkHeldListed(t *testing.T, d *lab.Director, held *lab.Held, vip netip.AddrPort, server string) {
	t.Helper()
	out := tool(t, d, "ipvs", "-Lnc")
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) == 6 && f[3] == held.Local().String() {
			if f[0] != "TCP" || f[2] != "ESTABLISHED" || f[4] != vip.String() || f[5] != server {
				t.Errorf("held connection listed as %q, want ESTABLISHED to %s", line, server)
			}
			return
		}
	}
	t.Errorf("held connection %s not listed:\n%s", held.Local(), out)
}
