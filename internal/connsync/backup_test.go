package connsync_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var (
	peerA = netip.MustParseAddr("192.0.2.1")
	peerB = netip.MustParseAddr("192.0.2.2")
)

// datagram is one of a kaname director with one connection.
func datagram(syncID uint8, key *connsync.Key, life, seq uint64) []byte {
	w := connsync.NewWriter(syncID, connsync.DefaultLen4, true, key)
	c := conn("10.0.0.1:4000")
	if err := w.Add(&c); err != nil {
		panic(err)
	}
	return w.Finish(connsync.Trailer{Sender: life, Seq: seq, Entries: 1000, CatchUp: 8848})
}

func newKey(t testing.TB, secret string) *connsync.Key {
	t.Helper()
	k, err := connsync.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func backup(spec connsync.BackupSpec) *connsync.Backup {
	b := connsync.NewBackup(spec)
	b.SetRole(start, true)
	return b
}

// reason is why a datagram was refused, ReasonNone if it was not.
func reason(b *connsync.Backup, now time.Time, from netip.Addr, d []byte) connsync.Reason {
	before := b.Refused
	b.Take(now, from, d, nil)
	for r, n := range b.Refused {
		if n != before[r] {
			return connsync.Reason(r)
		}
	}
	return connsync.ReasonNone
}

func TestOrderOfChecks(t *testing.T) {
	key, other := newKey(t, "right"), newKey(t, "wrong")
	kernel := func(syncID uint8) []byte {
		w := connsync.NewWriter(syncID, connsync.DefaultLen4, false, nil)
		c := conn("10.0.0.1:4000")
		if err := w.Add(&c); err != nil {
			t.Fatal(err)
		}
		return w.Finish(connsync.Trailer{})
	}
	for name, tt := range map[string]struct {
		spec connsync.BackupSpec
		d    []byte
		want connsync.Reason
	}{
		"short":                       {connsync.BackupSpec{}, []byte{0, 1}, connsync.ReasonShort},
		"size":                        {connsync.BackupSpec{}, append(kernel(0), 0), connsync.ReasonSize},
		"kernel":                      {connsync.BackupSpec{SyncID: 9}, kernel(9), connsync.ReasonNone},
		"other syncid":                {connsync.BackupSpec{SyncID: 9}, kernel(8), connsync.ReasonSyncID},
		"syncid 0 to a 9":             {connsync.BackupSpec{SyncID: 9}, kernel(0), connsync.ReasonSyncID},
		"a 0 takes all":               {connsync.BackupSpec{}, kernel(8), connsync.ReasonNone},
		"own":                         {connsync.BackupSpec{Self: 5, SyncID: 9}, datagram(8, nil, 5, 1), connsync.ReasonOwn},
		"syncid before auth":          {connsync.BackupSpec{SyncID: 9, Key: key}, kernel(8), connsync.ReasonSyncID},
		"kernel where a key is":       {connsync.BackupSpec{Key: key}, kernel(0), connsync.ReasonAuth},
		"unsigned where a key is":     {connsync.BackupSpec{Key: key}, datagram(0, nil, 1, 1), connsync.ReasonAuth},
		"wrong key":                   {connsync.BackupSpec{Key: key}, datagram(0, other.From(peerA), 1, 1), connsync.ReasonAuth},
		"signed for another address":  {connsync.BackupSpec{Key: key}, datagram(0, key.From(peerB), 1, 1), connsync.ReasonAuth},
		"signed":                      {connsync.BackupSpec{Key: key}, datagram(0, key.From(peerA), 1, 1), connsync.ReasonNone},
		"signed, and there is no key": {connsync.BackupSpec{}, datagram(0, key.From(peerA), 1, 1), connsync.ReasonNone},
	} {
		t.Run(name, func(t *testing.T) {
			b := backup(tt.spec)
			if got := reason(b, start, peerA, tt.d); got != tt.want {
				t.Errorf("reason %s, want %s", got, tt.want)
			}
			taken := uint64(0)
			if tt.want == connsync.ReasonNone {
				taken = 1
			}
			if b.Datagrams != 1 || b.Connections != taken {
				t.Errorf("%d datagrams, %d connections", b.Datagrams, b.Connections)
			}
		})
	}
}

func TestReplayWindow(t *testing.T) {
	key := newKey(t, "s")
	for name, k := range map[string]*connsync.Key{"keyed": key, "plain": nil} {
		t.Run(name, func(t *testing.T) {
			b := backup(connsync.BackupSpec{Key: k})
			var from *connsync.Key
			replay := connsync.ReasonNone // whoever can forge may do what he likes
			if k != nil {
				from, replay = k.From(peerA), connsync.ReasonReplay
			}
			for _, step := range []struct {
				life, seq uint64
				want      connsync.Reason
			}{
				{10, 100, connsync.ReasonNone},
				{10, 100, replay},
				{10, 99, replay}, // before the first that was heard
				{10, 103, connsync.ReasonNone},
				{10, 101, connsync.ReasonNone}, // late
				{10, 101, replay},
				{10, 102, connsync.ReasonNone},
				{10, 103 + 64, connsync.ReasonNone},
				{10, 103, replay},
				{10, 103 + 1, connsync.ReasonNone}, // the oldest of the window
				{10, 1 << 60, connsync.ReasonNone},
				{10, 200, replay},
				{9, 1, replay}, // an earlier life
				{11, 1, connsync.ReasonNone},
				{10, 1<<60 + 1, replay},
			} {
				if got := reason(b, start, peerA, datagram(0, from, step.life, step.seq)); got != step.want {
					t.Errorf("life %d, datagram %d: %s, want %s", step.life, step.seq, got, step.want)
				}
			}
		})
	}
}

// TestLossIsCounted sends numbered datagrams through a network that loses,
// repeats and reorders; what never came must be counted, and nothing else.
func TestLossIsCounted(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		b, now := backup(connsync.BackupSpec{}), start
		lost := uint64(0)
		var line []uint64
		for seq := uint64(1); seq <= 2000; seq++ {
			switch {
			case seq > 1 && seq < 1990 && rng.IntN(10) == 0:
				lost++
			case rng.IntN(10) == 0:
				line = append(line, seq, seq)
			default:
				line = append(line, seq)
			}
		}
		for i := 1; i+4 < len(line); i += 4 { // the first stays the first
			rng.Shuffle(4, func(x, y int) { line[i+x], line[i+y] = line[i+y], line[i+x] })
		}
		for _, seq := range line {
			now = now.Add(10 * time.Millisecond)
			b.Take(now, peerA, datagram(0, nil, 1, seq), nil)
			if rng.IntN(20) == 0 {
				b.Tick(now)
			}
		}
		b.Tick(now.Add(2 * time.Second))
		// A datagram that is late while others are given up counts as lost.
		if b.Lost < lost || b.Lost > lost+lost/10+5 {
			t.Errorf("seed %d: %d counted as lost, %d were", seed, b.Lost, lost)
		}
	}
}

