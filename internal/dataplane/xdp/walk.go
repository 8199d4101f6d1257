package xdp

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// What one call of Walk looks at and returns at most: some 3 ms, for which the
// lock is held.
const (
	walkSets        = 1 << 14
	walkConnections = 1 << 13
)

// Walk appends connections of the table to buf, from cursor on (0 is the
// start), about as many as buf has room for, and returns the cursor to go on
// with, 0 after the end. One that was there all the time of a walk is in it at
// least once; one that came or went meanwhile may be in it or not.
func (d *Dataplane) Walk(cursor uint32, buf []lvs.Connection) (out []lvs.Connection, next uint32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return buf, 0, errClosed
	}
	now, err := d.clock.now()
	if err != nil {
		return buf, cursor, err
	}
	sets := d.obj.mem.conns
	if int(cursor) >= len(sets) {
		out, err = d.appendStash(buf, now)
		return out, 0, err
	}
	room := len(buf) + min(cap(buf)-len(buf), walkConnections)
	end := min(int(cursor)+walkSets, len(sets))
	i := int(cursor)
	for out = buf; i < end; i++ {
		// At least one set, or a walk with a small buffer would never end.
		if i > int(cursor) && len(out)+prog.Ways > room {
			break
		}
		out = d.appendSet(out, &sets[i], now)
	}
	if i == len(sets) && !d.scan.stashed() {
		return out, 0, nil
	}
	return out, uint32(i), nil
}

// appendSet appends the connections in one set.
func (d *Dataplane) appendSet(out []lvs.Connection, set *prog.ConnSet, now uint32) []lvs.Connection {
	for w := range prog.Ways {
		tag := atomic.LoadUint32(&set.Tag[w])
		if tag == prog.TagFree || tag == prog.TagClaimed {
			continue
		}
		word := atomic.LoadUint32(&set.Way[w].State)
		e := set.Way[w]
		// The copy is whole if the way still is the same entry's: a new one
		// has another epoch in its word.
		again := atomic.LoadUint32(&set.Way[w].State)
		if atomic.LoadUint32(&set.Tag[w]) == tag && again>>prog.EpochShift == word>>prog.EpochShift {
			out = d.appendEntry(out, &e, word, now)
		}
	}
	return out
}

// appendEntry appends the connection of an entry, if it lives.
func (d *Dataplane) appendEntry(out []lvs.Connection, e *prog.Conn, word, now uint32) []lvs.Connection {
	to := d.tab.owner(e.Dest, e.DestGen)
	if !live(word) || word&prog.WordReply != 0 || to == nil || past(now, e.Last, e.Timeout) {
		return out
	}
	return append(out, connection(e, word, now, d.clock, to))
}

// appendStash appends the connections outside of the table.
func (d *Dataplane) appendStash(out []lvs.Connection, now uint32) ([]lvs.Connection, error) {
	if !d.scan.stashed() {
		return out, nil
	}
	stash := d.obj.maps["stash"]
	// All of them in one call or, should buckets be fuller than their share, two:
	// by key, an entry deleted meanwhile would end the walk or start it anew.
	keys, entries := make([]prog.Flow, stash.MaxEntries()), make([]prog.Conn, stash.MaxEntries())
	var cursor ebpf.MapBatchCursor
	for {
		n, err := stash.BatchLookup(&cursor, keys, entries, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return out, fmt.Errorf("map stash: %w", err)
		}
		for i := range entries[:n] {
			out = d.appendEntry(out, &entries[i], entries[i].State, now)
		}
		if err != nil || n == 0 {
			return out, nil
		}
	}
}
