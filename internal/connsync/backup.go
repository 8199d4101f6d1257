package connsync

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// BackupSpec is what a Backup is to know.
type BackupSpec struct {
	// SyncID of the datagrams to take; 0 takes all.
	SyncID uint8
	// Key that datagrams must be signed with; nil takes signed and unsigned ones.
	Key *Key
	// Self is our own Trailer.Sender.
	Self uint64
	// CatchUp lets it ask for catch-up streams.
	CatchUp bool
}

// Backup is the receiving side: who announces, what of it is taken, and from
// whom the whole table is to be fetched. It belongs to one goroutine at a time.
type Backup struct {
	spec      BackupSpec
	peers     map[sender]*Peer
	refusals  map[refused]*Refusal
	role      bool
	since     time.Time // of the role
	maxSize   int
	oversized Oversized

	// Counters of all datagrams so far.
	Datagrams, Bytes, Connections uint64
	Lost                          uint64
	Refused                       [NumReasons]uint64
}

type refused struct {
	sender
	reason Reason
}

// Oversized is the newest datagram that had to come in fragments.
type Oversized struct {
	Last time.Time
	From netip.Addr
	Size int // bytes of UDP payload
}

// NewBackup returns a Backup that has heard nobody and is not in the role.
func NewBackup(spec BackupSpec) *Backup {
	return &Backup{spec: spec, peers: map[sender]*Peer{}, refusals: map[refused]*Refusal{}}
}

// SetRole says whether what is heard is taken over: outside the role senders
// are known and counted only. Entering it asks for the tables of all that are
// heard.
func (b *Backup) SetRole(now time.Time, backup bool) {
	if backup && !b.role {
		for _, p := range b.peers {
			p.fetch = fetchState{running: p.fetch.running, began: p.fetch.began}
			if p.life != 0 {
				p.fetch.ask(now, lifeGap)
			}
		}
	}
	if backup != b.role {
		b.since = now
	}
	b.role = backup
}

// SetMaxSize says how large a datagram, in bytes of UDP payload, fits the
// interface.
func (b *Backup) SetMaxSize(n int) { b.maxSize = n }

// Take makes of a datagram what a backup does: it appends the connections that
// are to be entered into the table to out. Their Expires counts from now.
func (b *Backup) Take(now time.Time, from netip.Addr, datagram []byte, out []lvs.Connection) []lvs.Connection {
	b.Datagrams++
	b.Bytes += uint64(len(datagram))
	r, err := Read(datagram)
	if err != nil {
		var e *Error
		errors.As(err, &e)
		b.refuse(now, from, r.SyncID, e.Reason)
		return out
	}
	p, reason := b.admit(now, from, datagram, r.Header)
	if reason != ReasonNone {
		b.refuse(now, from, r.SyncID, reason)
		return out
	}
	if b.maxSize > 0 && len(datagram) > b.maxSize {
		b.oversized = Oversized{Last: now, From: from, Size: len(datagram)}
	}
	if b.role {
		out = b.read(now, from, &r, out)
	}
	taken := uint64(max(r.Taken(), 0))
	if !b.role {
		taken = uint64(r.Count)
	}
	p.Connections += taken
	b.Connections += taken
	return out
}

// admit decides about the datagram as a whole, in the order of the checks: our
// own, the syncid, its origin, a repetition.
func (b *Backup) admit(now time.Time, from netip.Addr, datagram []byte, h Header) (*Peer, Reason) {
	t, keyed, trailer := ParseTrailer(datagram)
	trailer = trailer && h.Version == 1
	if trailer && t.Sender == b.spec.Self {
		return nil, ReasonOwn
	}
	if b.spec.SyncID != 0 && h.SyncID != b.spec.SyncID {
		return nil, ReasonSyncID
	}
	id := sender{from, h.SyncID}
	p := b.peers[id]
	if b.spec.Key != nil && !(trailer && keyed && b.keyOf(p, from).Authentic(datagram)) {
		return nil, ReasonAuth
	}
	if p == nil {
		p = b.meet(id)
	}
	if trailer {
		if r := p.trail(now, t, keyed, b.spec.Key != nil); r != ReasonNone {
			return nil, r
		}
	} else {
		p.Kaname, p.Keyed = false, false
	}
	p.hear(now, h.Version)
	return p, ReasonNone
}

