package connsync_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func announcer(rate, queue int) *connsync.Announcer {
	return connsync.NewAnnouncer(connsync.AnnouncerSpec{SyncID: 1, MaxLen: connsync.DefaultLen4, Rate: rate, QueueLen: queue, Life: 1, CatchUp: 8848})
}

func TestBeaconEachSecondOfSilence(t *testing.T) {
	a := announcer(1000, 10)
	beacons := 0
	for ms := range 10_000 {
		if b := a.Next(start.Add(time.Duration(ms)*time.Millisecond), 7, nil, false); b != nil {
			beacons++
			tr, _, ok := connsync.ParseTrailer(b)
			r, err := connsync.Read(b)
			if !ok || err != nil || r.Count != 0 || tr != (connsync.Trailer{Sender: 1, Seq: uint64(beacons), Entries: 7, CatchUp: 8848}) {
				t.Fatalf("beacon %+v, %v, header %+v", tr, err, r.Header)
			}
		}
	}
	if beacons != 10 {
		t.Errorf("%d beacons in 10 s", beacons)
	}
}

// TestAnnouncerSimulation offers connections at random and lets the announcer
// send as its driver does: at most at the rate, in order, none lost that is not
// counted.
func TestAnnouncerSimulation(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 2))
		rate, queue := 1000+rng.IntN(20_000), 1+rng.IntN(20)
		a := announcer(rate, queue)
		backup := connsync.NewBackup(connsync.BackupSpec{SyncID: 1})
		backup.SetRole(start, true)
		var got []lvs.Connection
		offered, now := 0, start
		for range 3000 {
			now = now.Add(max(min(a.Wait(now), 10*time.Millisecond), time.Microsecond))
			if rng.IntN(4) == 0 {
				for range rng.IntN(200) {
					c := kept(offered, time.Minute)
					a.Add(&c)
					offered++
				}
				a.Cut()
			}
			for b := a.Next(now, 0, nil, false); b != nil; b = a.Next(now, 0, nil, false) {
				got = backup.Take(now, peerA, b, got)
			}
			if limit := float64(rate)*(now.Sub(start).Seconds()+0.02) + connsync.MaxCount; float64(len(got)) > limit {
				t.Fatalf("seed %d: %d connections after %s at a rate of %d", seed, len(got), now.Sub(start), rate)
			}
		}
		a.Cut()
		for b := a.Next(now, 0, nil, true); b != nil; b = a.Next(now, 0, nil, true) {
			got = backup.Take(now, peerA, b, got)
		}
		if uint64(offered) != uint64(len(got))+a.Dropped || a.Connections != uint64(len(got)) || a.Queued() != 0 {
			t.Fatalf("seed %d: %d offered, %d sent and %d dropped, %d counted", seed, offered, len(got), a.Dropped, a.Connections)
		}
		for i := 1; i < len(got); i++ {
			if !got[i-1].Client.Addr().Less(got[i].Client.Addr()) {
				t.Fatalf("seed %d: out of order", seed)
			}
		}
		if owed := a.NextWalk(now) == connsync.WalkTable; owed != (a.Dropped > 0) {
			t.Fatalf("seed %d: %d dropped, whole table owed: %v", seed, a.Dropped, owed)
		}
	}
}

func TestWalks(t *testing.T) {
	a := announcer(1_000_000, 10)
	if w := a.NextWalk(start); w != connsync.WalkNone {
		t.Fatalf("nothing is owed, and walk %d is due", w)
	}
	a.OweKept()
	if w := a.NextWalk(start); w != connsync.WalkKept {
		t.Fatalf("kept ones are owed, and walk %d is due", w)
	}
	a.Walked(start, 0, true)
	a.Miss(3)
	if w := a.NextWalk(start); w != connsync.WalkTable {
		t.Fatalf("the table is owed, and walk %d is due", w)
	}
	a.Walked(start, 1000, false)
	if w := a.NextWalk(start.Add(9 * time.Millisecond)); w != connsync.WalkNone {
		t.Fatalf("1,000 connections are 10 ms at the rate of a walk, and the next part is due after 9")
	}
	c := kept(1, time.Minute)
	a.Add(&c)
	a.Cut()
	if w := a.NextWalk(start.Add(time.Second)); w != connsync.WalkNone {
		t.Fatal("a walk goes on while changes wait")
	}
	for a.Next(start.Add(time.Second), 0, nil, true) != nil {
	}
	now := start.Add(time.Second)
	if w := a.NextWalk(now); w != connsync.WalkTable {
		t.Fatalf("walk %d is due", w)
	}
	a.Walked(now, 10, true)
	if w := a.NextWalk(now.Add(time.Second)); w != connsync.WalkKept {
		t.Fatalf("behind the table walk %d is due", w)
	}
	a.Walked(now.Add(time.Second), 0, true)
	a.Miss(1)
	if a.NextWalk(now.Add(9*time.Second)) != connsync.WalkNone || a.NextWalk(now.Add(10*time.Second)) != connsync.WalkTable {
		t.Error("walks of the table are not 10 s apart")
	}
}

func TestMixedFamiliesAreUnfit(t *testing.T) {
	a := announcer(1000, 10)
	c := kept(1, time.Minute)
	c.Destination = conn("[fd00::1]:1").Client
	a.Add(&c)
	if a.Unfit != 1 || a.Dropped != 0 || a.NextWalk(start) != connsync.WalkNone {
		t.Errorf("unfit %d, dropped %d", a.Unfit, a.Dropped)
	}
}

func TestSendingDoesNotAllocate(t *testing.T) {
	a := announcer(1_000_000_000, 100)
	c, now := kept(1, time.Minute), start
	round := func() {
		for range 400 {
			a.Add(&c)
		}
		a.Cut()
		now = now.Add(time.Millisecond)
		for a.Next(now, 0, nil, false) != nil {
		}
	}
	round()
	if n := testing.AllocsPerRun(100, round); n > 1 {
		t.Errorf("%v allocations for 400 connections", n)
	}
}

func BenchmarkAnnouncer(b *testing.B) {
	a := announcer(1_000_000_000, 100)
	c, now := kept(1, time.Minute), start
	b.ReportAllocs()
	for i := range b.N {
		a.Add(&c)
		if i%40 == 39 {
			now = now.Add(time.Millisecond)
			a.Next(now, 0, nil, false)
		}
	}
}
