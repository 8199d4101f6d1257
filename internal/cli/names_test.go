package cli

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

func TestPortNames(t *testing.T) {
	a := &app{env: Env{Open: func(name string) (io.ReadCloser, error) {
		if name != "/etc/services" {
			t.Errorf("opened %s", name)
		}
		return io.NopCloser(strings.NewReader(`# comment
http	80/tcp	www		# WorldWideWeb HTTP
http-too	80/tcp
domain	53/tcp
domain	53/udp
diameter	3868/sctp
broken
nonsense	x/tcp
big	99999/tcp
other	80/ddp
`)), nil
	}}}
	names, stop := a.names(t.Context())
	defer stop()
	for _, c := range []struct {
		p    lvs.Protocol
		port uint16
		want string
	}{
		{lvs.TCP, 80, "http"}, {lvs.UDP, 80, ""}, {lvs.UDP, 53, "domain"}, {lvs.SCTP, 3868, "diameter"}, {lvs.TCP, 0, ""}, {0, 80, ""},
	} {
		if got := names.Port(c.p, c.port); got != c.want {
			t.Errorf("%s %d: %q, want %q", c.p, c.port, got, c.want)
		}
	}
}

func TestNoServicesFile(t *testing.T) {
	a := &app{env: Env{Open: func(string) (io.ReadCloser, error) { return nil, errors.New("no such file") }}}
	names, stop := a.names(t.Context())
	defer stop()
	if got := names.Port(lvs.TCP, 80); got != "" {
		t.Errorf("port 80 is %q", got)
	}
}

// TestDeadResolver: each address is asked for once, and a resolver that never
// answers costs a listing the budget once, not once an address.
func TestDeadResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[netip.Addr]int{}
		a := &app{env: Env{
			Open: func(string) (io.ReadCloser, error) { return nil, errors.New("no such file") },
			HostOf: func(ctx context.Context, addr netip.Addr) string {
				asked[addr]++
				if addr.As4()[3] == 1 {
					return "one.example"
				}
				<-ctx.Done()
				return ""
			},
		}}
		start := time.Now()
		names, stop := a.names(t.Context())
		defer stop()
		for range 3 {
			for i := byte(1); i < 100; i++ {
				got := names.Host(netip.AddrFrom4([4]byte{10, 0, 0, i}))
				if want := map[bool]string{true: "one.example"}[i == 1]; got != want {
					t.Fatalf("10.0.0.%d is %q", i, got)
				}
			}
		}
		if took := time.Since(start); took != lookupBudget {
			t.Errorf("took %s, want %s", took, lookupBudget)
		}
		if len(asked) != 2 || asked[netip.MustParseAddr("10.0.0.1")] != 1 {
			t.Errorf("asked for %v", asked)
		}
	})
}

func TestLasted(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59999 * time.Millisecond: "59s", time.Minute: "1m0s", 3*time.Hour + 12*time.Minute + time.Second: "3h12m",
		24 * time.Hour: "1d0h", 400*24*time.Hour + 23*time.Hour: "400d23h",
	} {
		if got := lasted(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	tab := table{indent: "  "}
	tab.row("NAME", "STATE", "NOTE")
	tab.row("é", "up", "")
	tab.line("a line of its own, longer than any column")
	tab.row("longer", "x\x1b[2J", "y")
	tab.write(&b)
	want := "  NAME    STATE  NOTE\n  é       up\n      a line of its own, longer than any column\n  longer  x\ufffd[2J  y\n"
	if b.String() != want {
		t.Errorf("got:\n%q\nwant:\n%q", b.String(), want)
	}
}
