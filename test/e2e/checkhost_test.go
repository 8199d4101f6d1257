package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/lab"
)

// hostConfig has a fault for each thing that is wrong with checkedHost.
const hostConfig = `global_defs {
    enable_script_security
}
vrrp_script chk {
    script "%s"
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        10.9.0.100/24
        10.9.0.101/24
    }
    track_script {
        chk
    }
}
vrrp_instance VI_2 {
    interface ens9
    virtual_router_id 52
    virtual_ipaddress {
        10.9.0.102/24
    }
}
virtual_server 10.9.0.101 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.9.0.21 80 {
        TCP_CHECK {
        }
    }
    real_server 10.9.0.11 80 {
        TCP_CHECK {
        }
    }
    real_server 172.30.0.9 80 {
        TCP_CHECK {
        }
    }
}
`

// checkedHost has one of the virtual addresses already, does not forward, and
// has no way out of its segment.
var checkedHost = lab.Topology{
	Segments: []lab.SegmentSpec{{Name: "lan"}},
	Hosts: []lab.HostSpec{{Name: "lb1", Ifaces: []lab.IfaceSpec{
		{Name: "eth0", Segment: "lan", Addrs: []string{"10.9.0.11/24", "10.9.0.100/24"}},
	}}},
}

// TestCheckHost: what a real host has against a file is found, each at its line.
func TestCheckHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	t.Parallel()
	l, err := lab.Build(checkedHost, lab.Options{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	host := l.Host("lb1")
	script := filepath.Join(l.Dir(), "chk")
	file := filepath.Join(l.Dir(), "keepalived.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, hostConfig, script), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(script, 0o777); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := host.Run(t.Context(), args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	run("ip", "link", "set", "lo", "up")
	run("nft", "add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; add rule inet filter input tcp dport 22 accept")
	listening, err := host.Listen("tcp4", "0.0.0.0:80")
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()

	want := []string{
		"5:12 warning host-script-unsafe",
		"8:5 warning host-firewall",
		"11:9 warning host-address-present",
		"19:5 error host-interface-missing",
		"25:1 warning host-forwarding-off",
		"25:16 note host-port-taken",
		"33:5 warning host-is-real-server",
		"37:5 warning host-real-server-unreachable",
	}
	if d := cmp.Diff(want, checkHost(t, host, binary, "check", "--host", "--json", file)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	got := checkHost(t, host, "env", withoutBPF+"=1", self, binary, "check", "--host", "--json", file)
	if !slices.Contains(got, "25:1 error host-without-bpf") {
		t.Errorf("a kernel without BPF is not told: %q", got)
	}
}

// checkHost runs check in a host, which has to refuse the file, and returns
// what is found there of the host: line, severity, rule.
func checkHost(t *testing.T, host *lab.Host, args ...string) []string {
	t.Helper()
	out, err := host.Run(t.Context(), args...)
	if err == nil {
		t.Errorf("a file with a missing interface is not refused:\n%s", out)
	}
	var reports []struct {
		Findings []struct {
			Rule, Severity string
			Where          struct{ Line, Col int }
		}
	}
	if err := json.Unmarshal([]byte(out), &reports); err != nil || len(reports) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []string
	for _, f := range reports[0].Findings {
		if strings.HasPrefix(f.Rule, "host-") {
			got = append(got, fmt.Sprintf("%d:%d %s %s", f.Where.Line, f.Where.Col, f.Severity, f.Rule))
		}
	}
	return got
}
