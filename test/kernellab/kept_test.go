package kernellab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lab"
)

// testKept: a kernel master announces what kaname's dataplane does not carry
// (IPv6, SCTP, a template) and a connection to a service that it does not
// have. All of it is listed and counted, and what can be carried is as soon as
// there is a service for it.
func testKept(t *testing.T) {
	modprobe(t, "ip_vs", "ip_vs_rr", "sctp")
	l := stage(t, site())
	populate(t, l)
	lb1, lb2, client := l.Host("lb1"), l.Host("lb2"), l.Host("client")
	d1 := start(t, "kernel", lb1, siteConfig("lb1", 150))
	holds(t, lb1, "10.7.0.100", "10.7.0.101", "10.8.0.254")
	d2 := start(t, "kaname", lb2, siteConfig("lb2", 100)).(kanameDirector)
	plays(t, d1, "master")
	plays(t, d2, "backup")

	addExotic(t, l)
	capture, err := client.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	want := map[connection]entry{}
	persistent := netip.MustParseAddrPort("10.7.0.100:91")
	for at, e := range map[[3]string]entry{
		converse6(t, client): {"UDP", "UDP", 5 * time.Minute},
		converseSCTP(t, client, netip.MustParseAddrPort("10.7.0.101:90")): {"SCTP", "ESTABLISHED", 15 * time.Minute},
		{"10.7.0.2:0", persistent.String(), "10.7.0.21:91"}:               {"TCP", "ASSURED", 7 * time.Minute},
		conversePersistent(t, client, persistent):                         {"TCP", "ESTABLISHED", 15 * time.Minute},
	} {
		want[connection{netip.MustParseAddrPort(at[0]), netip.MustParseAddrPort(at[1]), netip.MustParseAddrPort(at[2])}] = e
	}
	listed(t, d1, want)
	listed(t, d2, want)
	keeps(t, d2, map[string]uint64{"unsupported": 3, "no-service": 1})

	// The service appears.
	more := siteConfig("lb2", 100) + `
virtual_server 10.7.0.100 91 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 10.7.0.21 91 {
        weight 1
    }
}
`
	if err := d2.WriteConfig(more); err != nil {
		t.Fatal(err)
	}
	if err := d2.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	keeps(t, d2, map[string]uint64{"unsupported": 3})
	listed(t, d2, want)
	if active, inactive := counts(t, d2, "TCP", persistent); active != 1 || inactive != 0 {
		t.Errorf("the adopted connection counts as %d active, %d inactive", active, inactive)
	}

	// A new master passes on what it heard and cannot carry.
	if err := lb1.Lose(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is kept announced by "+d2.name(), func() error {
		packets := capture.Packets()
		said, passed := latest(t, packets, "10.7.0.11"), latest(t, packets, "10.7.0.12")
		for c := range want {
			if c.virtual == persistent && c.client.Port() != 0 {
				continue // adopted: it is announced as other connections are
			}
			if _, ok := passed[c]; !ok {
				return fmt.Errorf("%s is not", c)
			}
			want := said[c]
			want.Flags |= connsync.Synced
			if diff := cmp.Diff(want, passed[c], cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				return fmt.Errorf("%s is announced otherwise than it was heard:\n%s", c, diff)
			}
		}
		return nil
	})
}

// latest is what a director said last of each connection.
func latest(t *testing.T, packets []lab.Packet, source string) map[connection]connsync.Conn {
	t.Helper()
	all := map[connection]connsync.Conn{}
	for _, c := range announcedBy(t, packets, netip.MustParseAddr(source)) {
		all[connection{c.Client, c.Virtual, c.Dest}] = c
	}
	return all
}

// addExotic gives lb1's kernel services that keepalived.conf has not.
func addExotic(t *testing.T, l *lab.Lab) {
	t.Helper()
	lb1 := l.Host("lb1")
	for host, addr := range map[string]string{"client": "fd07::2", "lb1": "fd07::11", "dr1": "fd07::21"} {
		run(t, l.Host(host), "ip", "addr", "add", addr+"/64", "dev", "eth0", "nodad")
	}
	run(t, lb1, "ip", "addr", "add", "fd07::100/128", "dev", "eth0", "nodad")
	run(t, l.Host("dr1"), "ip", "addr", "add", "fd07::100/128", "dev", "lo", "nodad")
	for _, command := range []string{
		"-A -u [fd07::100]:53 -s rr", "-a -u [fd07::100]:53 -r [fd07::21]:53 -g",
		"-A --sctp-service 10.7.0.101:90 -s rr", "-a --sctp-service 10.7.0.101:90 -r 10.8.0.31:8090 -m",
		"-A -t 10.7.0.100:91 -s rr -p 420", "-a -t 10.7.0.100:91 -r 10.7.0.21:91 -g",
	} {
		run(t, lb1, append([]string{"ipvsadm"}, strings.Fields(command)...)...)
	}
	answerUDP(t, l.Host("dr1"), "udp6", "[fd07::100]:53")
	echoSCTP(t, l.Host("nat1"), 8090)
	e, err := l.Host("dr1").Echo(":91")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
}

// converse6 has a UDP flow over IPv6 and names its entry.
func converse6(t *testing.T, client *lab.Host) [3]string {
	t.Helper()
	f := newFlow(t, client, netip.MustParseAddr("fd07::2"), netip.MustParseAddrPort("[fd07::100]:53"))
	for range 5 {
		f.ask(t)
	}
	return [3]string{f.local.String(), f.to.String(), "[fd07::21]:53"}
}

func converseSCTP(t *testing.T, client *lab.Host, to netip.AddrPort) [3]string {
	t.Helper()
	c := associate(t, client, to)
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		buf := make([]byte, 100)
		if _, err := c.Write([]byte("word")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != "word" {
			t.Fatalf("SCTP: %q came back: %v", buf[:n], err)
		}
	}
	return [3]string{c.LocalAddr().String(), to.String(), "10.8.0.31:8090"}
}

func conversePersistent(t *testing.T, client *lab.Host, to netip.AddrPort) [3]string {
	t.Helper()
	s, err := client.Open(within(t, 30*time.Second), to, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for range 3 {
		if r := s.Exchange(20 * time.Second); len(r.Failed) != 0 {
			t.Fatal(r)
		}
	}
	return [3]string{s.Local(0).String(), to.String(), "10.7.0.21:91"}
}

// keeps waits until status counts what is kept, by why.
func keeps(t *testing.T, d kanameDirector, want map[string]uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("kept: %v", want), func() error {
		got := d.sync(t).Kept
		total := uint64(0)
		for _, n := range got {
			total += n
		}
		for why, n := range want {
			if total -= got[why]; got[why] != n {
				return fmt.Errorf("kept: %v", got)
			}
		}
		if total != 0 {
			return fmt.Errorf("kept: %v", got)
		}
		return nil
	})
}
