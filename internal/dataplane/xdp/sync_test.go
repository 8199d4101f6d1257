package xdp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var _ connsyncio.Table = (*Dataplane)(nil)

const (
	flagSYN = 0x02
	flagACK = 0x10
	flagFIN = 0x11
)

// clientAt is the i-th of many clients.
func clientAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}), 1024)
}

// syncBench is a bench with a TCP and a UDP service of two servers each, whose
// rules are gone at the end.
func syncBench(t *testing.T, m lvs.Method) *bench {
	t.Helper()
	b := newBench(t)
	var set []lvs.ServiceSet
	for _, proto := range []lvs.Protocol{lvs.TCP, lvs.UDP} {
		set = append(set, lvs.ServiceSet{
			Service: lvs.Service{ServiceKey: lvs.ServiceKey{Protocol: proto, Addr: b.vip, Port: 80}, Scheduler: lvs.RR},
			Destinations: []lvs.Destination{
				{Addr: netip.MustParseAddr("198.51.100.1"), Port: 8080, Method: m, Weight: 1},
				{Addr: netip.MustParseAddr("198.51.100.2"), Port: 8080, Method: m, Weight: 0},
			},
		})
	}
	if err := b.Set(set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.SetSync(nil); err != nil {
			t.Error(err)
		}
	})
	return b
}

// announced is a connection of client i as another director tells it.
func (b *bench) announced(i int) lvs.Connection {
	return lvs.Connection{
		Protocol: lvs.TCP, Client: clientAt(i), Virtual: netip.AddrPortFrom(b.vip, 80), Destination: ap("198.51.100.1:8080"),
		State: lvs.StateEstablished, Expires: 600 * time.Second, Timeout: 900 * time.Second, Method: lvs.DR, NoOutput: true,
	}
}

