package xdp

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// pass runs one whole pass of the scanner.
func (b *bench) pass(t *testing.T) {
	t.Helper()
	for pass := b.scan.pass; b.scan.pass == pass; {
		if err := b.scanSlice(); err != nil {
			t.Fatal(err)
		}
	}
}

// connect opens n connections to one service of one server, by method.
func (b *bench) connect(t *testing.T, method lvs.Method, n int) *dest {
	t.Helper()
	svc := lvs.ServiceSet{Service: lvs.Service{
		ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: b.vip, Port: 80}, Scheduler: lvs.RR,
	}, Destinations: []lvs.Destination{{Addr: netip.MustParseAddr("198.51.100.1"), Port: 8080, Method: method, Weight: 1}}}
	if err := b.Set([]lvs.ServiceSet{svc}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 1024)
		if _, ok, err := b.syn(client); err != nil || !ok {
			t.Fatalf("connection %d: %v, %v", i, ok, err)
		}
	}
	return b.tab.services[svc.ServiceKey].dests[0]
}

// entries visits every way that is in use.
func (b *bench) entries(f func(loc uint32, tag *uint32, e *prog.Conn)) {
	for i := range b.obj.mem.conns {
		for w := range prog.Ways {
			if s := &b.obj.mem.conns[i]; s.Tag[w] != prog.TagFree {
				f(prog.Locator(uint32(i), w), &s.Tag[w], &s.Way[w])
			}
		}
	}
}

func (b *bench) used() (n int) {
	b.entries(func(uint32, *uint32, *prog.Conn) { n++ })
	return n
}

func TestScannerExpires(t *testing.T) {
	b := newBench(t)
	d := b.connect(t, lvs.NAT, 100)
	c := &b.obj.mem.counts[d.slot]
	b.pass(t)
	if c.Active != 100 || c.Inactive != 0 || b.scan.lastEntries != 100 || b.used() != 200 {
		t.Fatalf("%d active, %d inactive, %d entries seen, %d ways used; want 100, 0, 100 and 200 with the replies'", c.Active, c.Inactive, b.scan.lastEntries, b.used())
	}
	expired := 0
	b.entries(func(_ uint32, _ *uint32, e *prog.Conn) {
		if e.State&prog.WordReply == 0 && expired < 40 {
			e.Last -= e.Timeout + 1
			expired++
		}
	})
	if n := len(b.connections()); n != 60 {
		t.Errorf("%d connections are listed before the scan, want 60", n)
	}
	b.pass(t)
	if c.Active != 60 || c.Inactive != 0 || b.used() != 120 {
		t.Errorf("after the expiry of 40: %d active, %d inactive, %d ways used", c.Active, c.Inactive, b.used())
	}
	// A raised generation makes the rest dead at once.
	b.tab.dests[d.slot].rec.Generation++
	b.pass(t)
	if c.Active != 0 || b.used() != 0 {
		t.Errorf("after the change of generation: %d active, %d ways used", c.Active, b.used())
	}
}

func TestScannerKeepsOverloadTrue(t *testing.T) {
	b := newBench(t)
	d := b.connect(t, lvs.DR, 10)
	c := &b.obj.mem.counts[d.slot]
	svc := d.svc.want
	svc.Destinations = []lvs.Destination{svc.Destinations[0]}
	svc.Destinations[0].UpperThreshold = 8
	if err := b.Set([]lvs.ServiceSet{svc}); err != nil {
		t.Fatal(err)
	}
	if c.Flags&prog.DcountOverload == 0 {
		t.Fatal("10 connections under a new limit of 8 are no overload")
	}
	expire := func(n int) {
		b.entries(func(_ uint32, _ *uint32, e *prog.Conn) {
			if n > 0 {
				e.Last -= e.Timeout + 1
				n--
			}
		})
		b.pass(t)
	}
	expire(4) // 6 left, not below three quarters of 8
	if c.Flags&prog.DcountOverload == 0 {
		t.Error("overload ended at 6 of 8")
	}
	expire(1)
	if c.Flags&prog.DcountOverload != 0 {
		t.Error("overload goes on at 5 of 8")
	}
}

// What a process leaves that dies in the middle of a step is put right: the
// way comes free and the counts are exact again.
func TestScannerRepairs(t *testing.T) {
	b := newBench(t)
	d := b.connect(t, lvs.NAT, 10)
	c := &b.obj.mem.counts[d.slot]
	n := 0
	b.entries(func(_ uint32, tag *uint32, e *prog.Conn) {
		if e.State&prog.WordReply != 0 {
			return
		}
		switch n++; n {
		case 1: // died after winning the state, before the counts
			e.State |= prog.StateDead
		case 2: // claimed and forgotten
			*tag = prog.TagClaimed
		case 3: // published, never confirmed
			e.State |= prog.Tentative
		}
	})
	for range 3 {
		b.pass(t)
	}
	if b.scan.repaired != 3 || b.used() != 14 {
		t.Errorf("%d ways repaired, %d in use; want 3, and 14 for 7 connections: their replies' too are freed", b.scan.repaired, b.used())
	}
	for range suspicions + 1 {
		b.pass(t)
	}
	if c.Active != 7 || c.Inactive != 0 {
		t.Errorf("counts are %d and %d after the audit, want 7 and 0", c.Active, c.Inactive)
	}
	// Counts that are wrong both ways at once.
	atomic.AddInt32(&c.Active, -3)
	atomic.AddInt32(&c.Inactive, 5)
	for range suspicions + 2 {
		b.pass(t)
	}
	if c.Active != 7 || c.Inactive != 0 {
		t.Errorf("counts are %d and %d after the audit, want 7 and 0", c.Active, c.Inactive)
	}
}

func TestRemovedSlotWaitsForItsEntries(t *testing.T) {
	b := newBench(t)
	d := b.connect(t, lvs.DR, 3)
	if err := b.Set(nil); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		b.pass(t)
	}
	if b.Draining() != 1 {
		t.Fatal("the slot of a server with connections was freed")
	}
	generation := d.rec.Generation
	b.entries(func(_ uint32, _ *uint32, e *prog.Conn) { e.Last -= e.Timeout + 1 })
	for range 4 {
		b.pass(t)
	}
	if b.Draining() != 0 || b.tab.dests[d.slot] != nil {
		t.Fatal("the slot of a drained server is kept")
	}
	if e := b.connect(t, lvs.DR, 1); e.slot != d.slot || e.rec.Generation <= generation {
		t.Errorf("the next server has slot %d, generation %d; want %d and more than %d", e.slot, e.rec.Generation, d.slot, generation)
	}
}

// The table's own time: what Connections says of a fresh entry.
func TestExpiryIsInSeconds(t *testing.T) {
	b := newBench(t)
	if err := b.SetTimeouts(lvs.Timeouts{TCP: time.Hour, UDP: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if err := b.SetTimeouts(lvs.Timeouts{TCP: -1}); err == nil {
		t.Error("a negative timeout is accepted")
	}
	b.connect(t, lvs.DR, 1)
	cs := b.connections()
	if len(cs) != 1 || cs[0].State != lvs.StateSynRecv || cs[0].Expires > time.Minute || cs[0].Expires < 50*time.Second {
		t.Errorf("connections %+v, want one in SYN_RECV with about a minute", cs)
	}
	if got := b.clock.duration(int32(b.obj.mem.settings.Timeouts[lvs.StateEstablished])); got < time.Hour-time.Second || got > time.Hour+time.Second {
		t.Errorf("the TCP timeout in force is %v", got)
	}
}
