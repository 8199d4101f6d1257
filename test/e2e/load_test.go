package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

const clusterVIP = "10.0.0.100"

// pair of directors with two DR servers, and a client.
func cluster() lab.Topology {
	host := func(name, last string) lab.HostSpec {
		return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"10.0.0." + last + "/24"}}}}
	}
	return lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}},
		Hosts: []lab.HostSpec{
			host("client", "1"), host("lb1", "11"), host("lb2", "12"),
			host("rs1", "21").AsDRServer(clusterVIP), host("rs2", "22").AsDRServer(clusterVIP),
		},
	}
}

// clusterConfig balances by wrr with the given weights.
func clusterConfig(priority, weight1, weight2 int) string {
	return fmt.Sprintf(`vrrp_instance V {
    state BACKUP
    interface eth0
    virtual_router_id 7
    priority %d
    advert_int 1
    virtual_ipaddress {
        %s/24
    }
}
virtual_server %s 80 {
    delay_loop 2
    lb_algo wrr
    lb_kind DR
    protocol TCP
    real_server 10.0.0.21 80 {
        weight %d
        TCP_CHECK {
            connect_timeout 3
            retry 3
            delay_before_retry 1
        }
    }
    real_server 10.0.0.22 80 {
        weight %d
        TCP_CHECK {
            connect_timeout 3
            retry 3
            delay_before_retry 1
        }
    }
}
`, priority, clusterVIP, clusterVIP, weight1, weight2)
}

// 200 clients, half of them with a connection for every request, see nothing
// of a reload that changes weights, nor of kill -9 of the director process,
// nor of kill -9 of its keeper.
func TestNoRequestLost(t *testing.T) {
	t.Parallel()
	target := netip.MustParseAddrPort(clusterVIP + ":80")
	l := stage(t, cluster())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "rs1", "rs2")
	d1 := direct(t, lb1, clusterConfig(200, 1, 1))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	d2 := direct(t, lb2, clusterConfig(100, 1, 1))
	answers(t, client, target)
	held, err := client.Hold(within(t, 5*time.Second), target)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()

	results := startLoad(t.Context(), client, target, 30*time.Second)
	stopWatch := watchSingleMaster(t, lb1, lb2)
	at := time.Now()
	time.Sleep(3 * time.Second) // the load settles
	if err := d1.WriteConfig(clusterConfig(200, 3, 1)); err != nil {
		t.Fatal(err)
	}
	tool(t, d1, "reload")
	if got := table(t, d1)["TCP "+target.String()+" wrr"]["10.0.0.21:80"]; got.weight != 3 {
		t.Errorf("after the reload rs1 is %+v, want weight 3", got)
	}

	for _, victim := range []struct {
		name string
		find func(*testing.T, *lab.Host) int
	}{{"director", directorProcess}, {"keeper", keeperProcess}} {
		time.Sleep(3 * time.Second)
		before, pid := table(t, d1), victim.find(t, lb1)
		t.Logf("%.1f s: kill -9 of the %s, process %d", time.Since(at).Seconds(), victim.name, pid)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "two processes again that answer", func() error {
			pids, err := lb1.PIDs()
			if err != nil || len(pids) != 2 {
				return fmt.Errorf("processes %v, %w", pids, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = d1.Tool(ctx, "status")
			return err
		})
		if !hasAll(lb1, clusterVIP) {
			t.Errorf("kill -9 of the %s: lb1 lost the VIP", victim.name)
		}
		if got := state(t, d1, "V"); got != "MASTER" {
			t.Errorf("kill -9 of the %s: lb1 resumes as %s, want MASTER", victim.name, got)
		}
		sameServices(t, "kill -9 of the "+victim.name, before, table(t, d1))
		if a, err := held.Ask(within(t, 5*time.Second)); err != nil || a.Server != held.First.Server {
			t.Errorf("kill -9 of the %s: held connection: %q, %v; want %s", victim.name, a.Server, err, held.First.Server)
		}
	}
	for range 2 {
		r := <-results
		t.Log(r)
		if r.Failed() != 0 || r.OK() == 0 {
			t.Errorf("requests failed: %s", r)
		}
	}
	stopWatch()
	// lb1 resumed before lb2 could miss three adverts.
	if v := status(t, d2).Instances[0]; v.State != "BACKUP" || v.BecameMaster != 0 {
		t.Errorf("lb2 is %s and was MASTER %d times, want BACKUP and never", v.State, v.BecameMaster)
	}
	stopAll(t, lb1)
	if !hasNone(lb1, clusterVIP) {
		t.Error("lb1 has the VIP after its end")
	}
	moved(t, 10*time.Second, lb2, lb1, clusterVIP)
}

