package session

import (
	"math"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

type address interface{ [4]byte | [16]byte }

// key is what makes a session the same one: LVS's, and for templates of a
// persistence engine a hash of its data.
type key[A address] struct {
	engine          uint32
	client, virtual A
	cport, vport    uint16
	protocol        uint8
	template        bool
}

// record is a session in the table. A free one links to the next in fwmark.
type record[A address] struct {
	key[A]
	dest     A
	dport    uint16
	director uint16
	state    uint8
	syncID   uint8
	version  uint8
	flags    uint32
	fwmark   uint32
	timeout  uint32 // seconds
	first    int64  // nanoseconds since 1970
	last     int64
}

func (r *record[A]) deadline() int64 { return r.last + int64(r.timeout)*int64(time.Second) }

const (
	chunkLen = 1024
	never    = math.MaxUint32 // in due: the record is free
	noRef    = math.MaxUint32
)

// chunk is a piece of the slab. Due has the deadlines alone, in whole seconds,
// so that looking through a million of them takes less than a millisecond.
type chunk[A address] struct {
	records [chunkLen]record[A]
	due     [chunkLen]uint32
	soonest uint32 // no due is before it
}

// family is the sessions of one address family.
type family[A address] struct {
	index  index
	chunks []*chunk[A]
	free   uint32 // first of the free records
	used   int
	hash   func(k *key[A], seed uint64) uint64
	addr   func(A) netip.Addr
}

func (f *family[A]) at(ref uint32) *record[A] {
	return &f.chunks[ref/chunkLen].records[ref%chunkLen]
}

// find returns the session's record, nil if there is none.
func (f *family[A]) find(hash uint64, k *key[A]) (uint32, *record[A]) {
	s := f.index.segment(hash)
	if len(s.slots) == 0 {
		return 0, nil
	}
	mask := uint64(len(s.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := s.slots[i]
		if slot == 0 {
			return 0, nil
		}
		if uint32(slot>>32) != uint32(hash) {
			continue
		}
		ref := uint32(slot) - 1
		if r := f.at(ref); r.key == *k {
			return ref, r
		}
	}
}

// add enters a record that is not there.
func (f *family[A]) add(hash uint64, n *record[A]) {
	if f.free == noRef {
		f.extend()
	}
	ref := f.free
	r := f.at(ref)
	f.free = r.fwmark
	*r = *n
	f.schedule(ref, r)
	f.index.insert(hash, ref)
	f.used++
}

func (f *family[A]) extend() {
	c := &chunk[A]{soonest: never}
	base := uint32(len(f.chunks)) * chunkLen
	for i := range c.records {
		c.records[i].fwmark = base + uint32(i) + 1
		c.due[i] = never
	}
	c.records[chunkLen-1].fwmark = f.free
	f.chunks = append(f.chunks, c)
	f.free = base
}

// schedule notes a record's deadline.
func (f *family[A]) schedule(ref uint32, r *record[A]) {
	c := f.chunks[ref/chunkLen]
	at := uint32(min(max(r.deadline()/int64(time.Second), 0), never-1))
	c.due[ref%chunkLen] = at
	c.soonest = min(c.soonest, at)
}

func (f *family[A]) remove(hash uint64, ref uint32, r *record[A]) {
	f.index.remove(hash, ref)
	r.fwmark, f.free = f.free, ref
	f.chunks[ref/chunkLen].due[ref%chunkLen] = never
	f.used--
}

// expire removes what has run out at now, after telling gone.
func (f *family[A]) expire(now int64, seed uint64, gone func(*record[A])) (n int) {
	second := uint32(min(max(now/int64(time.Second), 0), never-1))
	for ci, c := range f.chunks {
		if c.soonest > second {
			continue
		}
		soonest := uint32(never)
		for i, due := range c.due {
			if due <= second {
				if r := &c.records[i]; r.deadline() <= now {
					gone(r)
					f.remove(f.hash(&r.key, seed), uint32(ci*chunkLen+i), r)
					n++
					continue
				}
			}
			soonest = min(soonest, due)
		}
		c.soonest = soonest
	}
	return n
}

// walk yields the records from ref on until yield returns false, and returns
// the ref to go on with.
func (f *family[A]) walk(from int, yield func(*record[A]) bool) int {
	for at := from; at < len(f.chunks)*chunkLen; at++ {
		c := f.chunks[at/chunkLen]
		if c.due[at%chunkLen] != never && !yield(&c.records[at%chunkLen]) {
			return at + 1
		}
	}
	return len(f.chunks) * chunkLen
}

// view fills s with the record.
func (f *family[A]) view(r *record[A], directors []*Director, s *Session) {
	*s = Session{
		Protocol: lvs.Protocol(r.protocol), State: lvs.ConnState(r.state), Flags: connsync.Flags(r.flags),
		Client:  netip.AddrPortFrom(f.addr(r.client), r.cport),
		Virtual: netip.AddrPortFrom(f.addr(r.virtual), r.vport),
		Dest:    netip.AddrPortFrom(f.addr(r.dest), r.dport),
		FWMark:  r.fwmark, SyncID: r.syncID, Version: r.version, Director: directors[r.director].Addr,
		First: time.Unix(0, r.first).UTC(), Last: time.Unix(0, r.last).UTC(),
		Timeout: time.Duration(r.timeout) * time.Second,
	}
}
