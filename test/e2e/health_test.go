package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// One real server, a sorry server, a script check that gives the weight, and
// every script that a virtual server can have.
const sorryConfig = `vrrp_instance V {
    interface eth0
    virtual_router_id 7
    virtual_ipaddress {
        ` + clusterVIP + `/24
    }
}
virtual_server ` + clusterVIP + ` 80 {
    delay_loop 1
    lb_algo wrr
    lb_kind DR
    protocol TCP
    quorum_up "/bin/tell quorum up"
    quorum_down "/bin/tell quorum down"
    sorry_server 10.0.0.22 80
    real_server 10.0.0.21 80 {
        weight 2
        notify_up "/bin/tell server up"
        notify_down "/bin/tell server down"
        TCP_CHECK {
            connect_timeout 1
            retry 1
            delay_before_retry 1
        }
        MISC_CHECK {
            misc_path "/bin/weigh rs1"
            misc_dynamic
        }
    }
}
`

// The real server fails and returns, the sorry server stands in, the scripts
// hear of it, and the script check sets the weight.
func TestSorryServer(t *testing.T) {
	t.Parallel()
	top := cluster()
	for i := range top.Hosts {
		if top.Hosts[i].Name == "lb1" {
			top.Hosts[i].Files = map[string]string{
				"/bin/tell": "#!/bin/sh\necho \"$*\" >> \"$LAB_HOST_DIR/notified\"\n",
				// Exit status 2 and more is the weight plus two.
				"/bin/weigh": "#!/bin/sh\ntest \"$1\" = rs1 || exit 1\nexit $(cat \"$LAB_HOST_DIR/weight\" 2>/dev/null || echo 0)\n",
			}
		}
	}
	target := netip.MustParseAddrPort(clusterVIP + ":80")
	l := stage(t, top)
	client, lb1 := l.Host("client"), l.Host("lb1")
	servers := serve(t, l, ":80", "rs1", "rs2")
	d := direct(t, lb1, sorryConfig)
	moved(t, 10*time.Second, lb1, l.Host("lb2"), clusterVIP)
	const service = "TCP " + clusterVIP + ":80 wrr"
	holds(t, d, service, map[string]int{"10.0.0.21:80": 2})
	answeredBy(t, client, target, "rs1")

	servers["rs1"].ClosePort()
	holds(t, d, service, map[string]int{"10.0.0.22:80": 1})
	answeredBy(t, client, target, "rs2")
	told(t, lb1, "server down", "quorum down")

	if err := servers["rs1"].OpenPort(); err != nil {
		t.Fatal(err)
	}
	holds(t, d, service, map[string]int{"10.0.0.21:80": 2})
	answeredBy(t, client, target, "rs1")
	told(t, lb1, "server down", "quorum down", "server up", "quorum up")

	if err := os.WriteFile(filepath.Join(lb1.Dir(), "weight"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, d, service, map[string]int{"10.0.0.21:80": 7})
	terminate(t, d, clusterVIP)
}

// told waits until the scripts have written these lines. Scripts run in
// parallel, under keepalived too: their order is not promised.
func told(t *testing.T, h *lab.Host, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, 10*time.Second, "told on "+h.Name(), func() error {
		b, err := os.ReadFile(filepath.Join(h.Dir(), "notified"))
		if err != nil {
			return err
		}
		got := slices.Sorted(strings.Lines(string(b)))
		if text := strings.Join(want, "\n") + "\n"; strings.Join(got, "") != text {
			return fmt.Errorf("calls %q, want %q in any order", got, want)
		}
		return nil
	})
}

// holds waits until a service has exactly these servers with these weights.
func holds(t *testing.T, d *lab.Director, service string, want map[string]int) {
	t.Helper()
	text := func(weights map[string]int) string {
		var lines []string
		for addr, w := range weights {
			lines = append(lines, fmt.Sprintf("%s weight %d", addr, w))
		}
		slices.Sort(lines)
		return strings.Join(lines, ", ")
	}
	eventually(t, 15*time.Second, "holding "+text(want), func() error {
		got := map[string]int{}
		for addr, s := range table(t, d)[service] {
			got[addr] = s.weight
		}
		if text(got) != text(want) {
			return fmt.Errorf("the table holds %s", text(got))
		}
		return nil
	})
}

func answeredBy(t *testing.T, client *lab.Host, target netip.AddrPort, want string) {
	t.Helper()
	for range 3 {
		if a := get(t, client, target); a.Server != want {
			t.Errorf("%s answered, want %s", a.Server, want)
		}
	}
}
