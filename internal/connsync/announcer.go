package connsync

import (
	"errors"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

const (
	// beaconEvery is how long an announcer is silent at most.
	beaconEvery = time.Second
	// burst is how far ahead of its rate an announcer may be.
	burst = 20 * time.Millisecond
	// walkGap is how far apart announcements of the whole table are, and walkRate
	// how many connections a second they have: a kernel's socket buffer holds
	// about a hundred datagrams.
	walkGap  = 10 * time.Second
	walkRate = 100_000
)

// AnnouncerSpec is what an Announcer is to know.
type AnnouncerSpec struct {
	SyncID uint8
	// MaxLen is the size of a datagram at most, in bytes of UDP payload.
	MaxLen int
	// QueueLen is how many datagrams may wait, Rate how many connections leave in
	// a second.
	QueueLen, Rate int
	// Signed leaves room for proof of origin.
	Signed bool
	// Life and CatchUp are those of the Trailer.
	Life    uint64
	CatchUp uint16
}

// Announcer is the sending side: it fills datagrams with connections and says
// when each may leave, when a beacon is due and when the whole table is to be
// announced because something was lost. It belongs to one goroutine at a time.
type Announcer struct {
	spec   AnnouncerSpec
	w      *Writer
	queue  []waiting // ring
	head   int
	n      int
	beacon []byte
	seq    uint64
	last   time.Time // something was sent

	tokens   float64 // connections that may leave at once
	counted  time.Time
	owed     bool // the whole table
	owedKept bool
	walking  Walk
	walked   time.Time // the table, to its end
	walkNext time.Time

	// Counters: connections that left, that found the queue full, and that no
	// message can carry (addresses of two families).
	Datagrams, Bytes, Connections, Missed, Dropped, Unfit uint64
}

// waiting is a datagram without its trailer.
type waiting struct {
	b []byte
	n int
}

// NewAnnouncer returns an Announcer with an empty queue.
func NewAnnouncer(spec AnnouncerSpec) *Announcer {
	var key *Key
	if spec.Signed {
		key = &Key{} // for its size: what signs comes with Next
	}
	return &Announcer{spec: spec, w: NewWriter(spec.SyncID, spec.MaxLen, true, key)}
}

// Seq is the number of the newest datagram.
func (a *Announcer) Seq() uint64 { return a.seq }

// Queued is how many datagrams wait.
func (a *Announcer) Queued() int { return a.n }

// Room is how many connections, of whatever kind, the queue has room for.
func (a *Announcer) Room() int {
	return max((a.spec.QueueLen-a.n)*((a.w.room-headerLen)/connLen6), 1)
}

// Add takes a connection. Without room in the queue it is dropped, counted,
// and told later with the whole table.
func (a *Announcer) Add(l *lvs.Connection) {
	c := FromConnection(l)
	err := a.w.Add(&c)
	if errors.Is(err, ErrFull) && a.Cut() {
		err = a.w.Add(&c)
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrFull):
		a.Dropped++
		a.owed = true
	default:
		a.Unfit++
	}
}

// Cut ends the datagram that is being filled: it waits for no more
// connections. It fails when the queue is full.
func (a *Announcer) Cut() bool {
	if a.w.n == 0 {
		return true
	}
	if a.n >= a.spec.QueueLen {
		return false
	}
	if a.n == len(a.queue) {
		a.unroll()
	}
	slot := &a.queue[(a.head+a.n)%len(a.queue)]
	slot.b, a.w.b = a.w.b, slot.b
	slot.n = a.w.n
	a.n++
	a.w.Reset()
	return true
}

// unroll makes the ring larger.
func (a *Announcer) unroll() {
	larger := make([]waiting, min(max(2*len(a.queue), 16), a.spec.QueueLen))
	for i := range a.n {
		larger[i] = a.queue[(a.head+i)%len(a.queue)]
	}
	a.queue, a.head = larger, 0
}