// fetch is what is to be fetched at a moment.
func fetch(t *testing.T, b *connsync.Backup, now time.Time) (connsync.Fetch, bool) {
	t.Helper()
	b.Tick(now)
	return b.NextFetch(now)
}

func TestWhenToCatchUp(t *testing.T) {
	b := connsync.NewBackup(connsync.BackupSpec{CatchUp: true})
	now, seq := start, uint64(0)
	hear := func(life uint64) {
		seq++
		b.Take(now, peerA, datagram(0, nil, life, seq), nil)
	}
	none := func(why string) {
		t.Helper()
		if f, ok := fetch(t, b, now); ok {
			t.Fatalf("%s: %+v", why, f)
		}
	}
	due := func(why string) connsync.Fetch {
		t.Helper()
		f, ok := fetch(t, b, now)
		if !ok {
			t.Fatalf("%s: nothing is fetched", why)
		}
		return f
	}
	hear(1)
	none("it is no backup")
	b.SetRole(now, true)
	f := due("it became a backup")
	if f.From != netip.AddrPortFrom(peerA, 8848) || f.Life != 1 || f.Resume != (connsync.Cursor{}) {
		t.Errorf("fetch %+v", f)
	}
	none("one is running")
	at := connsync.Cursor{At: 77}
	b.Fetched(now, f, connsync.Proof{}, at, errors.New("cut"))
	none("a failure waits a second")
	now = now.Add(time.Second)
	hear(1)
	if f = due("the failure is tried again"); f.Resume != at {
		t.Errorf("it goes on at %+v, want %+v", f.Resume, at)
	}
	b.Fetched(now, f, connsync.Proof{}, at, errors.New("cut"))
	now = now.Add(time.Second)
	hear(1)
	none("the second failure waits two")
	now = now.Add(time.Second)
	hear(1)
	f = due("the failure is tried again")
	b.Fetched(now, f, connsync.Proof{}, connsync.Cursor{}, nil)
	none("it is complete")

	seq += 5
	hear(1)
	now = now.Add(time.Second)
	none("what is missing may be late")
	if hear(1); b.Lost != 5 {
		t.Errorf("%d are lost, want 5", b.Lost)
	}
	none("catch-ups for loss are 10 s apart")
	now = now.Add(4 * time.Second)
	hear(1)
	now = now.Add(4 * time.Second)
	hear(1)
	none("catch-ups for loss are 10 s apart")
	now = now.Add(time.Second)
	f = due("datagrams were lost")
	b.Fetched(now, f, connsync.Proof{}, connsync.Cursor{}, nil)

	now = now.Add(2 * time.Second)
	seq = 0
	hear(2)
	if f = due("a new life"); f.Life != 2 || f.Resume != (connsync.Cursor{}) {
		t.Errorf("fetch %+v", f)
	}
	b.Fetched(now, f, connsync.Proof{}, connsync.Cursor{}, nil)
	now = now.Add(20 * time.Second)
	none("it is silent")
	hear(2)
	f = due("it is back after a silence")
	b.Fetched(now, f, connsync.Proof{}, connsync.Cursor{}, errors.New("refused"))
	now = now.Add(6 * time.Second)
	none("nobody is asked who is not heard")

	hear(2)
	f = due("it is back")
	b.SetRole(now, false)
	b.Fetched(now, f, connsync.Proof{}, at, errors.New("no backup any more"))
	now = now.Add(time.Second)
	hear(2)
	none("it is no backup any more")
	b.SetRole(now, true)
	if f = due("it is a backup again"); f.Resume != (connsync.Cursor{}) {
		t.Errorf("it goes on at %+v, though it did not listen meanwhile", f.Resume)
	}
}