// server is the first server of the TCP service.
func (b *bench) server() *dest {
	c := b.announced(0)
	return b.tab.serviceFor(c.Protocol, c.Virtual).destFor(&c)
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func (b *bench) inject(t *testing.T, mark uint32, cs ...lvs.Connection) []lvs.Placement {
	t.Helper()
	out := make([]lvs.Placement, len(cs))
	if err := b.Inject(cs, out, mark); err != nil {
		t.Fatal(err)
	}
	return out
}

// news fetches announcements until there are n, and says of which client, in
// which state.
func (b *bench) news(t *testing.T, n int) (out []string, missed uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for len(out) < n && ctx.Err() == nil {
		cs, lost, err := b.Announcements(ctx, make([]lvs.Connection, 0, 64))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cs {
			out = append(out, c.Client.String()+" "+c.StateName())
		}
		missed += lost
	}
	return out, missed
}

// unread is what is there without waiting.
func (b *bench) unread(t *testing.T) (cs []lvs.Connection, missed uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cs, missed, err := b.Announcements(ctx, make([]lvs.Connection, 0, 100000))
	if err != nil {
		t.Fatal(err)
	}
	return cs, missed
}

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

// A connection's life as announced, and nothing without rules.
func TestAnnouncements(t *testing.T) {
	b := syncBench(t, lvs.DR)
	life := func(i int) {
		for _, flags := range []byte{flagSYN, flagACK, flagACK, flagFIN} {
			if err := b.segment(clientAt(i), flags); err != nil {
				t.Fatal(err)
			}
		}
	}
	life(1)
	if err := b.SetSync(&lvs.SyncRules{AtOnce: true, Threshold: 3, Refresh: time.Minute}); err != nil {
		t.Fatal(err)
	}
	life(2)
	got, missed := b.news(t, 2)
	if want := []string{clientAt(2).String() + " ESTABLISHED", clientAt(2).String() + " FIN_WAIT"}; !slices.Equal(got, want) || missed != 0 {
		t.Errorf("announced %q, %d missed; want %q", got, missed, want)
	}
	// The one that began before is told with its next packet.
	if err := b.segment(clientAt(1), flagACK); err != nil {
		t.Fatal(err)
	}
	got, _ = b.news(t, 1)
	if want := []string{clientAt(1).String() + " FIN_WAIT"}; !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
	if err := b.SetSync(nil); err != nil {
		t.Fatal(err)
	}
	life(3)
	if cs, _ := b.unread(t); len(cs) != 0 {
		t.Errorf("announced without rules: %+v", cs)
	}
	for _, bad := range []lvs.SyncRules{{Refresh: -1}, {Retries: 4}} {
		if err := b.SetSync(&bad); err == nil {
			t.Errorf("rules %+v are accepted", bad)
		}
	}
}

// An announcement says of the connection what a listing does.
func TestAnnouncementAsListed(t *testing.T) {
	b := syncBench(t, lvs.DR)
	if err := b.SetSync(&lvs.SyncRules{AtOnce: true}); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []byte{flagSYN, flagACK} {
		if err := b.segment(clientAt(1), flags); err != nil {
			t.Fatal(err)
		}
	}
	cs, _ := b.unread(t)
	listed := b.connections()
	if len(cs) != 1 || len(listed) != 1 {
		t.Fatalf("%d announced, %d listed", len(cs), len(listed))
	}
	if cs[0].Expires != cs[0].Timeout {
		t.Errorf("announced with %s of %s", cs[0].Expires, cs[0].Timeout)
	}
	listed[0].Expires = cs[0].Expires
	if d := cmp.Diff(listed[0], cs[0], cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Errorf("(-listed +announced):\n%s", d)
	}
}

// More than the ring holds is said to be missed, once; a small buffer gets what
// it has room for and the rest stays; a server that is gone is left out; and
// what was not fetched before announcing ended is not said when it begins again.
func TestAnnouncementsKept(t *testing.T) {
	b := syncBench(t, lvs.DR)
	rules := &lvs.SyncRules{Period: 1}
	if err := b.SetSync(rules); err != nil {
		t.Fatal(err)
	}
	room := int(b.obj.maps["events"].MaxEntries()) / 48
	for _, flags := range []byte{flagSYN, flagACK} {
		if err := b.segment(clientAt(1), flags); err != nil {
			t.Fatal(err)
		}
	}
	const more = 1000
	for range room + more - 1 {
		if err := b.segment(clientAt(1), flagACK); err != nil {
			t.Fatal(err)
		}
	}
	small, missed, err := b.Announcements(t.Context(), make([]lvs.Connection, 0, 10))
	if err != nil || len(small) != 10 || missed < more || missed > more+1 {
		t.Errorf("%d announcements and %d missed, %v; want 10 and %d", len(small), missed, err, more)
	}
	rest, missed := b.unread(t)
	if len(rest)+10 < room-1 || missed != 0 {
		t.Errorf("then %d and %d missed, of %d", len(rest), missed, room)
	}
	if err := b.segment(clientAt(1), flagACK); err != nil {
		t.Fatal(err)
	}
	d := b.server()
	d.rec.Generation++
	if cs, _ := b.unread(t); len(cs) != 0 {
		t.Errorf("announced of a server that is gone: %+v", cs)
	}
	d.rec.Generation--
	if err := b.segment(clientAt(1), flagACK); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*lvs.SyncRules{nil, rules} {
		if err := b.SetSync(r); err != nil {
			t.Fatal(err)
		}
	}
	if cs, _ := b.unread(t); len(cs) != 0 {
		t.Errorf("old news after a new beginning: %+v", cs)
	}
}

// A reader that waits is woken by news, and by the end of its context.
func TestAnnouncementsWait(t *testing.T) {
	b := syncBench(t, lvs.DR)
	if err := b.SetSync(&lvs.SyncRules{AtOnce: true}); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		n   int
		err error
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	got := make(chan answer)
	go func() {
		for range 2 {
			cs, _, err := b.Announcements(ctx, make([]lvs.Connection, 0, 8))
			got <- answer{len(cs), err}
		}
	}()
	for _, flags := range []byte{flagSYN, flagACK} {
		if err := b.segment(clientAt(1), flags); err != nil {
			t.Fatal(err)
		}
	}
	if a := <-got; a.n != 1 || a.err != nil {
		t.Errorf("woken with %+v", a)
	}
	cancel()
	if a := <-got; a.n != 0 || a.err != nil {
		t.Errorf("ended with %+v", a)
	}
}

// A walk finds every connection that was there all the time, at most in steps
// of the buffer's size, while others come and go.
func TestWalkWhileTableChanges(t *testing.T) {
	b := syncBench(t, lvs.NAT)
	const steady, passing = 4000, 2000
	for i := range steady {
		if err := b.segment(clientAt(i), flagSYN); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			c := clientAt(steady + i%passing)
			if err := b.segment(c, flagSYN); err != nil {
				t.Error(err)
				return
			}
			key := prog.Flow{Src: prog.Addr4(c.Addr()), Dst: prog.Addr4(b.vip), Sport: prog.Port(c.Port()), Dport: prog.Port(80), Proto: 6}
			if e := b.obj.mem.find(&key); e != nil {
				atomic.StoreUint32(&e.Timeout, 0)
			}
			if i%100 == 0 {
				if err := b.scanSlice(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for _, room := range []int{0, 1, 100, 5000} {
		seen := map[netip.AddrPort]bool{}
		cursor, calls := uint32(0), 0
		for ; calls == 0 || cursor != 0; calls++ {
			cs, next, err := b.Walk(cursor, make([]lvs.Connection, 0, room))
			if err != nil {
				t.Fatal(err)
			}
			if len(cs) > room+prog.Ways {
				t.Fatalf("%d connections in a buffer of %d", len(cs), room)
			}
			for _, c := range cs {
				seen[c.Client] = true
			}
			cursor = next
		}
		for i := range steady {
			if !seen[clientAt(i)] {
				t.Errorf("in steps of %d, client %d was not seen", room, i)
				break
			}
		}
	}
	stop.Store(true)
	wg.Wait()
}

// The stash is walked too, last.
func TestWalkStash(t *testing.T) {
	b := syncBench(t, lvs.DR)
	room := len(b.obj.mem.conns) * prog.Ways
	n := 0
	for ; n < 2*room && !b.scan.stashed(); n++ {
		for _, flags := range []byte{flagSYN, flagACK} {
			if err := b.segment(clientAt(n), flags); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		var keys []prog.Flow
		var key prog.Flow
		var e prog.Conn
		for it := b.obj.maps["stash"].Iterate(); it.Next(&key, &e); {
			keys = append(keys, key)
		}
		for _, k := range keys {
			if err := b.obj.maps["stash"].Delete(&k); err != nil {
				t.Error(err)
			}
		}
		atomic.StoreInt32(&b.obj.mem.runtime.StashCount, 0)
	})
	if !b.scan.stashed() {
		t.Fatalf("nothing in the stash after %d connections for %d ways", n, room)
	}
	seen := map[netip.AddrPort]bool{}
	for cursor, first := uint32(0), true; first || cursor != 0; first = false {
		cs, next, err := b.Walk(cursor, make([]lvs.Connection, 0, 1000))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cs {
			seen[c.Client] = true
		}
		cursor = next
	}
	if len(seen) != n {
		t.Errorf("%d of %d connections in the walk", len(seen), n)
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
