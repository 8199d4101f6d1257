package xdp

import (
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// This file is user space's half of the connection table's protocol (abi.h,
// THE CONNECTION TABLE). The other half is bpf/table.h.

// at follows a prog.Locator; nil for none, the stash, and one out of range.
func (m *memory) at(loc uint32) (tag *uint32, e *prog.Conn) {
	if loc == prog.LocNone || loc == prog.LocStash || int((loc-1)>>3) >= len(m.conns) {
		return nil, nil
	}
	s := &m.conns[(loc-1)>>3]
	return &s.Tag[(loc-1)&7], &s.Way[(loc-1)&7]
}

// asReply is the same 64 bytes as a reply entry.
func asReply(e *prog.Conn) *prog.Reply { return (*prog.Reply)(unsafe.Pointer(e)) }

func live(word uint32) bool { return word&prog.StateMask != prog.StateDead && word&prog.Tentative == 0 }

// past is the deadline's rule; ticks wrap.
func past(now, last, timeout uint32) bool { return int32(now-last) > int32(timeout) }

// dead reports whether nobody may use a live forward entry any more.
func (m *memory) dead(e *prog.Conn, now uint32, generation func(dest uint32) uint32) bool {
	return past(now, atomic.LoadUint32(&e.Last), atomic.LoadUint32(&e.Timeout)) || generation(e.Dest) != e.DestGen
}

// free is the protocol's step of that name for the entry at loc whose word was
// seen as word. False: somebody else changed or freed it.
func (m *memory) free(loc uint32, word uint32, overload func(dest uint32)) bool {
	tag, e := m.at(loc)
	if e == nil || word&prog.StateMask == prog.StateDead || !atomic.CompareAndSwapUint32(&e.State, word, word|prog.StateDead) {
		return false
	}
	if word&prog.WordReply == 0 {
		if word&prog.Tentative == 0 {
			m.uncount(e.Dest, word)
			overload(e.Dest)
		}
		m.freeReply(e, loc, word>>prog.EpochShift)
	}
	atomic.StoreUint32(tag, prog.TagFree)
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
func (m *memory) freeReply(e *prog.Conn, loc, epoch uint32) {
	tag, other := m.at(e.Peer)
	if other == nil {
		return
	}
	r := asReply(other)
	word := atomic.LoadUint32(&r.State)
	if word&prog.WordReply == 0 || word&prog.StateMask == prog.StateDead || r.Peer != loc || r.FwdEpoch != epoch ||
		r.Key.Dst != e.Key.Src || r.Key.Dport != e.Key.Sport || r.Key.Proto != e.Key.Proto {
		return
	}
	if atomic.CompareAndSwapUint32(&r.State, word, word|prog.StateDead) {
		atomic.StoreUint32(tag, prog.TagFree)
	}
}

// orphaned reports whether the connection of a reply entry is gone. Entries
// whose connection is in the stash are not judged here.
func (m *memory) orphaned(r *prog.Reply) bool {
	if r.Peer == prog.LocStash {
		return false
	}
	_, f := m.at(r.Peer)
	if f == nil {
		return true
	}
	w := atomic.LoadUint32(&f.State)
	return w>>prog.EpochShift != r.FwdEpoch || w&prog.StateMask == prog.StateDead || w&prog.WordReply != 0 ||
		f.Key.Src != r.Key.Dst || f.Key.Sport != r.Key.Dport
}

// connection returns e as ipvs lists it. A server of a service for any port has
// the port 0, and its connections the client's.
func connection(e *prog.Conn, word, now uint32, c *clock, d *dest) lvs.Connection {
	to := d.want.AddrPort()
	if to.Port() == 0 {
		to = netip.AddrPortFrom(to.Addr(), prog.PortFrom(e.Key.Dport))
	}
	return lvs.Connection{
		Protocol:    lvs.Protocol(e.Key.Proto),
		Client:      netip.AddrPortFrom(prog.Addr4From(e.Key.Src), prog.PortFrom(e.Key.Sport)),
		Virtual:     netip.AddrPortFrom(prog.Addr4From(e.Key.Dst), prog.PortFrom(e.Key.Dport)),
		Destination: to,
		State:       lvs.ConnState(word & prog.StateMask),
		Expires:     max(0, c.duration(int32(e.Timeout-(now-e.Last)))),
		Timeout:     c.duration(int32(e.Timeout)),
		InPackets:   e.InPkts,
		Method:      d.want.Method,
		NoOutput:    word&prog.NoOutput != 0,
		Synced:      word&prog.Synced != 0,
	}
}