// startLoad runs 100 clients with and 100 without keep-alive.
func startLoad(ctx context.Context, h *lab.Host, target netip.AddrPort, d time.Duration) <-chan *lab.LoadResult {
	results := make(chan *lab.LoadResult, 2)
	for _, keep := range []bool{false, true} {
		go func() {
			results <- h.Load(ctx, lab.Load{Target: target, Clients: 100, KeepAlive: keep, Duration: d, Pause: 50 * time.Millisecond, Timeout: 10 * time.Second})
		}()
	}
	return results
}

// watchSingleMaster reports every moment in which both hosts have the VIP.
func watchSingleMaster(t *testing.T, a, b *lab.Host) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			// Twice: the first look may fall into the middle of a hand-over.
			if hasAll(a, clusterVIP) && hasAll(b, clusterVIP) && hasAll(a, clusterVIP) {
				t.Errorf("%s and %s both have %s", a.Name(), b.Name(), clusterVIP)
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
}

// sameServices compares what does not move with the traffic.
func sameServices(t *testing.T, when string, before, after map[string]map[string]destination) {
	t.Helper()
	settings := func(all map[string]map[string]destination) string {
		var b strings.Builder
		for service, servers := range all {
			for addr, d := range servers {
				fmt.Fprintf(&b, "%s %s %s %d;", service, addr, d.forward, d.weight)
			}
		}
		return b.String()
	}
	if len(before) != 1 || len(after) != 1 {
		t.Errorf("%s: services %v before, %v after; want one", when, before, after)
	}
	for service, servers := range before {
		for addr, was := range servers {
			is, there := after[service][addr]
			if !there || is.weight != was.weight || is.forward != was.forward {
				t.Errorf("%s: %s: %+v before, %+v after (%s)", when, addr, was, is, settings(after))
			}
		}
	}
}

// directorProcess is the process that holds the control socket's work: the
// child of the keeper.
func directorProcess(t *testing.T, h *lab.Host) int {
	t.Helper()
	director, _ := roles(t, h)
	return director
}

func keeperProcess(t *testing.T, h *lab.Host) int {
	t.Helper()
	_, keeper := roles(t, h)
	return keeper
}

// roles tells the two kaname processes of a host apart: the director is the
// one with the VRRP and packet sockets.
func roles(t *testing.T, h *lab.Host) (director, keeper int) {
	t.Helper()
	pids, err := h.PIDs()
	if err != nil || len(pids) != 2 {
		t.Fatalf("processes of %s: %v, %v; want director and keeper", h.Name(), pids, err)
	}
	for _, pid := range pids {
		if hasBPF(pid) {
			director = pid
		} else {
			keeper = pid
		}
	}
	if director == 0 || keeper == 0 {
		t.Fatalf("processes %v of %s: director %d, keeper %d", pids, h.Name(), director, keeper)
	}
	return director, keeper
}

// hasBPF reports whether a process holds a BPF map.
func hasBPF(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if target, err := os.Readlink(dir + e.Name()); err == nil && strings.Contains(target, "bpf-map") {
			return true
		}
	}
	return false
}

// stopAll sends SIGTERM to the keeper of a host and waits until all is gone.
func stopAll(t *testing.T, h *lab.Host) {
	t.Helper()
	if err := unix.Kill(keeperProcess(t, h), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "no process left on "+h.Name(), func() error {
		if pids, err := h.PIDs(); err != nil || len(pids) != 0 {
			return fmt.Errorf("processes %v, %w", pids, err)
		}
		return nil
	})
}

// Both processes killed at once leave the address; the next start, with the
// address in another file, takes it away.
func TestNextStartCleansUp(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	lb1, lb2 := l.Host("lb1"), l.Host("lb2")
	direct(t, lb1, clusterConfig(200, 1, 1))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	if err := lb1.KillAll(); err != nil {
		t.Fatal(err)
	}
	if !hasAll(lb1, clusterVIP) {
		t.Fatal("nobody was left to remove the VIP, yet it is gone")
	}
	d := direct(t, lb1, strings.ReplaceAll(clusterConfig(200, 1, 1), clusterVIP, "10.0.0.101"))
	eventually(t, 10*time.Second, "10.0.0.100 gone, 10.0.0.101 there", func() error {
		if !hasNone(lb1, clusterVIP) || !hasAll(lb1, "10.0.0.101") {
			addrs, err := lb1.Addrs("eth0")
			return fmt.Errorf("addresses %v, %w", addrs, err)
		}
		return nil
	})
	terminate(t, d, clusterVIP, "10.0.0.101")
}
