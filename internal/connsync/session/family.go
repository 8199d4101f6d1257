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
	noRef    = math.MaxUint32
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
	hash    func(k *key[A], seed uint64) uint64
	addr    func(A) netip.Addr
}

// batch is connections of one message that have been read and not entered.
type batch[A address] struct {
	n       int
	records [batchLen]record[A]
	hashes  [batchLen]uint64
	touched uint64 // keeps the compiler from leaving reads out
}

func (f *family[A]) at(ref uint32) *record[A] {
	return &f.chunks[ref/chunkLen][ref%chunkLen]
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
	f.index.insert(hash, ref)
	f.used++
}

func (f *family[A]) extend() {
	f.chunks = append(f.chunks, new([chunkLen]record[A]))
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

func (f *family[A]) remove(hash uint64, ref uint32, r *record[A]) {
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
				f.remove(f.hash(&r.key, seed), ref, r)
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
		Client:  netip.AddrPortFrom(f.addr(r.client), r.cport),
		Virtual: netip.AddrPortFrom(f.addr(r.virtual), r.vport),
		Dest:    netip.AddrPortFrom(f.addr(r.dest), r.dport),
		FWMark:  r.fwmark, SyncID: r.syncID, Version: r.version, Director: directors[r.director].Addr,
		First: time.Unix(0, r.first).UTC(), Last: time.Unix(0, r.last).UTC(),
		Timeout: time.Duration(r.timeout) * time.Second,
	}
}

// touch reads what entering the batch will read, the index first and then the
// records that it names.
func (f *family[A]) touch() {
	b := &f.batch
	var sum uint64
	for _, h := range b.hashes[:b.n] {
		if s := f.index.segment(h); len(s.slots) > 0 {
			sum += s.slots[h&uint64(len(s.slots)-1)]
		}
	}
	for _, h := range b.hashes[:b.n] {
		if ref := f.index.candidate(h); ref != noRef {
			sum += uint64(f.at(ref).state)
		}
	}
	b.touched += sum
}
