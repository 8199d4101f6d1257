package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// Field report 002: two directors with the same file, AH authentication, DR,
// lc, HTTP checks.
func report002() lab.Topology {
	host := func(name, last string) lab.HostSpec {
		return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{{Name: "enp0s8", Segment: "lan", Addrs: []string{"192.168.10." + last + "/24"}}}}
	}
	return lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}},
		Hosts: []lab.HostSpec{
			host("client", "50"), host("lb1", "11"), host("lb2", "12"),
			host("web1", "1").AsDRServer("192.168.10.100"), host("web2", "2").AsDRServer("192.168.10.100"),
		},
	}
}

func TestReport002Check(t *testing.T) {
	t.Parallel()
	if binary == "" {
		t.Skip("needs root: the binary is built for root's tests")
	}
	out, err := exec.Command(binary, "check", seed(t, "002")).CombinedOutput()
	if err != nil {
		t.Errorf("warnings alone must not fail the check: %v", err)
	}
	if strings.Contains(string(out), "not supported yet: lvs_sync_daemon") {
		t.Errorf("lvs_sync_daemon is said not to be supported:\n%s", out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, ":10:1: note: anybody on the segment of enp0s8") && strings.Contains(line, "connections of syncid 51") {
			return
		}
	}
	t.Errorf("nothing says that the synchronisation has no authentication:\n%s", out)
}

func TestReport002(t *testing.T) {
	t.Parallel()
	const vip = "192.168.10.100"
	target := netip.MustParseAddrPort(vip + ":80")
	l := stage(t, report002())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "web1", "web2")
	config := read(t, seed(t, "002"))

	capture, err := lb2.Capture("enp0s8")
	if err != nil {
		t.Fatal(err)
	}
	d1 := direct(t, lb1, config)
	moved(t, 10*time.Second, lb1, lb2, vip)
	d2 := direct(t, lb2, config)
	if strings.Contains(d1.Process.Log(), "not supported yet: lvs_sync_daemon") {
		t.Errorf("the log of the start says that lvs_sync_daemon is not supported:\n%s", d1.Process.Log())
	}
	answers(t, client, target)
	used := map[string]bool{}
	for range 10 {
		used[get(t, client, target).Server] = true
	}
	if !used["web1"] || !used["web2"] {
		t.Errorf("10 requests reached %v, want both web servers", used)
	}
	if got := state(t, d2, "VI_1"); got != "BACKUP" {
		t.Errorf("second director is %s, want BACKUP", got)
	}
	eventually(t, 10*time.Second, "4 adverts captured", func() error {
		if n := len(adverts(capture.Packets())); n < 4 {
			return fmt.Errorf("%d adverts", n)
		}
		return nil
	})
	checkAH(t, adverts(capture.Stop()))

	t.Run("host lost", func(t *testing.T) {
		if err := lb1.Lose(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "lb2 master", func() error {
			if !hasAll(lb2, vip) {
				return fmt.Errorf("no %s on lb2", vip)
			}
			return nil
		})
		answers(t, client, target)
		if got := state(t, d2, "VI_1"); got != "MASTER" {
			t.Errorf("lb2 is %s, want MASTER", got)
		}
	})
	t.Run("SIGTERM", func(t *testing.T) {
		if err := lb1.Restore(); err != nil {
			t.Fatal(err)
		}
		d1 = direct(t, lb1, config)
		// Equal priority: the restored one hears adverts and stays BACKUP.
		eventually(t, 10*time.Second, "lb1 backup that hears lb2", func() error {
			for _, i := range status(t, d1).Instances {
				if i.State == "BACKUP" && i.AdvertsReceived >= 4 {
					return nil
				}
			}
			return fmt.Errorf("instances %+v", status(t, d1).Instances)
		})
		terminate(t, d2, vip)
		moved(t, 10*time.Second, lb1, lb2, vip)
		answers(t, client, target)
		terminate(t, d1, vip)
	})
}

// adverts are the packets to VRRP's group.
func adverts(packets []lab.Packet) []lab.Summary {
	var out []lab.Summary
	for _, p := range packets {
		if s := p.Decode(); s.Dst.Addr() == netip.MustParseAddr("224.0.0.18") {
			out = append(out, s)
		}
	}
	return out
}

// checkAH: the adverts on the segment have an authentication header.
func checkAH(t *testing.T, all []lab.Summary) {
	t.Helper()
	for _, s := range all {
		if s.Protocol != unix.IPPROTO_AH || s.TTL != 255 {
			t.Errorf("advert %s with TTL %d, want protocol 51 with TTL 255", s, s.TTL)
		}
	}
}
