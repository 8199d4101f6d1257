package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// sessionPort is an echo service beside the web servers of cluster.
const sessionPort = 7000

// syncing is clusterConfig with a sync daemon and an echo service.
func syncing(priority int) string {
	return `global_defs {
    lvs_sync_daemon eth0 V id 7
}
` + clusterConfig(priority, 1, 1) + fmt.Sprintf(`
virtual_server %s %d {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 10.0.0.21 %d {
    }
    real_server 10.0.0.22 %d {
    }
}
virtual_server %s %d {
    lb_algo rr
    lb_kind DR
    protocol UDP
    real_server 10.0.0.21 %d {
    }
    real_server 10.0.0.22 %d {
    }
}
`, clusterVIP, sessionPort, sessionPort, sessionPort, clusterVIP, sessionPort, sessionPort, sessionPort)
}

// listed is `ipvs -Lnc` without its heading, split into fields.
func listed(t *testing.T, d *lab.Director, match ...string) [][]string {
	t.Helper()
	var out [][]string
	for line := range strings.Lines(tool(t, d, "ipvs", "-Lnc")) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] == "pro" {
			continue
		}
		if !slices.ContainsFunc(match, func(m string) bool { return !slices.Contains(f, m) }) {
			out = append(out, f)
		}
	}
	return out
}

// lists waits until a director lists n connections that match.
func lists(t *testing.T, limit time.Duration, d *lab.Director, n int, match ...string) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("%d connections %v on %s", n, match, d.Host.Name()), func() error {
		if got := len(listed(t, d, match...)); got != n {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
}

// takesOver waits until the host has the addresses; the one that was lost may
// have them too, where nobody sees it.
func takesOver(t *testing.T, h *lab.Host, addrs ...string) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprintf("%v on %s", addrs, h.Name()), func() error {
		if !hasAll(h, addrs...) {
			return errors.New("not there")
		}
		return nil
	})
}

