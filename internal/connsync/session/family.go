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
	ports           uint32 // the client's, and in the last 16 bits the virtual one
	protocol        uint8
	template        bool
}

// same is ==, which compilers make slow for this type.
func (k *key[A]) same(l *key[A]) bool {
	return k.client == l.client && k.ports == l.ports && k.virtual == l.virtual &&
		k.protocol == l.protocol && k.template == l.template && k.engine == l.engine
}

// record is a session in the table. One without a timeout is free; those that
// were freed link to the next in fwmark.
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
	chunkLen = 1024 // records: no part of a chunk's memory pages is left over
	blockLen = 64   // records whose soonest deadline is known
	batchLen = 64
)

// family is the sessions of one address family.
type family[A address] struct {
	index   index
	chunks  []*[chunkLen]record[A]
	soonest []int64 // of each block: no deadline is before it
	free    uint32  // first of the records that were freed
	fresh   uint32  // from here on no record was ever used
	used    int
	batch   batch[A]
	memory  *memory
	addr    func(A) netip.Addr
}

// batch is connections of one message that have been read and not entered.
type batch[A address] struct {
	n              int
	records        [batchLen]record[A]
	hashes         [batchLen]uint32
	places         [batchLen]place  // where the session may be, or the search for it has ended
	refs           [batchLen]uint32 // what entering will probably read or write
	strange, known [batchLen]uint8  // numbers of the connections without a session, and of the others
	numStrange     int
	moves          uint32 // of the index, when it had been looked into
	touched        uint64 // keeps the compiler from leaving reads out
}

func (f *family[A]) at(ref uint32) *record[A] {
	return &f.chunks[ref/chunkLen][ref%chunkLen]
}

// find returns the session's record and place, or nil and the place for it.
func (f *family[A]) find(p place, hash uint32, k *key[A]) (place, *record[A], uint32) {
	for {
		at, slot := f.index.probe(p, hash)
		if slot == 0 {
			return at, nil, 0
		}
		ref := slot.ref()
		if r := f.at(ref); r.same(k) {
			return at, r, ref
		}
		p = at.next()
	}
}

// add enters a record that is not there.
func (f *family[A]) add(p place, hash uint32, n *record[A]) {
	ref := f.free
	if ref != noRef {
		f.free = f.at(ref).fwmark
	} else {
		ref = f.fresh
		if f.fresh++; int(ref) >= len(f.chunks)*chunkLen {
			f.extend()
		}
	}
	r := f.at(ref)
	*r = *n
	f.schedule(ref, r)
	f.index.insert(p, hash, ref)
	f.used++
}

func (f *family[A]) extend() {
	f.chunks = append(f.chunks, allocate[[chunkLen]record[A]](f.memory))
	for range chunkLen / blockLen {
		f.soonest = append(f.soonest, math.MaxInt64)
	}
}

// schedule notes a record's deadline.
func (f *family[A]) schedule(ref uint32, r *record[A]) {
	if d, s := r.deadline(), &f.soonest[ref/blockLen]; d < *s {
		*s = d
	}
}

func (f *family[A]) remove(hash, ref uint32, r *record[A]) {
	f.index.remove(hash, ref)
	r.timeout, r.fwmark, f.free = 0, f.free, ref
	f.used--
}

// expire removes what has run out at now, after telling gone.
func (f *family[A]) expire(now int64, seed uint64, gone func(*record[A])) (n int) {
	for i, soonest := range f.soonest {
		if soonest > now {
			continue
		}
		soonest = math.MaxInt64
		for ref := uint32(i * blockLen); ref < uint32((i+1)*blockLen); ref++ {
			switch r := f.at(ref); {
			case r.timeout == 0:
			case r.deadline() <= now:
				gone(r)
				f.remove(uint32(r.hash(seed)), ref, r)
				n++
			default:
				soonest = min(soonest, r.deadline())
			}
		}
		f.soonest[i] = soonest
	}
	return n
}

// walk yields the records from ref on until yield returns false, and returns
// the ref to go on with.
func (f *family[A]) walk(from int, yield func(*record[A]) bool) int {
	for at := from; at < int(f.fresh); at++ {
		if r := f.at(uint32(at)); r.timeout != 0 && !yield(r) {
			return at + 1
		}
	}
	return int(f.fresh)
}

// view fills s with the record.
func (f *family[A]) view(r *record[A], directors []*Director, s *Session) {
	*s = Session{
		Protocol: lvs.Protocol(r.protocol), State: lvs.ConnState(r.state), Flags: connsync.Flags(r.flags),
		Client:  netip.AddrPortFrom(f.addr(r.client), uint16(r.ports>>16)),
		Virtual: netip.AddrPortFrom(f.addr(r.virtual), uint16(r.ports)),
		Dest:    netip.AddrPortFrom(f.addr(r.dest), r.dport),
		FWMark:  r.fwmark, SyncID: r.syncID, Version: r.version, Director: directors[r.director].Addr,
		First: time.Unix(0, r.first).UTC(), Last: time.Unix(0, r.last).UTC(),
		Timeout: time.Duration(r.timeout) * time.Second,
	}
}

// look finds out where the connections of the batch probably are, the index
// first and then the records. It reads what entering them will read: each step
// for all of them, without a branch that depends on what is read, so that the
// processor waits for many at a time.
func (f *family[A]) look() {
	b, x := &f.batch, &f.index
	if x.directory == nil {
		x.presize(0)
	}
	var sum uint64
	for i, hash := range b.hashes[:b.n] {
		p := x.home(hash)
		b.places[i] = p
		sum += uint64(*x.slot(p))
	}
	fresh, last := f.fresh, uint32(len(f.chunks)*chunkLen-1)
	strange, known := uint32(0), uint32(0)
	for i, hash := range b.hashes[:b.n] {
		at, slot := x.probe(b.places[i], hash)
		b.places[i] = at
		empty := slot.empty()
		b.refs[i] = min(slot.ref()+empty*(fresh+1), last)
		fresh += empty
		b.strange[strange%batchLen], b.known[known%batchLen] = uint8(i), uint8(i)
		strange += empty
		known += 1 - empty
	}
	b.numStrange = int(strange)
	if len(f.chunks) > 0 {
		for _, ref := range b.refs[:b.n] {
			sum += uint64(f.at(ref).state)
		}
	}
	b.touched += sum
	b.moves = x.moves
}

// lookup is find for the batch's connection i, after look.
func (f *family[A]) lookup(i int) (place, *record[A], uint32) {
	b := &f.batch
	if b.moves != f.index.moves {
		b.places[i] = f.index.home(b.hashes[i])
	}
	return f.find(b.places[i], b.hashes[i], &b.records[i].key)
}
