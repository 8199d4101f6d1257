package xdp

import (
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// This file is user space's half of the connection table's protocol (abi.h,
// THE CONNECTION TABLE). The other half is bpf/table.h.

// locator names a way: set and way, plus 1.
func locator(set, way int) uint32 { return uint32(set)<<3 | uint32(way) + 1 }

// at follows a locator; nil for none, the stash, and one out of range.
func (m *memory) at(loc uint32) (tag *uint32, e *connEntry) {
	if loc == locNone || loc == locStash || int((loc-1)>>3) >= len(m.conns) {
		return nil, nil
	}
	s := &m.conns[(loc-1)>>3]
	return &s.Tag[(loc-1)&7], &s.Way[(loc-1)&7]
}

// asReply is the same 64 bytes as a reply entry.
func asReply(e *connEntry) *replyEntry { return (*replyEntry)(unsafe.Pointer(e)) }

func live(word uint32) bool { return word&stateMask != stateDead && word&connTentative == 0 }

// past is the deadline's rule; ticks wrap.
func past(now, last, timeout uint32) bool { return int32(now-last) > int32(timeout) }

// dead reports whether nobody may use a live forward entry any more.
func (m *memory) dead(e *connEntry, now uint32, generation func(dest uint32) uint32) bool {
	return past(now, atomic.LoadUint32(&e.Last), atomic.LoadUint32(&e.Timeout)) || generation(e.Dest) != e.DestGen
}

// free is the protocol's step of that name for the entry at loc whose word was
// seen as word. False: somebody else changed or freed it.
func (m *memory) free(loc uint32, word uint32, overload func(dest uint32)) bool {
	tag, e := m.at(loc)
	if e == nil || word&stateMask == stateDead || !atomic.CompareAndSwapUint32(&e.State, word, word|stateDead) {
		return false
	}
	if word&connReply == 0 {
		if word&connTentative == 0 {
			m.uncount(e.Dest, word)
			overload(e.Dest)
		}
		m.freeReply(e, loc, word>>epochShift)
	}
	atomic.StoreUint32(tag, tagFree)
	return true
}

func (m *memory) uncount(dest, word uint32) {
	if int(dest) >= len(m.counts) {
		return
	}
	if countsActive(word) {
		atomic.AddInt32(&m.counts[dest].Active, -1)
	} else {
		atomic.AddInt32(&m.counts[dest].Inactive, -1)
	}
}

// freeReply frees the reply entry of forward entry e at loc, if it still is
// e's. One in the stash is left to lb_sweep, which finds it orphaned.
func (m *memory) freeReply(e *connEntry, loc, epoch uint32) {
	tag, other := m.at(e.Peer)
	if other == nil {
		return
	}
	r := asReply(other)
	word := atomic.LoadUint32(&r.State)
	if word&connReply == 0 || word&stateMask == stateDead || r.Peer != loc || r.FwdEpoch != epoch ||
		r.Key.Dst != e.Key.Src || r.Key.Dport != e.Key.Sport || r.Key.Proto != e.Key.Proto {
		return
	}
	if atomic.CompareAndSwapUint32(&r.State, word, word|stateDead) {
		atomic.StoreUint32(tag, tagFree)
	}
}

// orphaned reports whether the connection of a reply entry is gone. Entries
// whose connection is in the stash are not judged here.
func (m *memory) orphaned(r *replyEntry) bool {
	if r.Peer == locStash {
		return false
	}
	_, f := m.at(r.Peer)
	if f == nil {
		return true
	}
	w := atomic.LoadUint32(&f.State)
	return w>>epochShift != r.FwdEpoch || w&stateMask == stateDead || w&connReply != 0 ||
		f.Key.Src != r.Key.Dst || f.Key.Sport != r.Key.Dport
}

// connection returns e as ipvs lists it.
func connection(e connEntry, word, now uint32, c *clock, dest netip.AddrPort, method lvs.Method) lvs.Connection {
	return lvs.Connection{
		Protocol:    lvs.Protocol(e.Key.Proto),
		Client:      netip.AddrPortFrom(addrOf(e.Key.Src), be16(e.Key.Sport)),
		Virtual:     netip.AddrPortFrom(addrOf(e.Key.Dst), be16(e.Key.Dport)),
		Destination: dest,
		State:       lvs.ConnState(word & stateMask),
		Expires:     max(0, c.duration(int32(e.Timeout-(now-e.Last)))),
		InPackets:   e.InPkts,
		Method:      method,
	}
}