// keyOf is what the datagrams of a peer, which may not be known yet, are
// signed with.
func (b *Backup) keyOf(p *Peer, from netip.Addr) *Key {
	if p != nil && p.key != nil {
		return p.key
	}
	return b.spec.Key.From(from)
}

// meet enters a sender into the list, in place of the one that has been silent
// longest if that is full.
func (b *Backup) meet(id sender) *Peer {
	if len(b.peers) >= maxPeers {
		var oldest *Peer
		for _, p := range b.peers {
			if oldest == nil || p.Last.Before(oldest.Last) {
				oldest = p
			}
		}
		delete(b.peers, sender{oldest.Addr, oldest.SyncID})
	}
	p := &Peer{Addr: id.addr, SyncID: id.syncID}
	if b.spec.Key != nil {
		p.key = b.spec.Key.From(id.addr)
	}
	b.peers[id] = p
	return p
}

// read takes the connections of a datagram.
func (b *Backup) read(now time.Time, from netip.Addr, r *Reader, out []lvs.Connection) []lvs.Connection {
	for c := (Conn{}); r.Next(&c); {
		if reason := c.Refusal(r.Version); reason != ReasonNone {
			b.refuse(now, from, r.SyncID, reason)
			continue
		}
		out = append(out, c.Connection())
	}
	if err := r.Err(); err != nil {
		b.refuse(now, from, r.SyncID, err.Reason)
	}
	return out
}

func (b *Backup) refuse(now time.Time, from netip.Addr, syncID uint8, reason Reason) {
	b.Refused[reason]++
	key := refused{sender{from, syncID}, reason}
	r := b.refusals[key]
	if r == nil {
		if len(b.refusals) >= maxRefusals {
			return
		}
		r = &Refusal{Addr: from, SyncID: syncID, Reason: reason, First: now}
		b.refusals[key] = r
	}
	r.Last = now
	r.Count++
}

// Tick counts what is lost by now and forgets who has been silent for long. It
// is to be called at least once a second.
func (b *Backup) Tick(now time.Time) {
	for id, p := range b.peers {
		if lost := p.window.giveUp(now); lost > 0 {
			p.Lost += lost
			p.LostAt = now
			b.Lost += lost
			p.fetch.ask(now, fetchGap)
		}
		if now.Sub(p.Last) > peerForgotten {
			delete(b.peers, id)
		}
	}
	for key, r := range b.refusals {
		if now.Sub(r.Last) > evidenceLasts {
			delete(b.refusals, key)
		}
	}
}

// NextFetch returns the catch-up that is to be made now, if there is one. Its
// end is told to Fetched.
func (b *Backup) NextFetch(now time.Time) (Fetch, bool) {
	if !b.role || !b.spec.CatchUp {
		return Fetch{}, false
	}
	for _, p := range b.Peers() {
		f := &p.fetch
		if !f.want || f.running || p.port == 0 || now.Before(f.notBefore) || now.Sub(p.Last) > peerGone && !f.check {
			continue
		}
		f.want, f.running, f.began = false, true, now
		return Fetch{From: netip.AddrPortFrom(p.Addr, p.port), SyncID: p.SyncID, Life: p.life, Resume: f.resume, Verify: f.check}, true
	}
	return Fetch{}, false
}

// Proof is which life the sender of an authenticated stream is in, and how
// many datagrams it has sent in it; zero without authentication.
type Proof struct{ Life, Seq uint64 }

// Fetched says how a catch-up ended: resume is where to go on after an error.
func (b *Backup) Fetched(now time.Time, f Fetch, proof Proof, resume Cursor, err error) {
	p := b.peers[sender{f.From.Addr(), f.SyncID}]
	switch {
	case p == nil:
	case proof.Life != 0 && proof.Life != p.life:
		p.begin(now, proof.Life, startWindow(proof.Seq))
	case f.Life != p.life: // another one was heard meanwhile
		p.fetch.running = false
	default:
		p.fetch.end(now, resume, err != nil && !f.Verify)
	}
}

// Peers are those who were heard, by address and syncid.
func (b *Backup) Peers() []*Peer {
	out := make([]*Peer, 0, len(b.peers))
	for _, p := range b.peers {
		out = append(out, p)
	}
	slices.SortFunc(out, func(x, y *Peer) int {
		if c := x.Addr.Compare(y.Addr); c != 0 {
			return c
		}
		return int(x.SyncID) - int(y.SyncID)
	})
	return out
}
