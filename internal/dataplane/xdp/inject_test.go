package xdp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func TestInjectAnswers(t *testing.T) {
	b := syncBench(t, lvs.DR)
	with := func(f func(*lvs.Connection)) lvs.Connection {
		c := b.announced(1)
		f(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		c    lvs.Connection
		want lvs.Placement
	}{
		{"new", b.announced(1), lvs.Placed},
		{"again", b.announced(1), lvs.Updated},
		{"another server, of weight 0", with(func(c *lvs.Connection) { c.Destination = ap("198.51.100.2:8080") }), lvs.Rebound},
		{"the old server's end", with(func(c *lvs.Connection) { c.State = lvs.StateFinWait }), lvs.Stale},
		{"expired", with(func(c *lvs.Connection) { c.Expires = 0 }), lvs.Stale},
		{"no such port", with(func(c *lvs.Connection) { c.Virtual = netip.AddrPortFrom(b.vip, 443) }), lvs.NoService},
		{"no such address", with(func(c *lvs.Connection) { c.Virtual = ap("192.0.2.7:80") }), lvs.NoService},
		{"no such server", with(func(c *lvs.Connection) { c.Destination = ap("198.51.100.9:8080") }), lvs.NoServer},
		{"the server at another port", with(func(c *lvs.Connection) { c.Destination = ap("198.51.100.1:80") }), lvs.NoServer},
		{"SCTP", with(func(c *lvs.Connection) { c.Protocol = lvs.SCTP }), lvs.Unsupported},
		{"a template", with(func(c *lvs.Connection) { c.Template = true }), lvs.Unsupported},
		{"of a mark", with(func(c *lvs.Connection) { c.FWMark = 1 }), lvs.Unsupported},
		{"a state of no protocol", with(func(c *lvs.Connection) { c.State = lvs.NumTCPStates }), lvs.Unsupported},
		{"IPv6", with(func(c *lvs.Connection) { c.Client = ap("[2001:db8::1]:1024") }), lvs.Unsupported},
		{"no address at all", lvs.Connection{Protocol: lvs.TCP}, lvs.Unsupported},
		{"UDP", with(func(c *lvs.Connection) { c.Protocol, c.State = lvs.UDP, lvs.StateNone }), lvs.Placed},
	} {
		if got := b.inject(t, 0, tt.c); got[0] != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got[0], tt.want)
		}
	}
	if err := b.Inject(make([]lvs.Connection, 2), nil, 0); err == nil {
		t.Error("no room for the answers, and no error")
	}
	// A server that drains is still one; a service that is gone is not.
	if err := b.Set([]lvs.ServiceSet{{Service: b.tab.services[lvs.ServiceKey{Protocol: lvs.TCP, Addr: b.vip, Port: 80}].want.Service}}); err != nil {
		t.Fatal(err)
	}
	if got := b.inject(t, 0, b.announced(2)); got[0] != lvs.Placed {
		t.Errorf("to a removed server: %s", got[0])
	}
	if err := b.Set(nil); err != nil {
		t.Fatal(err)
	}
	if got := b.inject(t, 0, b.announced(3)); got[0] != lvs.NoService {
		t.Errorf("to a removed service: %s", got[0])
	}
}

// What is listed of an injected connection is what was announced of it.
func TestInjectedAsListed(t *testing.T) {
	for _, m := range []lvs.Method{lvs.DR, lvs.NAT} {
		b := syncBench(t, m)
		c := b.announced(1)
		c.NoOutput, c.Method = m == lvs.DR, m
		b.inject(t, 0, c)
		c.Synced = true
		got := b.connections()
		if len(got) != 1 {
			t.Fatalf("%d connections", len(got))
		}
		if d := c.Expires - got[0].Expires; d < 0 || d > 5*time.Second {
			t.Errorf("%s: expires in %s, was announced with %s", m, got[0].Expires, c.Expires)
		}
		c.Expires = got[0].Expires
		if d := cmp.Diff(c, got[0], cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
			t.Errorf("%s (-announced +listed):\n%s", m, d)
		}
	}
}

// A service for any port: its servers' connections have the client's port.
func TestInjectAnyPort(t *testing.T) {
	b := newBench(t)
	svc := lvs.ServiceSet{
		Service:      lvs.Service{ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: b.vip}, Scheduler: lvs.RR},
		Destinations: []lvs.Destination{{Addr: netip.MustParseAddr("198.51.100.1"), Method: lvs.DR, Weight: 1}},
	}
	if err := b.Set([]lvs.ServiceSet{svc}); err != nil {
		t.Fatal(err)
	}
	c := b.announced(1)
	c.Virtual, c.Destination = netip.AddrPortFrom(b.vip, 8443), ap("198.51.100.1:8443")
	if got := b.inject(t, 0, c); got[0] != lvs.Placed {
		t.Fatalf("%s", got[0])
	}
	if got := b.connections(); len(got) != 1 || got[0].Destination != c.Destination || got[0].Virtual != c.Virtual {
		t.Errorf("listed as %+v", got)
	}
}

func TestMark(t *testing.T) {
	b := syncBench(t, lvs.DR)
	mark, err := b.Mark()
	if err != nil || mark == 0 {
		t.Fatal(mark, err)
	}
	full := b.announced(1)
	full.Expires = full.Timeout
	for i, want := range []lvs.Placement{lvs.Placed, lvs.Stale} {
		if got := b.inject(t, mark, full); got[0] != want {
			t.Errorf("injection %d: %s, want %s", i, got[0], want)
		}
	}
	b.entries(func(_ uint32, _ *uint32, e *prog.Conn) { e.Last = mark - 1 })
	if got := b.inject(t, mark, full); got[0] != lvs.Updated {
		t.Errorf("over an entry from before: %s", got[0])
	}
}

// Many are entered in pieces, each in the answer's place, and others have the
// lock in between.
func TestInjectMany(t *testing.T) {
	b := syncBench(t, lvs.DR)
	const n = 3000
	cs, want := make([]lvs.Connection, n), map[string]int{}
	for i := range cs {
		cs[i] = b.announced(i)
		if i%7 == 0 {
			cs[i].Destination = ap("198.51.100.9:1")
		}
	}
	for i, p := range b.inject(t, 0, cs...) {
		want[fmt.Sprint(i%7 == 0, p)]++
	}
	if d := cmp.Diff(map[string]int{"true no-server": 429, "false placed": n - 429}, want); d != "" {
		t.Errorf("answers (-want +got):\n%s", d)
	}
	for b.scan.lastEntries == 0 {
		if err := b.scanSlice(); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.Entries(); got != n-429 {
		t.Errorf("%d entries", got)
	}
	if c := &b.obj.mem.counts[b.server().slot]; c.Active != n-429 {
		t.Errorf("%d active connections counted", c.Active)
	}
}
