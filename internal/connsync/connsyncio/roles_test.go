package connsyncio_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// slow is so slow that what is announced must wait.
var slow = connsyncio.Spec{Rate: 100}

func TestLeavingMasterAnnouncesWhatIsPending(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	b := start(t, l.Host("b"), slow, newFake(), false, true)
	a := start(t, l.Host("a"), slow, newFake(), true, false)
	b.hears(t, 1)
	a.table.Change(connections(0, 3000)...)
	a.SetRole(false, true)
	await(t, "all arrive, whatever the rate", 5*time.Second, func() bool { return b.table.len() == 3000 })
	await(t, "changes are not wanted any more", 5*time.Second, func() bool { return !a.table.announcing() })
	if s := a.Status(); s.Role != "backup" || s.Sent.Dropped != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestFlushReturnsWhenAllIsOnTheWire(t *testing.T) {
	t.Parallel()
	l := segment(t, "a")
	a := start(t, l.Host("a"), slow, newFake(), true, false)
	await(t, "the interface is open", 5*time.Second, func() bool { return a.Status().Sent.Datagrams > 0 })
	a.table.Change(connections(0, 3000)...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if s := a.Status().Sent; s.Connections != 3000 || s.Waiting != 0 {
		t.Errorf("after the flush: sent %+v", s)
	}
	a.SetRole(false, false)
	if err := a.Flush(ctx); err != nil {
		t.Errorf("flush without a role: %v", err)
	}
}

func TestHandOverTellsOfConnectionsBeingSetUp(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	b := start(t, l.Host("b"), slow, newFake(), false, true)
	a := start(t, l.Host("a"), slow, newFake(), true, false)
	b.hears(t, 1)
	half := connections(0, 3000)
	for i := range half {
		half[i].State = lvs.StateSynRecv
	}
	if err := a.table.Inject(half, make([]lvs.Placement, len(half)), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Flush(ctx); err != nil || a.Status().Sent.Connections != 0 {
		t.Fatalf("flush: %v, sent %+v", err, a.Status().Sent)
	}
	if err := a.HandOver(ctx); err != nil {
		t.Fatal(err)
	}
	await(t, "all arrive", 5*time.Second, func() bool { return b.table.len() == 3000 })
	if r := a.table.ruling(); !r.HalfOpen {
		t.Errorf("rules %+v, want those that come announced too", r)
	}
}

func TestStoppingMasterAnnouncesWhatIsPending(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	b := start(t, l.Host("b"), slow, newFake(), false, true)
	a := start(t, l.Host("a"), slow, newFake(), true, false)
	b.hears(t, 1)
	a.table.Change(connections(0, 3000)...)
	a.stop()
	await(t, "all arrive", 5*time.Second, func() bool { return b.table.len() == 3000 })
}

func TestRolesChangePlaces(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	spec := connsyncio.Spec{CatchUp: true}
	a := start(t, l.Host("a"), spec, newFake(), true, false)
	b := start(t, l.Host("b"), spec, newFake(), false, true)
	b.hears(t, 1)
	a.table.Change(connections(0, 100)...)
	await(t, "b has what a announced", 10*time.Second, func() bool { return b.table.len() == 100 })
	a.SetRole(false, true)
	b.SetRole(true, false)
	await(t, "b announces", 5*time.Second, b.table.announcing)
	b.table.Change(connections(1000, 100)...)
	await(t, "a has what b announced", 10*time.Second, func() bool { return a.table.len() == 200 })
	if _, two := b.condition("sync-two-masters"); two {
		t.Error("a failover is taken for two masters")
	}
}

func TestBothRolesOnBothSides(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	spec := connsyncio.Spec{CatchUp: true, Secret: "s"}
	ta, tb := newFake(), newFake()
	ta.Change(connections(0, 1000)...)
	tb.Change(connections(5000, 1000)...)
	a := start(t, l.Host("a"), spec, ta, true, true)
	b := start(t, l.Host("b"), spec, tb, true, true)
	await(t, "each has the connections of both", 10*time.Second, func() bool { return ta.len() == 2000 && tb.len() == 2000 })
	if r := a.Status().Role; r != "master and backup" {
		t.Errorf("role %q", r)
	}
	if c, two := b.condition("sync-two-masters"); two {
		t.Errorf("condition %+v, though both are meant to announce", c)
	}
}

func TestTwoMastersAreACondition(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b", "c")
	a := start(t, l.Host("a"), connsyncio.Spec{}, newFake(), true, false)
	start(t, l.Host("b"), connsyncio.Spec{}, newFake(), true, false)
	c := start(t, l.Host("c"), connsyncio.Spec{}, newFake(), false, true)
	for name, d := range map[string]*director{"this director and 192.0.2.2": a, "192.0.2.1 and 192.0.2.2": c} {
		await(t, "the condition "+name, 15*time.Second, func() bool {
			cond, ok := d.condition("sync-two-masters")
			return ok && strings.HasPrefix(cond.What, name)
		})
	}
}

func TestKeptConnections(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b", "c")
	spec := connsyncio.Spec{CatchUp: true}
	a := start(t, l.Host("a"), spec, newFake(), true, false)
	tb := newFake()
	missing := lvs.NoService
	tb.place = func(c *lvs.Connection) lvs.Placement { return missing }
	b := start(t, l.Host("b"), spec, tb, false, true)
	b.hears(t, 1)
	all := connections(0, 100)
	a.table.Change(all...)
	await(t, "100 are kept", 10*time.Second, func() bool { return b.Status().Kept["no-service"] == 100 })
	if cond, ok := b.condition("sync-kept"); !ok || !strings.Contains(cond.What, "server 192.0.2.201:80 of service 192.0.2.100:80") {
		t.Errorf("condition %+v", cond)
	}
	listed := slices.Collect(b.Kept)
	if len(listed) != 100 || listed[0].Expires <= 0 || listed[0].Expires > 15*time.Minute || listed[0].Destination != all[0].Destination {
		t.Errorf("%d are listed, one of them %+v", len(listed), listed[0])
	}

	// As master it passes them on: to who hears it, and to who comes late.
	a.SetRole(false, true)
	b.SetRole(true, false)
	await(t, "a hears the kept ones", 10*time.Second, func() bool { return a.Status().Received.Connections >= 100 })
	c := start(t, l.Host("c"), spec, newFake(), false, true)
	await(t, "c has fetched the kept ones", 10*time.Second, func() bool { return c.table.len() == 100 })

	tb.mu.Lock()
	missing = lvs.Placed
	tb.mu.Unlock()
	b.ServicesChanged()
	await(t, "the kept ones are placed", 10*time.Second, func() bool { return tb.len() == 100 && len(b.Status().Kept) == 0 })
}

func TestFullTableIsTriedAgain(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	a := start(t, l.Host("a"), connsyncio.Spec{}, newFake(), true, false)
	tb := newFake()
	full := true
	tb.place = func(*lvs.Connection) lvs.Placement {
		if full {
			return lvs.TableFull
		}
		return lvs.Placed
	}
	b := start(t, l.Host("b"), connsyncio.Spec{}, tb, false, true)
	b.hears(t, 1)
	a.table.Change(connections(0, 10)...)
	await(t, "there is no room", 5*time.Second, func() bool { return b.Status().Kept["table-full"] == 10 })
	tb.mu.Lock()
	full = false
	tb.mu.Unlock()
	await(t, "there is room again", 15*time.Second, func() bool { return tb.len() == 10 && len(b.Status().Kept) == 0 })
}

func TestInterfaceComesAndGoes(t *testing.T) {
	t.Parallel()
	l := segment(t, "a")
	a := start(t, l.Host("a"), connsyncio.Spec{Interface: "sync7"}, newFake(), true, false)
	await(t, "the interface is missed", 5*time.Second, func() bool { return strings.Contains(a.Status().Trouble, "sync7") })
	if c, ok := a.condition("sync-trouble"); !ok || c.Fix == "" {
		t.Errorf("condition %+v", c)
	}
	a.table.Change(connections(0, 1)...)
	if err := a.Flush(t.Context()); err == nil {
		t.Error("a flush without an interface is done")
	}
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "sync7"}, PeerName: "sync8"}
	create := func() error {
		if err := netlink.LinkAdd(link); err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("198.51.100.1/24")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
		return netlink.LinkSetUp(link)
	}
	for range 2 {
		if err := a.host.Do(create); err != nil {
			t.Fatal(err)
		}
		before := a.Status().Sent.Datagrams
		await(t, "it announces on the interface", 10*time.Second, func() bool {
			s := a.Status()
			return s.Trouble == "" && s.Sent.Datagrams > before
		})
		if err := a.host.Do(func() error { return netlink.LinkDel(link) }); err != nil {
			t.Fatal(err)
		}
		await(t, "the interface is missed again", 10*time.Second, func() bool { return a.Status().Trouble != "" })
	}
}