// 10,000 open connections under traffic survive the loss of their director;
// they come to the backup as they are made.
func TestSessionsSurviveFailover(t *testing.T) {
	t.Parallel()
	sessions := 10000
	target := netip.AddrPortFrom(netip.MustParseAddr(clusterVIP), sessionPort)
	l := stage(t, cluster())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "rs1", "rs2")
	for _, name := range []string{"rs1", "rs2"} {
		if _, err := l.Host(name).Start(lab.Program{
			Args: []string{os.Args[0]}, Name: "echo", Env: []string{fmt.Sprintf("%s=:%d", echoEnv, sessionPort)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	d1 := direct(t, lb1, syncing(200))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	d2 := direct(t, lb2, syncing(100))
	answers(t, client, netip.MustParseAddrPort(clusterVIP+":80"))
	s, err := client.Open(within(t, 60*time.Second), target, sessions)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	virtual := target.String()
	lists(t, 10*time.Second, d1, sessions, virtual, "ESTABLISHED")
	lists(t, 10*time.Second, d2, sessions, virtual, "ESTABLISHED")
	if got := table(t, d2)["TCP "+virtual+" rr"]; got["10.0.0.21:7000"].active != sessions/2 || got["10.0.0.22:7000"].active != sessions/2 {
		t.Errorf("lb2 counts %+v, want half of %d active on each server", got, sessions)
	}

	talking, stop := context.WithCancel(t.Context())
	defer stop()
	talk := make(chan *lab.SessionResult, 1)
	go func() { talk <- s.Talk(talking, 5*time.Second, 60*time.Second) }()
	time.Sleep(2 * time.Second) // in the middle of the traffic
	if err := lb1.Lose(); err != nil {
		t.Fatal(err)
	}
	takesOver(t, lb2, clusterVIP)
	time.Sleep(7 * time.Second) // every connection has talked through lb2 since
	stop()
	r := <-talk
	t.Log(r)
	if len(r.Failed) != 0 || r.Exchanges < sessions {
		t.Errorf("talk through the failover: %s", r)
	}
	if r := s.Exchange(60 * time.Second); len(r.Failed) != 0 {
		t.Errorf("after the failover: %s", r)
	}
	if got := table(t, d2)["TCP "+virtual+" rr"]; got["10.0.0.21:7000"].active+got["10.0.0.22:7000"].active != sessions {
		t.Errorf("lb2 counts %+v active, want %d in all", got, sessions)
	}
}

// synced waits until a backup says that it has everything.
func synced(t *testing.T, d *lab.Director, n uint64) {
	t.Helper()
	eventually(t, 15*time.Second, fmt.Sprintf("%d connections caught up on %s", n, d.Host.Name()), func() error {
		s := status(t, d).Sync
		if s == nil || s.CatchUp == nil {
			return fmt.Errorf("no catch-up: %+v", s)
		}
		if c := s.CatchUp; c.State != "complete" || c.Have < n {
			return fmt.Errorf("catch-up %+v", *c)
		}
		return nil
	})
}

// A backup that comes when the connections are there already, one that is
// killed, and one that loses power have the whole table again, though the
// connections are silent.
func TestLateBackup(t *testing.T) {
	t.Parallel()
	const sessions = 500
	target := netip.AddrPortFrom(netip.MustParseAddr(clusterVIP), sessionPort)
	l := stage(t, cluster())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "rs1", "rs2")
	for _, name := range []string{"rs1", "rs2"} {
		if _, err := l.Host(name).Echo(fmt.Sprintf(":%d", sessionPort)); err != nil {
			t.Fatal(err)
		}
	}
	d1 := direct(t, lb1, syncing(200))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	answers(t, client, netip.MustParseAddrPort(clusterVIP+":80"))
	s, err := client.Open(within(t, 20*time.Second), target, sessions)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	virtual := target.String()
	lists(t, 10*time.Second, d1, sessions, virtual, "ESTABLISHED")

	d2 := direct(t, lb2, syncing(100))
	synced(t, d2, sessions)
	lists(t, 5*time.Second, d2, sessions, virtual, "ESTABLISHED")
	if out := tool(t, d2, "status"); !strings.Contains(out, "synced: ") {
		t.Errorf("status of the backup does not say how much is synced:\n%s", out)
	}

	t.Run("kill -9 of its director", func(t *testing.T) {
		director, _ := roles(t, lb2)
		if err := unix.Kill(director, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "two processes again that answer", func() error {
			if pids, err := lb2.PIDs(); err != nil || len(pids) != 2 || slices.Contains(pids, director) {
				return fmt.Errorf("processes %v, %w", pids, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := d2.Tool(ctx, "status")
			return err
		})
		synced(t, d2, sessions)
		lists(t, 5*time.Second, d2, sessions, virtual, "ESTABLISHED")
	})
	t.Run("power lost", func(t *testing.T) {
		if err := lb2.Lose(); err != nil {
			t.Fatal(err)
		}
		if err := lb2.Restore(); err != nil {
			t.Fatal(err)
		}
		d2 = direct(t, lb2, syncing(100))
		synced(t, d2, sessions)
		lists(t, 5*time.Second, d2, sessions, virtual, "ESTABLISHED")
	})
	t.Run("orderly stop of the master", func(t *testing.T) {
		// Connections that are being set up are not announced, but by who leaves.
		flood(t, client, lb1.MAC("eth0"), target, 100, synFlag)
		lists(t, 5*time.Second, d1, 100, virtual, "SYN_RECV")
		lists(t, 5*time.Second, d2, 0, virtual, "SYN_RECV")
		terminate(t, d1, clusterVIP)
		moved(t, 10*time.Second, lb2, lb1, clusterVIP)
		lists(t, 5*time.Second, d2, 100, virtual, "SYN_RECV")
		if r := s.Exchange(30 * time.Second); len(r.Failed) != 0 {
			t.Errorf("after the stop: %s", r)
		}
	})
}

// translated is a cluster whose servers are behind NAT, on a segment of their
// own; their default route is an address that moves with the master.
func translated() lab.Topology {
	lb := func(name, last string) lab.HostSpec {
		return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{
			{Name: "eth0", Segment: "front", Addrs: []string{"10.0.0." + last + "/24"}},
			{Name: "eth1", Segment: "back", Addrs: []string{"10.1.0." + last + "/24"}},
		}}.AsRouter()
	}
	rs := func(name, last string) lab.HostSpec {
		return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{
			{Name: "eth0", Segment: "back", Addrs: []string{"10.1.0." + last + "/24"}},
		}}.AsNATServer("10.1.0.100")
	}
	// The client is behind a router, as clients are.
	client := lab.HostSpec{
		Name:   "client",
		Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "outside", Addrs: []string{"10.9.0.1/24"}}},
		Routes: []lab.RouteSpec{{To: "default", Via: "10.9.0.254"}},
	}
	router := lab.HostSpec{Name: "router", Ifaces: []lab.IfaceSpec{
		{Name: "eth0", Segment: "outside", Addrs: []string{"10.9.0.254/24"}},
		{Name: "eth1", Segment: "front", Addrs: []string{"10.0.0.254/24"}},
	}}.AsRouter()
	top := lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "outside"}, {Name: "front"}, {Name: "back"}},
		Hosts:    []lab.HostSpec{client, router, lb("lb1", "11"), lb("lb2", "12"), rs("rs1", "21"), rs("rs2", "22")},
	}
	for i := range top.Hosts {
		if strings.HasPrefix(top.Hosts[i].Name, "lb") {
			top.Hosts[i].Routes = []lab.RouteSpec{{To: "10.9.0.0/24", Via: "10.0.0.254"}}
		}
	}
	return top
}

