package ipvsadm_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/cli/ipvsadm"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// names are those of the guest's /etc/services that the recordings show.
var names = ipvsadm.Names{Port: func(p lvs.Protocol, port uint16) string {
	switch p {
	case lvs.TCP:
		return map[uint16]string{
			80: "http", 443: "https", 444: "snpp", 445: "microsoft-ds", 8080: "http-alt",
			1: "tcpmux", 7: "echo", 9: "discard", 11: "systat", 13: "daytime", 15: "netstat",
		}[port]
	case lvs.UDP:
		return map[uint16]string{53: "domain", 5060: "sip", 5061: "sip-tls"}[port]
	}
	return ""
}}

func TestRecordings(t *testing.T) {
	flag3 := "TCP 10.1.0.100:87"
	sets := map[string]struct {
		drop []string // services that our words do not hold
		skip []string // views that show such a thing
	}{
		"empty":      {},
		"schedulers": {},
		"traffic":    {skip: []string{"Ln-persistent-conn"}}, // counts templates
		"large":      {skip: []string{"Ln-persistent-conn", "Ln-sort", "S"}},
		"flags": {drop: []string{
			"TCP 10.1.0.100:445", "UDP 10.1.0.100:5060", "UDP 10.1.0.100:5061", "TCP 10.1.0.100:microsoft-ds",
			"UDP 10.1.0.100:sip", "UDP 10.1.0.100:sip-tls", flag3,
		}},
		"protocols":  {drop: []string{"UDP [fd01::100]:53", "UDP [fd01::100]:domain"}},
		"forwarding": {skip: []string{"S", "S-n"}}, // names gue and gre tunnels
	}
	views := map[string][]string{
		"Ln": {"-Ln"}, "Ln-nosort": {"-Ln", "--nosort"}, "Ln-sort": {"-L", "-n", "--sort"}, "L": {"--list"},
		"Ln-stats": {"-ln", "--stats"}, "Ln-stats-exact": {"-Ln", "--stats", "--exact"}, "Ln-rate": {"-Ln", "--rate"},
		"Ln-rate-exact": {"-Ln", "--rate", "--exact"}, "Ln-thresholds": {"-Ln", "--thresholds"},
		"Ln-persistent-conn": {"-Ln", "--persistent-conn"}, "S-n": {"-Sn"}, "S": {"-S"},
	}
	for set, c := range sets {
		drop := func(name string) bool { return slices.Contains(c.drop, name) }
		table := slices.DeleteFunc(tableOf(t, set), func(s lvs.ServiceStatus) bool { return drop(s.ServiceKey.String()) })
		for view, args := range views {
			if slices.Contains(c.skip, view) || !exists(set, view) && set == "large" {
				continue
			}
			if view == "Ln-rate-exact" && set != "large" {
				continue
			}
			t.Run(set+"/"+view, func(t *testing.T) {
				want := without(recording(t, set, view), drop)
				got := render(t, args, table)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("ipvsadm %s (-want +got):\n%s", strings.Join(args, " "), diff)
				}
			})
		}
	}
}

