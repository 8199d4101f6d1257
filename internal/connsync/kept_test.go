package connsync_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// kept makes the connection of one client.
func kept(client int, expires time.Duration) lvs.Connection {
	c := conn(fmt.Sprintf("10.%d.%d.%d:4000", client>>16&255, client>>8&255, client&255))
	l := c.Connection()
	l.Expires = expires
	return l
}

func list(k *connsync.Kept, now time.Time) map[netip.AddrPort]lvs.Connection {
	out := map[netip.AddrPort]lvs.Connection{}
	buf := make([]lvs.Connection, 0, 7)
	for cursor := uint32(0); ; {
		var part []lvs.Connection
		part, cursor = k.Walk(now, cursor, buf[:0])
		for _, c := range part {
			out[c.Client] = c
		}
		if cursor == 0 {
			return out
		}
	}
}

func TestKeptIsWhatWasPut(t *testing.T) {
	k := connsync.NewKept(10)
	one := kept(1, time.Minute)
	six := one
	six.Client, six.Virtual = netip.MustParseAddrPort("[fd00::1]:1"), netip.MustParseAddrPort("[fd00::2]:2")
	six.Destination, six.Method, six.FWMark, six.Template = netip.MustParseAddrPort("[fd00::3]:3"), lvs.TUN, 7, true
	for _, c := range []lvs.Connection{one, six} {
		k.Put(start, &c, lvs.NoService, 1)
		got := list(k, start.Add(10*time.Second))[c.Client]
		c.Expires -= 10 * time.Second
		if diff := cmp.Diff(c, got, addrs); diff != "" {
			t.Errorf("(-put +listed):\n%s", diff)
		}
	}

	newer, older := one, one
	newer.Destination, older.Destination = netip.MustParseAddrPort("192.0.2.9:9"), netip.MustParseAddrPort("192.0.2.8:8")
	k.Put(start, &newer, lvs.NoServer, 5)
	k.Put(start, &older, lvs.NoService, 4)
	if got := list(k, start)[one.Client]; got.Destination != newer.Destination || k.Count(lvs.NoServer) != 1 || k.Len() != 2 {
		t.Errorf("after newer and then older news: %+v", got)
	}
	k.Settle(&newer, lvs.TableFull)
	if k.Count(lvs.NoServer) != 0 || k.Count(lvs.TableFull) != 1 {
		t.Error("another reason is not counted")
	}
	k.Settle(&newer, lvs.Placed)
	if k.Len() != 1 || k.Count(lvs.TableFull) != 0 {
		t.Error("what is placed is still kept")
	}
}

func TestKeptIsBounded(t *testing.T) {
	k := connsync.NewKept(100)
	for i := range 150 {
		c := kept(i, time.Minute)
		k.Put(start, &c, lvs.TableFull, 0)
	}
	if k.Len() != 100 || k.Overflow() != 50 {
		t.Errorf("%d are kept, %d did not fit", k.Len(), k.Overflow())
	}
}

// TestKeptAgainstModel does random things to the store and to a map.
func TestKeptAgainstModel(t *testing.T) {
	type entry struct {
		dies time.Time
		why  lvs.Placement
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		k, model, now := connsync.NewKept(1<<20), map[netip.AddrPort]entry{}, start
		for range 20_000 {
			now = now.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
			c := kept(rng.IntN(12_000), time.Duration(rng.IntN(100_000))*time.Millisecond)
			switch rng.IntN(6) {
			case 0:
				k.Settle(&c, lvs.Placed)
				delete(model, c.Client)
			case 1:
				k.Expire(now, rng.IntN(100))
			default:
				why := lvs.NoService + lvs.Placement(rng.IntN(5))
				k.Put(now, &c, why, 0)
				model[c.Client] = entry{now.Add(c.Expires), why}
			}
		}
		got := list(k, now)
		for client, e := range model {
			c, ok := got[client]
			if alive := e.dies.After(now); ok != alive || alive && c.Expires != e.dies.Sub(now) {
				t.Fatalf("seed %d: %s: listed %v with %s, want %v with %s", seed, client, ok, c.Expires, alive, e.dies.Sub(now))
			}
			delete(got, client)
		}
		if len(got) > 0 {
			t.Fatalf("seed %d: %d are listed that were never put", seed, len(got))
		}
		k.Expire(now.Add(time.Hour), 1<<20)
		if k.Len() != 0 {
			t.Fatalf("seed %d: %d are left after their time", seed, k.Len())
		}
		for p := range lvs.NumPlacements {
			if k.Count(p) != 0 {
				t.Fatalf("seed %d: %d are counted as %s in an empty store", seed, k.Count(p), p)
			}
		}
	}
}

func TestKeptRetriesTheReasonsAskedFor(t *testing.T) {
	k := connsync.NewKept(1000)
	for i := range 100 {
		c := kept(i, time.Minute)
		k.Put(start, &c, lvs.NoService+lvs.Placement(i%2), uint32(1000-i))
	}
	seen := 0
	for cursor := uint32(0); ; {
		part, next, mark := k.Retry(start, cursor, make([]lvs.Connection, 0, 16), func(p lvs.Placement) bool { return p == lvs.NoServer })
		for i := range part {
			if mark > uint32(1000-int(part[i].Client.Addr().As4()[3])) {
				t.Errorf("mark %d is newer than that of %s", mark, part[i].Client)
			}
			k.Settle(&part[i], lvs.Placed)
		}
		seen += len(part)
		if cursor = next; cursor == 0 {
			break
		}
	}
	if seen != 50 || k.Len() != 50 || k.Count(lvs.NoServer) != 0 {
		t.Errorf("%d were retried, %d are left", seen, k.Len())
	}
}

// BenchmarkKept prints the memory of a full store for each connection.
func BenchmarkKept(b *testing.B) {
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		k := connsync.NewKept(connsync.MaxKept)
		for i := range connsync.MaxKept {
			c := kept(i, time.Minute)
			k.Put(start, &c, lvs.NoService, 0)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(k.Len()), "bytes/kept")
	}
}
