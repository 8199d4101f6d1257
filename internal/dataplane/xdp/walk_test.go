package xdp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// A walk finds every connection that was there all the time, at most in steps
// of the buffer's size, while others come and go.
func TestWalkWhileTableChanges(t *testing.T) {
	b := syncBench(t, lvs.NAT)
	const steady, passing = 4000, 2000
	// Established: a half-open one gives way where both sets of another are full.
	for i := range steady {
		for _, flags := range []byte{flagSYN, flagACK} {
			if err := b.segment(clientAt(i), flags); err != nil {
				t.Fatal(err)
			}
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