func translatedConfig(priority int) string {
	return fmt.Sprintf(`global_defs {
    lvs_sync_daemon eth1 V
}
@kaname kaname {
@kaname     sync_key "a key that both directors have"
@kaname }
vrrp_instance V {
    state BACKUP
    interface eth1
    virtual_router_id 9
    priority %d
    advert_int 1
    virtual_ipaddress {
        10.1.0.100/24 dev eth1
        %s/24 dev eth0
    }
}
virtual_server %s %d {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.1.0.21 7001 {
    }
    real_server 10.1.0.22 7001 {
    }
}
`, priority, clusterVIP, clusterVIP, sessionPort)
}

// Translated connections survive too, also when it is the server that speaks
// first: the new director has never seen the client's MAC address.
func TestTranslatedSessionsSurvive(t *testing.T) {
	t.Parallel()
	const sessions = 200
	target := netip.AddrPortFrom(netip.MustParseAddr(clusterVIP), sessionPort)
	l := stage(t, translated())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	echoes := []*lab.Echo{}
	for _, name := range []string{"rs1", "rs2"} {
		e, err := l.Host(name).Echo(":7001")
		if err != nil {
			t.Fatal(err)
		}
		echoes = append(echoes, e)
	}
	vips := []string{clusterVIP, "10.1.0.100"}
	d1 := direct(t, lb1, translatedConfig(200))
	moved(t, 10*time.Second, lb1, lb2, vips...)
	d2 := direct(t, lb2, translatedConfig(100))
	eventually(t, 10*time.Second, "a connection through lb1", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := client.Open(ctx, target, 1)
		if err == nil {
			s.Close()
		}
		return err
	})
	s, err := client.Open(within(t, 20*time.Second), target, sessions)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	virtual := target.String()
	lists(t, 10*time.Second, d1, sessions, virtual, "ESTABLISHED")
	lists(t, 10*time.Second, d2, sessions, virtual, "ESTABLISHED")
	eventually(t, 5*time.Second, "the backup says that it has proof of the key", func() error {
		if s := status(t, d2).Sync; !s.Keyed || len(s.Peers) != 1 || !s.Peers[0].Keyed || len(s.Received.Refused) != 0 {
			return fmt.Errorf("sync %+v", s)
		}
		return nil
	})
	if err := lb1.Lose(); err != nil {
		t.Fatal(err)
	}
	takesOver(t, lb2, vips...)
	word := []byte("the server speaks first")
	for _, e := range echoes {
		if err := e.Push(word); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Expect(word, 30*time.Second); err != nil {
		t.Errorf("the servers spoke first after the failover: %v", err)
	}
	if r := s.Exchange(30 * time.Second); len(r.Failed) != 0 {
		t.Errorf("after the failover: %s", r)
		neigh, _ := l.Host("router").Run(t.Context(), "ip", "neigh")
		t.Logf("router:\n%s\nlb2 %s\n%s\n%v", neigh, lb2.MAC("eth0"), tool(t, d2, "status"), listed(t, d2)[:3])
	}
}