func render(t *testing.T, args []string, table []lvs.ServiceStatus) string {
	t.Helper()
	r, err := ipvsadm.Parse(args)
	if err != nil {
		t.Fatalf("Parse(%q): %v", args, err)
	}
	n := names
	if r.Numeric {
		n = ipvsadm.Numeric
	}
	var b bytes.Buffer
	if r.Kind == ipvsadm.Save {
		err = ipvsadm.WriteSave(&b, table, n)
	} else {
		err = ipvsadm.WriteList(&b, r, 4096, table, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOneService(t *testing.T) {
	table := tableOf(t, "flags")
	one := slices.DeleteFunc(table, func(s lvs.ServiceStatus) bool { return s.Port != 85 })
	got := render(t, []string{"-Ln", "-t", "10.1.0.100:85"}, one)
	if diff := cmp.Diff(recording(t, "flags", "Ln-one"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTunnelInfo(t *testing.T) {
	got := render(t, []string{"-Ln", "--tun-info"}, tableOf(t, "large"))
	if diff := cmp.Diff(recording(t, "large", "Ln-tun-info"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConnections(t *testing.T) {
	for _, c := range []struct {
		set, from, want string
		names           ipvsadm.Names
	}{
		{"traffic", "Lnc", "Lnc", ipvsadm.Numeric},
		{"large", "Lnc", "Lnc", ipvsadm.Numeric},
		{"large", "Lnc", "Lc", names},
		{"empty", "Lnc", "Lnc", ipvsadm.Numeric},
		{"synced", "Lnc", "Lnc", ipvsadm.Numeric},
	} {
		t.Run(c.set+"/"+c.want, func(t *testing.T) {
			var b bytes.Buffer
			conns := connectionsOf(t, recording(t, c.set, c.from))
			if err := ipvsadm.WriteConnections(&b, conns, c.names); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(recording(t, c.set, c.want), b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestConnectionsBreakOff(t *testing.T) {
	broken := errors.New("the director died")
	var conns iter.Seq2[lvs.Connection, error] = func(yield func(lvs.Connection, error) bool) {
		ap := netip.MustParseAddrPort("192.0.2.1:1")
		if yield(lvs.Connection{Protocol: lvs.TCP, Client: ap, Virtual: ap, Destination: ap, Expires: -time.Second}, nil) {
			yield(lvs.Connection{}, broken)
		}
	}
	var b bytes.Buffer
	if err := ipvsadm.WriteConnections(&b, conns, ipvsadm.Numeric); !errors.Is(err, broken) {
		t.Errorf("err = %v, want %v", err, broken)
	}
	if !strings.Contains(b.String(), "TCP 00:00  NONE") {
		t.Errorf("what came before the error is missing:\n%s", b.String())
	}
}

func TestTimeouts(t *testing.T) {
	var b bytes.Buffer
	if err := ipvsadm.WriteTimeouts(&b, lvs.Timeouts{}); err != nil {
		t.Fatal(err)
	}
	if want := recording(t, "empty", "timeout"); b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestDaemons(t *testing.T) {
	all := []ipvsadm.Daemon{
		{Role: "master", Interface: "c0", MaxLen: 1472, Group: netip.MustParseAddrPort("224.0.0.81:8848"), TTL: 1},
		{Role: "backup", Interface: "c0", SyncID: 255, MaxLen: 4000, Group: netip.MustParseAddrPort("239.1.1.1:9000"), TTL: 5},
		{Role: "backup", Interface: "c0", SyncID: 3, MaxLen: 1452, Group: netip.MustParseAddrPort("[ff05::51]:8848"), TTL: 1},
	}
	for view, daemons := range map[string][]ipvsadm.Daemon{"daemon": nil, "daemon-both": all[:2], "daemon-backup": all[1:2], "daemon-ipv6": all[2:]} {
		var b bytes.Buffer
		if err := ipvsadm.WriteDaemons(&b, daemons); err != nil {
			t.Fatal(err)
		}
		set := "synced"
		if view == "daemon" {
			set = "empty"
		}
		if want := recording(t, set, view); b.String() != want {
			t.Errorf("%s: got %q, want %q", view, b.String(), want)
		}
	}
}

// TestWriteErrors makes sure that a full disk or closed pipe is noticed.
func TestWriteErrors(t *testing.T) {
	table := tableOf(t, "traffic")
	for name, write := range map[string]func(io.Writer) error{
		"list": func(w io.Writer) error {
			return ipvsadm.WriteList(w, ipvsadm.Request{}, 1, table, ipvsadm.Numeric)
		},
		"daemons": func(w io.Writer) error {
			return ipvsadm.WriteDaemons(w, []ipvsadm.Daemon{{Role: "master", Group: netip.MustParseAddrPort("224.0.0.81:8848")}})
		},
		"save": func(w io.Writer) error { return ipvsadm.WriteSave(w, table, ipvsadm.Numeric) },
		"connections": func(w io.Writer) error {
			return ipvsadm.WriteConnections(w, func(func(lvs.Connection, error) bool) {}, ipvsadm.Numeric)
		},
	} {
		if err := write(full{}); !errors.Is(err, errFull) {
			t.Errorf("%s: err = %v, want %v", name, err, errFull)
		}
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
