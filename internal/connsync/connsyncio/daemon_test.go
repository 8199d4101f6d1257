package connsyncio_test

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// director is one daemon with its table on a host of a lab.
type director struct {
	*connsyncio.Daemon
	table *fakeTable
	host  *lab.Host
	stop  func()
}

const iface = "eth0"

// segment is a lab of directors "a", "b", ... on one segment.
func segment(t testing.TB, names ...string) *lab.Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	top := lab.Topology{Segments: []lab.SegmentSpec{{Name: "lan"}}}
	for i, name := range names {
		n := string(rune('1' + i))
		top.Hosts = append(top.Hosts, lab.HostSpec{
			Name: name, Ifaces: []lab.IfaceSpec{{Name: iface, Segment: "lan", Addrs: []string{"192.0.2." + n + "/24", "fd00::" + n + "/64"}}},
			Sysctls: map[string]string{"net.ipv6.conf.default.accept_dad": "0", "net.ipv6.conf.all.accept_dad": "0"},
		})
	}
	l, err := lab.Build(top, lab.Options{Name: strings.NewReplacer("/", " ").Replace(t.Name())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// start runs a daemon on a host until the test ends, or stop.
func start(t testing.TB, h *lab.Host, spec connsyncio.Spec, table *fakeTable, master, backup bool) *director {
	t.Helper()
	d := startTable(t, h, spec, table, master, backup)
	d.table = table
	if master {
		await(t, "the master announces", 10*time.Second, table.announcing)
	}
	return d
}

func startTable(t testing.TB, h *lab.Host, spec connsyncio.Spec, table connsyncio.Table, master, backup bool) *director {
	t.Helper()
	if spec.Interface == "" {
		spec.Interface = iface
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("director", h.Name())
	}
	d, err := connsyncio.New(spec, table, log)
	if err != nil {
		t.Fatal(err)
	}
	d.Within(h.Do)
	d.SetRole(master, backup)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return &director{Daemon: d, host: h, stop: stop}
}

func await(t testing.TB, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(limit); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// hears waits until a director has heard n others.
func (d *director) hears(t testing.TB, n int) {
	t.Helper()
	await(t, "the others are heard", 10*time.Second, func() bool { return len(d.Status().Peers) >= n })
}

func (d *director) condition(code string) (snapshot.Condition, bool) {
	for _, c := range d.Conditions(time.Now()) {
		if c.Code == code {
			return c, true
		}
	}
	return snapshot.Condition{}, false
}

func TestAnnouncedConnectionsArrive(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]connsyncio.Spec{
		"default":    {},
		"IPv6 group": {Group: netip.MustParseAddr("ff02::81"), Port: 8860},
		"IPv6 wide":  {Group: netip.MustParseAddr("ff05::81")},
		"keyed":      {Secret: "secret", SyncID: 51},
		"IPv6 keyed": {Group: netip.MustParseAddr("ff02::81"), Secret: "secret"},
		"fragments":  {MaxLen: 9000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec.CatchUp = true
			l := segment(t, "a", "b")
			b := start(t, l.Host("b"), spec, newFake(), false, true)
			a := start(t, l.Host("a"), spec, newFake(), true, false)
			b.hears(t, 1)
			await(t, "the first catch-up is over", 10*time.Second, func() bool {
				c := b.Status().CatchUp
				return c != nil && c.State == "complete"
			})
			want := connections(0, 500)
			a.table.Change(want...)
			await(t, "500 connections arrive", 5*time.Second, func() bool { return b.table.len() == 500 })
			for i := range want {
				want[i].Synced = true
			}
			expected := newFake()
			expected.Change(want...)
			if got, want := b.table.String(), expected.String(); got != want {
				t.Errorf("the backup has\n%s\nwant\n%s", got[:200], want[:200])
			}
			s, r := a.Status(), b.Status()
			if s.Sent.Connections != 500 || r.Received.Connections != 500 || r.Received.Placements["placed"] != 500 {
				t.Errorf("sent %+v, received %+v", s.Sent, r.Received)
			}
			if p := r.Peers[0]; !p.Kaname || p.Keyed != (spec.Secret != "") || p.Connections != 500 || p.SyncID != spec.SyncID {
				t.Errorf("peer %+v", p)
			}
		})
	}
}

func TestLateBackupFetchesTheTable(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]connsyncio.Spec{
		"plain": {CatchUp: true}, "keyed": {CatchUp: true, Secret: "secret"}, "IPv6": {CatchUp: true, Group: netip.MustParseAddr("ff02::81"), CatchUpPort: 9000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 100_000
			l := segment(t, "a", "b")
			a := start(t, l.Host("a"), spec, newFake(), true, false)
			a.table.Change(connections(0, n)...)
			await(t, "all is announced to nobody", 10*time.Second, func() bool { return a.Status().Sent.Connections == n })
			b := start(t, l.Host("b"), spec, newFake(), false, true)
			await(t, "the table is complete", 20*time.Second, func() bool {
				c := b.Status().CatchUp
				return c != nil && c.State == "complete"
			})
			c := b.Status().CatchUp
			if c.Have != n || c.Want != n || b.table.len() != n || c.Error != "" {
				t.Errorf("catch-up %+v, the table has %d of %d", c, b.table.len(), n)
			}
			if got, _ := b.table.get(connections(7, 1)[0].Client); got.Expires != 10*time.Minute || got.Timeout != 15*time.Minute {
				t.Errorf("a fetched connection lives for %s of %s", got.Expires, got.Timeout)
			}
		})
	}
}
