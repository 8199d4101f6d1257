package session

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
)

// DefaultMaxSessions bounds a table unless told otherwise: some 370 MB.
const DefaultMaxSessions = 4 << 20

// Options say what a table takes. The zero value takes everything.
type Options struct {
	// MaxSessions is how many sessions the table holds; what comes when it is
	// full is counted. 0: DefaultMaxSessions.
	MaxSessions int
	// Expected makes room for that many IPv4 sessions from the start.
	Expected int
	// Memory, if set, gives zeroed memory for sessions, which the table keeps for
	// as long as it is used: 2 MiB at a time, aligned to 64 bytes at least. Memory
	// of huge pages makes a large table faster. Where it returns nil the heap
	// does.
	Memory func(size int) []byte
	// NoTemplates leaves persistence templates out.
	NoTemplates bool
	// SyncIDs takes messages with these alone; nil: all.
	SyncIDs []uint8
	// Key refuses messages without its proof of origin.
	Key *connsync.Key
	// Parts above 1 (at most 256) makes the table take only the sessions of one
	// of so many parts, the one with the number Part, from 0. Tables for all parts, with the
	// same Seed, hold each session once, and can be filled by a goroutine each; a
	// broken message and refused connections are counted by every one of them.
	Parts, Part int
	// Seed makes the places of sessions unpredictable; give a random number.
	Seed uint64
}

// Table is the sessions that were announced and have not run out.
type Table struct {
	opt    Options
	memory memory
	four   family[[4]byte]
	six    family[[16]byte]

	stats        Stats
	directors    []*Director
	directorOf   map[directorKey]uint16
	lastKey      directorKey
	lastDirector uint16
	syncIDs      map[uint8]*SyncID

	listen func(*Event)
	kinds  Kind
	event  Event

	conn connsync.Conn // the one being read
}

// New returns an empty table.
func New(o Options) *Table {
	if o.MaxSessions <= 0 {
		o.MaxSessions = DefaultMaxSessions
	}
	t := &Table{
		opt:        o,
		memory:     memory{more: o.Memory},
		four:       family[[4]byte]{free: noRef, addr: netip.AddrFrom4},
		six:        family[[16]byte]{free: noRef, addr: netip.AddrFrom16},
		directors:  []*Director{{}},
		directorOf: map[directorKey]uint16{},
		syncIDs:    map[uint8]*SyncID{},
	}
	t.four.memory, t.six.memory = &t.memory, &t.memory
	t.four.index.memory, t.six.index.memory = &t.memory, &t.memory
	if n := min(o.Expected, o.MaxSessions); n > 0 {
		t.four.index.presize(n)
		for range (n + chunkLen - 1) / chunkLen {
			t.four.extend()
		}
	}
	return t
}

// Listen sends events of the kinds to f, which may use the event until it
// returns and must not use the table. Nil stops it. A table to which nobody
// listens does no work for events.
func (t *Table) Listen(f func(*Event), kinds Kind) {
	if t.listen, t.kinds = f, kinds; f == nil {
		t.kinds = 0
	}
}

// Len is how many sessions the table has, those counted in that have run out
// since the last Expire.
func (t *Table) Len() int { return t.four.used + t.six.used }

// Apply takes a message that came at now from a director, and returns how many
// connections the table took from it. The error says, as a *connsync.Error,
// where the message is broken: what stands before that was taken, as IPVS does.
// Connections that a receiver passes over one by one are counted alone (Stats).
func (t *Table) Apply(now time.Time, from netip.Addr, datagram []byte) (int, error) {
	t.stats.Datagrams++
	if t.stats.Last = now; t.stats.Datagrams == 1 {
		t.stats.First = now
	}
	r, err := connsync.Read(datagram)
	if err != nil {
		return 0, t.refuse(err)
	}
	if reason := t.refuses(r.SyncID, datagram); reason != connsync.ReasonNone {
		t.stats.Refused[reason]++
		return 0, nil
	}
	t.stats.Versions[r.Version]++
	i := t.director(from, r.SyncID)
	t.heard(now, i, r.Header, datagram)
	d := t.directors[i]
	n := t.read(nanos(now), &r, i)
	d.Connections += uint64(n)
	t.stats.Connections += uint64(n)
	t.syncIDs[r.SyncID].Connections += uint64(n)
	if broken := r.Err(); broken != nil {
		d.Refused++
		return n, t.refuse(broken)
	}
	d.trailer(datagram)
	return n, nil
}

func (t *Table) refuses(syncID uint8, b []byte) connsync.Reason {
	switch {
	case t.opt.SyncIDs != nil && !slices.Contains(t.opt.SyncIDs, syncID):
		return connsync.ReasonSyncID
	case t.opt.Key != nil && !t.opt.Key.Authentic(b):
		return connsync.ReasonAuth
	}
	return connsync.ReasonNone
}

// Expire removes the sessions that have run out at now and returns how many.
// Call it about every second, and before showing the table.
func (t *Table) Expire(now time.Time) int {
	at := nanos(now)
	n := t.four.expire(at, t.opt.Seed, func(r *record[[4]byte]) { ended(t, &t.four, r) })
	n += t.six.expire(at, t.opt.Seed, func(r *record[[16]byte]) { ended(t, &t.six, r) })
	return n
}

// All yields every session, in no order. The Session is valid until the next.
// The table must not be changed meanwhile.
func (t *Table) All() iter.Seq[*Session] {
	return func(yield func(*Session) bool) { t.Walk(0, int(^uint(0)>>1), yield) }
}

// Walk yields at most about n sessions from the cursor on (0 is the start) and
// returns the cursor to go on with, 0 after the end. Between calls the table
// may change: what stays is yielded once, what comes or goes perhaps.
func (t *Table) Walk(cursor uint64, n int, yield func(*Session) bool) uint64 {
	const six = 1 << 63
	var s Session
	more := true
	if cursor&six == 0 {
		at := t.four.walk(int(cursor), func(r *record[[4]byte]) bool {
			t.four.view(r, t.directors, &s)
			more = yield(&s)
			n--
			return more && n > 0
		})
		if at < int(t.four.fresh) {
			return uint64(at)
		}
		cursor = six
		if !more || n <= 0 {
			return cursor
		}
	}
	at := t.six.walk(int(cursor&^six), func(r *record[[16]byte]) bool {
		t.six.view(r, t.directors, &s)
		more = yield(&s)
		n--
		return more && n > 0
	})
	if at < int(t.six.fresh) {
		return six | uint64(at)
	}
	return 0
}

// nanos keeps a time within what sums of times can have: 1970 to 2106, as far
// as the 32 bits of a capture's seconds go.
func nanos(t time.Time) int64 {
	return min(max(t.Unix(), 0), 1<<32-1)*int64(time.Second) + int64(t.Nanosecond())
}
