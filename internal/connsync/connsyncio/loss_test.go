package connsyncio_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func TestCutStreamIsResumed(t *testing.T) {
	t.Parallel()
	const n = 200_000
	l := segment(t, "a", "b")
	ta := newFake()
	ta.Change(connections(0, n)...)
	a := start(t, l.Host("a"), connsyncio.Spec{CatchUp: true}, ta, true, false)
	var cut sync.Once
	var fromStart atomic.Int32
	ta.walked = func(cursor uint32) {
		if cursor == 0 {
			fromStart.Add(1)
		}
		if cursor > n/2 {
			cut.Do(func() { a.CutStreams() })
		}
	}
	b := start(t, l.Host("b"), connsyncio.Spec{CatchUp: true}, newFake(), false, true)
	await(t, "the table is complete", 20*time.Second, func() bool {
		c := b.Status().CatchUp
		return c != nil && c.State == "complete"
	})
	if c := b.Status().CatchUp; b.table.len() != n || c.Have < n || c.Have > n+n/2 {
		t.Errorf("the table has %d of %d connections, catch-up %+v", b.table.len(), n, c)
	}
	if fromStart.Load() != 1 {
		t.Errorf("the table was walked from the start %d times, want once: the second stream goes on", fromStart.Load())
	}
}

func TestLossIsHealed(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	a := start(t, l.Host("a"), connsyncio.Spec{CatchUp: true}, newFake(), true, false)
	b := start(t, l.Host("b"), connsyncio.Spec{CatchUp: true}, newFake(), false, true)
	await(t, "the first catch-up is over", 10*time.Second, func() bool {
		c := b.Status().CatchUp
		return c != nil && c.State == "complete"
	})
	if err := b.host.AddDrop(lab.Drop{Incoming: true, Iface: iface, Protocol: 17, Port: 8848}); err != nil {
		t.Fatal(err)
	}
	a.table.Change(connections(0, 1000)...)
	await(t, "they are sent", 5*time.Second, func() bool { return a.Status().Sent.Connections == 1000 })
	if got := b.table.len(); got != 0 {
		t.Fatalf("%d connections came through", got)
	}
	if err := b.host.ClearDrops(); err != nil {
		t.Fatal(err)
	}
	await(t, "what was lost is fetched", 30*time.Second, func() bool { return b.table.len() == 1000 })
	if s := b.Status(); s.Received.Lost < 20 || s.Peers[0].Lost != s.Received.Lost {
		t.Errorf("%d datagrams are counted as lost, want at least the 25 that had connections", s.Received.Lost)
	}
	if c, ok := b.condition("sync-lost"); !ok {
		t.Errorf("no condition, got %+v", c)
	}
}

func TestFullQueueIsCountedAndHealed(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	a := start(t, l.Host("a"), connsyncio.Spec{Rate: 5000, QueueLen: 4}, newFake(), true, false)
	b := start(t, l.Host("b"), connsyncio.Spec{}, newFake(), false, true)
	b.hears(t, 1)
	a.table.Change(connections(0, 10_000)...)
	await(t, "announcements are dropped", 5*time.Second, func() bool { return a.Status().Sent.Dropped > 0 })
	await(t, "the whole table is announced", 30*time.Second, func() bool { return b.table.len() == 10_000 })
	if c, ok := a.condition("sync-missed"); !ok || c.What == "" {
		t.Errorf("condition %+v", c)
	}
}

func TestMissedChangesAreHealed(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	ta := newFake()
	ta.Change(connections(0, 5000)...) // nobody announces them
	a := start(t, l.Host("a"), connsyncio.Spec{}, ta, true, false)
	b := start(t, l.Host("b"), connsyncio.Spec{}, newFake(), false, true)
	b.hears(t, 1)
	ta.Miss(7)
	await(t, "the whole table is announced", 10*time.Second, func() bool { return b.table.len() == 5000 })
	if s := a.Status().Sent; s.Missed != 7 || s.Connections != 5000 {
		t.Errorf("sent %+v", s)
	}
}

func TestHalfOpenConnectionsAreNotAnnounced(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	ta := newFake()
	all := connections(0, 10)
	for i := range 5 {
		all[i].State = lvs.StateSynRecv
	}
	ta.Change(all...)
	start(t, l.Host("a"), connsyncio.Spec{}, ta, true, false)
	b := start(t, l.Host("b"), connsyncio.Spec{}, newFake(), false, true)
	b.hears(t, 1)
	ta.Miss(1)
	await(t, "the whole table is announced", 10*time.Second, func() bool { return b.table.len() == 5 })
	if _, ok := b.table.get(all[0].Client); ok {
		t.Error("a connection in SYN_RECV was announced")
	}
}

func TestStreamIsOlderThanWhatHappensMeanwhile(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	ta, tb := newFake(), newFake()
	all := connections(0, 10)
	ta.Change(all...)
	changed := all[5]
	changed.State, changed.Timeout = lvs.StateFinWait, 2*time.Minute
	var once sync.Once
	ta.walked = func(uint32) { once.Do(func() { tb.Change(changed) }) }
	start(t, l.Host("a"), connsyncio.Spec{CatchUp: true}, ta, true, false)
	b := start(t, l.Host("b"), connsyncio.Spec{CatchUp: true}, tb, false, true)
	await(t, "the catch-up is complete", 10*time.Second, func() bool {
		c := b.Status().CatchUp
		return c != nil && c.State == "complete"
	})
	if got, _ := tb.get(changed.Client); got.State != lvs.StateFinWait {
		t.Errorf("the stream has put it back to %s", got.StateName())
	}
	if s := b.Status().Received.Placements; s["stale"] != 1 {
		t.Errorf("placements %v", s)
	}
}
