package session

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
)

// Director is a sender of messages with one syncid.
type Director struct {
	Addr   netip.Addr // invalid: all those that were too many to tell apart
	SyncID uint8
	// Version of the last message.
	Version     int
	First, Last time.Time
	Datagrams   uint64
	Connections uint64 // taken from them
	Bytes       uint64
	Refused     uint64 // datagrams and connections
	Largest     int    // bytes of the longest message, without headers
	Sessions    int    // that it announced last, templates included
	// Kaname is that its messages have a trailer; the rest comes from there.
	Kaname  bool
	Keyed   bool
	CatchUp uint16 // TCP port, 0 for none
	Entries uint32 // connections that it says it has
	Lost    uint64 // of its datagrams did not arrive here

	sender, seq uint64
}

// SyncID is what was heard with one syncid.
type SyncID struct {
	ID          uint8
	Datagrams   uint64
	Connections uint64
	// Version0 and Version1 are when each version of the protocol came last;
	// zero for never.
	Version0, Version1 time.Time
	// Contended is when two directors were last heard in turns, more than a
	// failover and its way back explain, and who they are; zero for never.
	Contended  time.Time
	Contenders [2]netip.Addr

	sender   uint16
	heard    bool
	switches [3]int64 // when the sender changed, the last times
}

// Stats are counts since the table was made.
type Stats struct {
	Datagrams   uint64
	Connections uint64    // taken
	Versions    [2]uint64 // datagrams, by version
	// Refused counts datagrams, and connections of datagrams, that were not
	// taken, by connsync.Reason.
	Refused [connsync.NumReasons]uint64
	Stale   uint64 // ends of connections that had another destination
	Full    uint64 // sessions for which there was no room
	Created uint64
	Expired uint64
	// First and Last are when the first and the last datagram came.
	First, Last time.Time
	Directors   []Director // in order of address and syncid
	SyncIDs     []SyncID
}

const (
	// maxDirectors is how many are told apart. Senders cost nothing to invent.
	maxDirectors = 1024
	// contention: three changes of sender in this time. A failover is one, and
	// its way back another.
	contention = time.Minute
)

type directorKey struct {
	addr   netip.Addr
	syncID uint8
}

// Stats returns a copy of the counts.
func (t *Table) Stats() Stats {
	s := t.stats
	for _, d := range t.directors {
		if d.Datagrams > 0 {
			s.Directors = append(s.Directors, *d)
		}
	}
	slices.SortFunc(s.Directors, func(a, b Director) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return int(a.SyncID) - int(b.SyncID)
	})
	for _, id := range slices.Sorted(maps.Keys(t.syncIDs)) {
		s.SyncIDs = append(s.SyncIDs, *t.syncIDs[id])
	}
	return s
}

// director returns who sent, 0 standing for those that are too many.
func (t *Table) director(from netip.Addr, syncID uint8) uint16 {
	k := directorKey{from, syncID}
	if k == t.lastKey && t.lastDirector != 0 {
		return t.lastDirector
	}
	i, ok := t.directorOf[k]
	if !ok {
		if len(t.directors) > maxDirectors {
			return 0
		}
		i = uint16(len(t.directors))
		t.directors = append(t.directors, &Director{Addr: from, SyncID: syncID})
		t.directorOf[k] = i
	}
	t.lastKey, t.lastDirector = k, i
	return i
}

// heard counts a datagram that is to be read.
func (t *Table) heard(now time.Time, i uint16, h connsync.Header, b []byte) {
	d := t.directors[i]
	if d.Datagrams == 0 {
		d.First = now
	}
	d.Datagrams++
	d.Bytes += uint64(len(b))
	d.Largest = max(d.Largest, len(b))
	d.Last, d.Version = now, h.Version
	s := t.syncIDs[h.SyncID]
	if s == nil {
		s = &SyncID{ID: h.SyncID}
		t.syncIDs[h.SyncID] = s
	}
	s.Datagrams++
	if h.Version == 0 {
		s.Version0 = now
	} else {
		s.Version1 = now
	}
	t.turn(now, s, i)
}

// turn notices who sends with a syncid.
func (t *Table) turn(now time.Time, s *SyncID, i uint16) {
	if s.heard && s.sender != i {
		s.switches = [3]int64{s.switches[1], s.switches[2], now.UnixNano()}
		if s.switches[0] > 0 && now.UnixNano()-s.switches[0] < int64(contention) {
			s.Contended = now
			s.Contenders = [2]netip.Addr{t.directors[s.sender].Addr, t.directors[i].Addr}
		}
	}
	s.heard, s.sender = true, i
}

// trailer reads what kaname adds to its messages.
func (d *Director) trailer(b []byte) {
	tr, keyed, ok := connsync.ParseTrailer(b)
	if d.Kaname = ok; !ok {
		return
	}
	if tr.Sender == d.sender && tr.Seq > d.seq+1 {
		d.Lost += tr.Seq - d.seq - 1
	}
	if tr.Sender != d.sender || tr.Seq > d.seq {
		d.sender, d.seq = tr.Sender, tr.Seq
	}
	d.Keyed, d.CatchUp, d.Entries = keyed, tr.CatchUp, tr.Entries
}
