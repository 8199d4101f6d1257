package keepalived

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLog: a director's record on the left, keepalived's lines on the right. A
// line that only -D shows begins with "-D ".
func TestLog(t *testing.T) {
	type rec struct {
		message string
		attrs   []any
	}
	for _, c := range []struct {
		rec
		want []string
	}{
		{
			rec{"vrrp state changed", []any{"instance", "VI_1", "from", "INIT", "to", "BACKUP", "priority", 150, "reason", "started"}},
			[]string{"(VI_1) Entering BACKUP STATE (init)"},
		},
		{
			rec{"vrrp state changed", []any{"instance", "VI_1", "from", "BACKUP", "to", "MASTER", "priority", 150, "reason", "no advert heard"}},
			[]string{"-D (VI_1) Receive advertisement timeout", "(VI_1) Entering MASTER STATE", "-D (VI_1) setting VIPs."},
		},
		{
			rec{"vrrp state changed", []any{"instance", "VI_2", "from", "BACKUP", "to", "MASTER", "priority", 150, "reason", "sync group G with VI_1: no advert heard"}},
			[]string{"(VI_2) Entering MASTER STATE", "-D (VI_2) setting VIPs."},
		},
		{
			rec{"vrrp state changed", []any{"instance", "VI_1", "from", "MASTER", "to", "BACKUP", "priority", uint8(150), "reason", "10.9.0.2 has higher priority 200"}},
			[]string{"(VI_1) Master received advert from 10.9.0.2 with higher priority 200, ours 150", "(VI_1) Entering BACKUP STATE", "-D (VI_1) removing VIPs."},
		},
		{
			rec{"vrrp state changed", []any{"instance", "VI_1", "from", "MASTER", "to", "BACKUP", "priority", 100, "reason", "10.9.0.2 has the same priority 100 and the higher address"}},
			[]string{"(VI_1) Master received advert from 10.9.0.2 with same priority 100 but higher IP address than ours", "(VI_1) Entering BACKUP STATE", "-D (VI_1) removing VIPs."},
		},
		{
			rec{"vrrp state changed", []any{"instance", "VI_1", "from", "MASTER", "to", "FAULT", "reason", "interface eth0 is down"}},
			[]string{"(VI_1) Entering FAULT STATE", "-D (VI_1) interface eth0 is down", "-D (VI_1) sent 0 priority", "-D (VI_1) removing VIPs."},
		},
		{
			rec{"vrrp state changed", []any{"instance", "VI_1", "from", "FAULT", "to", "BACKUP", "reason", ""}},
			[]string{"(VI_1) Entering BACKUP STATE"},
		},
		{
			rec{"vrrp state changed", []any{"instance", "VI_1", "from", "MASTER", "to", "STOP", "reason", "stopped"}},
			[]string{"-D (VI_1) sent 0 priority", "-D (VI_1) removing VIPs."},
		},
		{rec{"vrrp group state changed", []any{"group", "G", "to", "MASTER", "reason", "x"}}, []string{"VRRP_Group(G) Syncing instances to MASTER state"}},
		{rec{"vrrp group state changed", []any{"group", "G", "to", "STOP", "reason", "x"}}, nil},
		{rec{"vrrp priority changed", []any{"instance", "VI_1", "from", uint8(150), "to", uint8(140)}}, []string{"(VI_1) Changing effective priority from 150 to 140"}},
		{rec{"script changed", []any{"script", "chk", "up", true, "reason", "succeeded"}}, []string{"VRRP_Script(chk) succeeded"}},
		{
			rec{"script changed", []any{"script", "chk", "up", false, "reason", "exited with status 1"}},
			[]string{"Script `chk` now returning 1", "VRRP_Script(chk) failed (exited with status 1)"},
		},
		{rec{"script changed", []any{"script", "chk", "up", false, "reason", "timed out"}}, []string{"VRRP_Script(chk) timed_out"}},
		{
			rec{"vrrp packet ignored", []any{"instance", "VI_1", "from", "10.9.0.2", "reason", "interval", "detail", "advert interval 2s, ours is 1s"}},
			[]string{"(VI_1) advertisement interval mismatch (advert interval 2s, ours is 1s) from 10.9.0.2"},
		},
		{
			rec{"vrrp packet ignored", []any{"instance", "VI_1", "from", "10.9.0.2", "reason", "password", "detail", ""}},
			[]string{"(VI_1) received an invalid passwd! from 10.9.0.2"},
		},
		{
			rec{"check succeeded", []any{"service", "192.0.2.1 80", "server", "10.0.0.1:80", "check", "TCP_CHECK", "retries", 0, "reason", "connected"}},
			[]string{"TCP connection to [10.0.0.1]:tcp:80 success."},
		},
		{
			rec{"check failed", []any{"service", "192.0.2.1 80", "server", "10.0.0.1:80", "check", "TCP_CHECK", "retries", 0, "reason", "refused"}},
			[]string{"TCP_CHECK on service [10.0.0.1]:tcp:80 failed.", "-D [10.0.0.1]:tcp:80: refused"},
		},
		{
			rec{"check failed", []any{"service", "192.0.2.1 53 UDP", "server", "10.0.0.1:53", "check", "MISC_CHECK", "retries", 3, "reason", "exited with status 1"}},
			[]string{"MISC_CHECK on service [10.0.0.1]:udp:53 failed after 3 retries.", "-D [10.0.0.1]:udp:53: exited with status 1"},
		},
		{
			rec{"real server up", []any{"service", "192.0.2.1 80", "server", "10.0.0.1:80", "reason", "x"}},
			[]string{"Adding service [10.0.0.1]:tcp:80 to VS [192.0.2.1]:tcp:80"},
		},
		{
			rec{"real server down", []any{"service", "group WEB", "server", "[2001:db8::1]:80", "reason", "x"}},
			[]string{"Removing service [2001:db8::1]:tcp:80 from VS WEB"},
		},
		{
			rec{"weight changed", []any{"service", "192.0.2.1 80", "server", "10.0.0.1:80", "from", 3, "to", 1}},
			[]string{"Changing weight from 3 to 1 for active service [10.0.0.1]:tcp:80 of VS [192.0.2.1]:tcp:80"},
		},
		{
			rec{"quorum gained", []any{"service", "192.0.2.1 80", "weight", 4, "threshold", 3, "hysteresis", 1}},
			[]string{"Gained quorum 2+1=3 <= 4 for VS [192.0.2.1]:tcp:80"},
		},
		{
			rec{"quorum lost", []any{"service", "192.0.2.1 80", "weight", 0, "threshold", 1, "hysteresis", 1}},
			[]string{"Lost quorum 2-1=1 > 0 for VS [192.0.2.1]:tcp:80"},
		},
		{rec{"serving", nil}, []string{"Startup complete"}},
		{rec{"dataplane attached", []any{"iface", "eth0", "mode", "tc"}}, []string{"dataplane attached (iface eth0, mode tc)"}},
	} {
		for _, detail := range []bool{true, false} {
			var got []string
			h := &Handler{Detail: detail, Ident: IdentParent, Out: func(l Line) { got = append(got, l.Text) }}
			slog.New(h).Info(c.message, c.attrs...)
			var want []string
			for _, w := range c.want {
				text, only := strings.CutPrefix(w, "-D ")
				if !only || detail {
					want = append(want, text)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, -D %v: -want +got\n%s", c.message, detail, diff)
			}
		}
	}
}

// TestHandler: attributes of the logger, groups, and levels.
func TestHandler(t *testing.T) {
	var got []Line
	log := slog.New(&Handler{Ident: IdentParent, Out: func(l Line) { got = append(got, l) }})
	log.With("peer", "a").WithGroup("g").Warn("odd", "n", 3)
	log.Debug("operation")
	log.Error("vrrp state changed", "instance", "V", "from", "INIT", "to", "BACKUP")
	want := []Line{
		{Ident: IdentParent, Level: slog.LevelWarn, Text: "odd (peer a, g.n 3)"},
		{Ident: IdentVRRP, Level: slog.LevelError, Text: "(V) Entering BACKUP STATE (init)"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestConsole(t *testing.T) {
	var b strings.Builder
	at := time.Date(2026, 11, 4, 18, 5, 58, 0, time.UTC)
	Console(&b, func() time.Time { return at })(Line{Text: "Stopping"})
	if want := "Wed Nov  4 18:05:58 2026: Stopping\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// TestSyslog: identities, facility and severity arrive at the socket.
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := dialSyslog("unixgram", path, "local3")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line         Line
		prefix, part string
	}{
		{Line{Ident: IdentVRRP, Text: "(V) Entering MASTER STATE"}, "<158>", " Keepalived_vrrp["},
		{Line{Ident: IdentChecks, Level: slog.LevelWarn, Text: "w"}, "<156>", " Keepalived_healthcheckers["},
		{Line{Ident: IdentParent, Level: slog.LevelError, Text: "e"}, "<155>", " Keepalived["},
	} {
		out(c.line)
		b := make([]byte, 1024)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got := string(b[:n])
		if !strings.HasPrefix(got, c.prefix) || !strings.Contains(got, c.part) || !strings.HasSuffix(got, "]: "+c.line.Text+"\n") {
			t.Errorf("got %q, want %s…%s…%s", got, c.prefix, c.part, c.line.Text)
		}
	}
	if _, err := dialSyslog("unixgram", path+".none", "daemon"); err == nil {
		t.Error("no socket, no error")
	}
}