// Next returns the datagram that is to leave now, whole, nil for none; it is
// valid until the next call of a method. With entries that is how many
// connections there are here, key signs. Urgent does not heed the rate.
func (a *Announcer) Next(now time.Time, entries uint64, key *Key, urgent bool) []byte {
	t := Trailer{Sender: a.spec.Life, Entries: uint32(min(entries, 1<<32-1)), CatchUp: a.spec.CatchUp}
	a.refill(now)
	var b []byte
	switch {
	case a.n > 0 && (urgent || a.tokens > 0):
		slot := &a.queue[a.head]
		a.tokens -= float64(slot.n)
		t.Seq = a.seq + 1
		slot.b = t.append(Pad(slot.b), key, slot.n)
		b = slot.b
		a.Connections += uint64(slot.n)
		a.head, a.n = (a.head+1)%len(a.queue), a.n-1
	case a.n == 0 && a.w.n == 0 && now.Sub(a.last) >= beaconEvery:
		t.Seq = a.seq + 1
		a.beacon = t.append(AppendHeader(a.beacon[:0], 1, a.spec.SyncID), key, 0)
		b = a.beacon
	default:
		return nil
	}
	a.seq++
	a.last = now
	a.Datagrams++
	a.Bytes += uint64(len(b))
	return b
}

// refill adds what the rate has allowed since the last time.
func (a *Announcer) refill(now time.Time) {
	if passed := now.Sub(a.counted); passed > 0 {
		rate := float64(a.spec.Rate)
		a.tokens = min(a.tokens+rate*passed.Seconds(), max(rate*burst.Seconds(), 1))
		a.counted = now
	}
}

// Wait is how long to wait for changes: until a datagram may leave, a beacon
// is due, or the walk goes on.
func (a *Announcer) Wait(now time.Time) time.Duration {
	a.refill(now)
	wait := a.last.Add(beaconEvery).Sub(now)
	switch {
	case a.n > 0 && a.tokens > 0:
		return 0
	case a.n > 0:
		wait = time.Duration((1 - a.tokens) / float64(a.spec.Rate) * float64(time.Second))
	case a.walking != WalkNone || a.owedKept:
		wait = min(wait, a.walkNext.Sub(now))
	case a.owed:
		wait = min(wait, a.walked.Add(walkGap).Sub(now))
	}
	return min(max(wait, 0), beaconEvery)
}

// Miss says that changes were lost, or a datagram: the whole table is owed.
func (a *Announcer) Miss(changes uint64) {
	a.Missed += changes
	a.owed = true
}

// OweKept says that the kept connections are to be announced: a new master
// passes on what it could not place itself.
func (a *Announcer) OweKept() { a.owedKept = true }

// Walk is what an announcer goes through to announce it as a whole.
type Walk uint8

// Walks. That of the table is followed by that of the kept connections.
const (
	WalkNone Walk = iota
	WalkTable
	WalkKept
)

// NextWalk says of what the next part is to be added now, if of anything: not
// while changes wait, and not faster than backups can follow.
func (a *Announcer) NextWalk(now time.Time) Walk {
	if a.walking == WalkNone {
		switch {
		case a.owedKept:
			a.walking, a.owedKept = WalkKept, false
		case a.owed && now.Sub(a.walked) >= walkGap:
			a.walking, a.owed = WalkTable, false
		}
	}
	if a.n > 0 || now.Before(a.walkNext) {
		return WalkNone
	}
	return a.walking
}

// Walked says that a part of n connections was added, and whether it was the
// last.
func (a *Announcer) Walked(now time.Time, n int, last bool) {
	a.walkNext = now.Add(time.Duration(n) * time.Second / time.Duration(min(walkRate, a.spec.Rate)))
	switch {
	case !last:
	case a.walking == WalkTable:
		a.walking, a.walked = WalkKept, now
	default:
		a.walking = WalkNone
	}
}

// Clear forgets what waits and what is owed: its director is no master any
// more.
func (a *Announcer) Clear() {
	a.w.Reset()
	a.n, a.owed, a.owedKept, a.walking = 0, false, false, WalkNone
}