// TestClockPutBack is a keyed peer that restarts with an earlier clock: the
// stream's handshake proves its life.
func TestClockPutBack(t *testing.T) {
	key := newKey(t, "s")
	b := backup(connsync.BackupSpec{Key: key, CatchUp: true})
	from := key.From(peerA)
	b.Take(start, peerA, datagram(0, from, 100, 1), nil)
	f, _ := fetch(t, b, start)
	b.Fetched(start, f, connsync.Proof{Life: 100, Seq: 1}, connsync.Cursor{}, nil)

	now := start.Add(20 * time.Second)
	if r := reason(b, now, peerA, datagram(0, from, 50, 1)); r != connsync.ReasonReplay {
		t.Fatalf("an earlier life: %s", r)
	}
	f, ok := fetch(t, b, now)
	if !ok || !f.Verify {
		t.Fatalf("the life is not verified: %+v, %v", f, ok)
	}
	b.Fetched(now, f, connsync.Proof{Life: 50, Seq: 3}, connsync.Cursor{}, nil)
	if r := reason(b, now, peerA, datagram(0, from, 50, 3)); r != connsync.ReasonReplay {
		t.Errorf("a datagram from before the proof: %s", r)
	}
	if r := reason(b, now, peerA, datagram(0, from, 50, 4)); r != connsync.ReasonNone {
		t.Errorf("a datagram of the proven life: %s", r)
	}
	if r := reason(b, now, peerA, datagram(0, from, 99, 1)); r != connsync.ReasonNone {
		t.Errorf("a later life: %s", r)
	}
}

func TestForgedSendersAreBounded(t *testing.T) {
	b := backup(connsync.BackupSpec{SyncID: 1})
	for i := range 5000 {
		from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		b.Take(start.Add(time.Duration(i)*time.Millisecond), from, datagram(1, nil, uint64(i+1), 1), nil)
		b.Take(start, from, datagram(2, nil, 1, 1), nil)
	}
	if n := len(b.Peers()); n > 256 {
		t.Errorf("%d peers", n)
	}
	if b.Refused[connsync.ReasonSyncID] != 5000 {
		t.Errorf("%d refused", b.Refused[connsync.ReasonSyncID])
	}
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	a, b := announcer(1_000_000_000, 100), backup(connsync.BackupSpec{})
	c := kept(1, time.Minute)
	for range 40 {
		a.Add(&c)
	}
	a.Cut()
	d := a.Next(start, 0, nil, true)
	out := make([]lvs.Connection, 0, 64)
	b.Take(start, peerA, d, out)
	if n := testing.AllocsPerRun(100, func() { b.Take(start, peerA, d, out) }); n > 0 {
		t.Errorf("%v allocations for a datagram of 40 connections", n)
	}
}

func BenchmarkBackup(b *testing.B) {
	a, m := announcer(1_000_000_000, 100), backup(connsync.BackupSpec{})
	c := kept(1, time.Minute)
	for range 40 {
		a.Add(&c)
	}
	a.Cut()
	d := a.Next(start, 0, nil, true)
	out := make([]lvs.Connection, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		m.Take(start, peerA, d, out)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/40, "ns/conn")
}
