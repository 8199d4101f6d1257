package pcap

import (
	"math/bits"
	"net/netip"
	"time"
)

const (
	maxPending    = 64               // fragmented datagrams at a time
	fragmentLife  = 30 * time.Second // RFC 791 §3.2, RFC 8200 §4.5: 60 s at most
	fragmentUnit  = 8
	maxFragmented = 0xffff
)

// fragmentKey says what belongs together.
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	protocol uint8
}

// pending is a datagram of which some fragments have come.
type pending struct {
	key      fragmentKey
	begun    time.Time
	used     bool
	protocol uint8 // of its first fragment
	count    int
	total    int // 0 as long as the last fragment is missing
	have     int // units
	units    [(maxFragmented + fragmentUnit) / fragmentUnit / 64]uint64
	buf      []byte
}

// reassembly puts fragments together, in any order.
type reassembly struct {
	slots []pending
}

// add takes a fragment. When it completes a datagram, p becomes that.
func (r *reassembly) add(t time.Time, p *packet, stats *Stats, count *int) bool {
	end := p.offset + len(p.body)
	if len(p.body) == 0 || end > maxFragmented || p.more && len(p.body)%fragmentUnit != 0 {
		stats.Malformed++
		return false
	}
	f := r.find(t, p, stats)
	if f.total > 0 && end > f.total {
		stats.Malformed++
		return false
	}
	f.put(p, end)
	if f.total == 0 || f.have < (f.total+fragmentUnit-1)/fragmentUnit {
		return false
	}
	f.used = false
	*count = f.count
	p.body, p.protocol, p.offset, p.more = f.buf[:f.total], f.protocol, 0, false
	p.extensions()
	return true
}

func (r *reassembly) find(t time.Time, p *packet, stats *Stats) *pending {
	key := fragmentKey{p.src, p.dst, p.id, p.protocol}
	if p.src.Is6() {
		key.protocol = 0 // fragments behind the first need not name it alike
	}
	var free, oldest *pending
	for i := range r.slots {
		f := &r.slots[i]
		if f.used && t.Sub(f.begun).Abs() > fragmentLife {
			f.used = false
			stats.Incomplete++
		}
		switch {
		case f.used && f.key == key:
			return f
		case !f.used:
			free = f
		case oldest == nil || f.begun.Before(oldest.begun):
			oldest = f
		}
	}
	switch {
	case free != nil:
	case len(r.slots) < maxPending:
		r.slots = append(r.slots, pending{})
		free = &r.slots[len(r.slots)-1]
	default:
		free = oldest
		stats.Incomplete++
	}
	*free = pending{key: key, begun: t, used: true, protocol: p.protocol, buf: free.buf}
	return free
}

// put enters a fragment that ends at end.
func (f *pending) put(p *packet, end int) {
	if end > len(f.buf) {
		f.buf = append(f.buf, make([]byte, max(end, min(2*len(f.buf), maxFragmented))-len(f.buf))...)
	}
	copy(f.buf[p.offset:], p.body)
	for u := p.offset / fragmentUnit; u < (end+fragmentUnit-1)/fragmentUnit; u++ {
		w, bit := &f.units[u/64], uint64(1)<<(u%64)
		if *w&bit == 0 {
			f.have++
		}
		*w |= bit
	}
	f.count++
	if p.offset == 0 {
		f.protocol = p.protocol
	}
	if !p.more {
		f.total = end
		f.forget(end)
	}
}

// forget drops what came of units behind the end, which somebody made up.
func (f *pending) forget(end int) {
	from := (end + fragmentUnit - 1) / fragmentUnit
	for w := range f.units {
		if (w+1)*64 <= from {
			continue
		}
		var keep uint64
		if w*64 < from {
			keep = 1<<(from-w*64) - 1
		}
		f.have -= bits.OnesCount64(f.units[w] &^ keep)
		f.units[w] &= keep
	}
}
