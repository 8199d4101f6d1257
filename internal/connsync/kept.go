package connsync

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// MaxKept is how many connections are kept for later: about 96 bytes each, 92
// MiB when full.
const MaxKept = 1_000_000

// Kept are connections that were announced and that the dataplane cannot carry
// now: their virtual or real server is unknown here, there is no room, or they
// are of a kind that it does not know. Of each connection the newest
// announcement counts. They die when they would have died in the table.
type Kept struct {
	limit  int
	seed   maphash.Seed
	heads  []uint32 // of the chains of a hash table, entry number + 1
	chunks [][]keptEntry
	n      int
	counts [lvs.NumPlacements]uint64
	hand   uint32 // of Expire
	full   uint64
}

// keptKey is what makes two announcements ones of the same connection.
type keptKey struct {
	client, virtual         [16]byte
	clientPort, virtualPort uint16
	mark                    uint32
	protocol                lvs.Protocol
	bits                    uint8
}

const (
	keptTemplate = 1 << iota
	keptIPv4
	keptNoOutput
	keptDestIPv4
)

type keptEntry struct {
	key      keptKey
	dest     [16]byte
	destPort uint16
	state    lvs.ConnState
	method   lvs.Method
	bits     uint8
	why      lvs.Placement
	next     uint32 // of the chain, entry number + 1
	mark     uint32
	timeout  uint32 // seconds
	deadline int64  // milliseconds since 1970
}

const chunkLen = 1 << 12

// NewKept returns an empty store of at most limit connections.
func NewKept(limit int) *Kept {
	return &Kept{limit: limit, seed: maphash.MakeSeed(), heads: make([]uint32, chunkLen)}
}

// Len is how many there are, those that have run out lately included.
func (k *Kept) Len() int { return k.n }

// Count is how many are kept because of a placement.
func (k *Kept) Count(p lvs.Placement) uint64 { return k.counts[p] }

// Overflow is how many could not be kept because there were too many.
func (k *Kept) Overflow() uint64 { return k.full }

func (k *Kept) at(i uint32) *keptEntry { return &k.chunks[i/chunkLen][i%chunkLen] }

func (k *Kept) head(key *keptKey) *uint32 {
	return &k.heads[maphash.Comparable(k.seed, *key)%uint64(len(k.heads))]
}

// find returns the link that leads to the entry, or to where it would be.
func (k *Kept) find(key *keptKey) *uint32 {
	link := k.head(key)
	for *link != 0 {
		e := k.at(*link - 1)
		if e.key == *key {
			break
		}
		link = &e.next
	}
	return link
}

// Put keeps a connection, whose Expires counts from now, in place of an older
// announcement of it. The mark is the dataplane's clock when the announcement
// was made, or before.
func (k *Kept) Put(now time.Time, c *lvs.Connection, why lvs.Placement, mark uint32) {
	key := keyOf(c)
	link := k.find(&key)
	if *link == 0 {
		if k.n >= k.limit {
			k.full++
			return
		}
		k.grow()
		link = k.find(&key) // growing has moved the chains
		k.n++
		*link = uint32(k.n)
	} else {
		old := k.at(*link - 1)
		if int32(mark-old.mark) < 0 {
			return
		}
		k.counts[old.why]--
	}
	e := k.at(*link - 1)
	next := e.next
	*e = keptEntry{
		key: key, dest: c.Destination.Addr().As16(), destPort: c.Destination.Port(), state: c.State, method: c.Method,
		bits: key.bits, why: why, next: next, mark: mark, timeout: uint32(c.Timeout / time.Second),
		deadline: now.Add(c.Expires).UnixMilli(),
	}
	if c.NoOutput {
		e.bits |= keptNoOutput
	}
	if c.Destination.Addr().Is4() {
		e.bits |= keptDestIPv4
	}
	k.counts[why]++
}

// grow makes room for one more entry.
func (k *Kept) grow() {
	if k.n == len(k.chunks)*chunkLen {
		k.chunks = append(k.chunks, make([]keptEntry, chunkLen))
	}
	*k.at(uint32(k.n)) = keptEntry{}
	if k.n < len(k.heads) {
		return
	}
	k.heads = make([]uint32, 2*len(k.heads))
	for i := range uint32(k.n) {
		e := k.at(i)
		h := k.head(&e.key)
		e.next, *h = *h, i+1
	}
}

// Settle says what became of a connection that was tried: it is forgotten when
// it is in the table now, and does nothing if it was not kept.
func (k *Kept) Settle(c *lvs.Connection, p lvs.Placement) {
	if k.n == 0 {
		return
	}
	key := keyOf(c)
	link := k.find(&key)
	if *link == 0 {
		return
	}
	e := k.at(*link - 1)
	if p.InTable() {
		k.remove(link)
		return
	}
	k.counts[e.why]--
	e.why = p
	k.counts[p]++
}

// remove takes out the entry that link leads to, and moves the last one into
// its place.
func (k *Kept) remove(link *uint32) {
	i := *link - 1
	e := k.at(i)
	k.counts[e.why]--
	*link = e.next
	k.n--
	if last := uint32(k.n); i != last {
		moved := k.at(last)
		*k.find(&moved.key) = i + 1
		*e = *moved
	}
	if spare := len(k.chunks)*chunkLen - k.n; spare >= 2*chunkLen {
		k.chunks = k.chunks[:len(k.chunks)-1]
		k.chunks[:cap(k.chunks)][len(k.chunks)] = nil
	}
}

// Expire forgets what has run out among the next n entries; called again and
// again it gets round to all.
func (k *Kept) Expire(now time.Time, n int) {
	ms := now.UnixMilli()
	for range min(n, k.n) {
		if k.hand == 0 || k.hand > uint32(k.n) {
			k.hand = uint32(k.n)
		}
		if k.n == 0 {
			return
		}
		k.hand--
		if e := k.at(k.hand); e.deadline <= ms {
			k.remove(k.find(&e.key))
		}
	}
}

// Walk appends live connections to buf, as many as it has room for, and
// returns the cursor to go on with: 0 at the start, and after the end. What is
// put or settled between two calls is shown or not; everything else is shown
// once.
func (k *Kept) Walk(now time.Time, cursor uint32, buf []lvs.Connection) (out []lvs.Connection, next uint32) {
	out, next, _ = k.walk(now, cursor, buf, func(lvs.Placement) bool { return true })
	return out, next
}

// Retry is Walk over those that were kept for one of the reasons. The mark is
// the oldest of them.
func (k *Kept) Retry(now time.Time, cursor uint32, buf []lvs.Connection, why func(lvs.Placement) bool) (out []lvs.Connection, next, mark uint32) {
	return k.walk(now, cursor, buf, why)
}

// walk goes down: what remove moves has then been there already.
func (k *Kept) walk(now time.Time, cursor uint32, buf []lvs.Connection, why func(lvs.Placement) bool) (out []lvs.Connection, next, mark uint32) {
	ms := now.UnixMilli()
	if cursor == 0 || cursor > uint32(k.n) {
		cursor = uint32(k.n)
	}
	for ; cursor > 0 && len(buf) < cap(buf); cursor-- {
		e := k.at(cursor - 1)
		if e.deadline <= ms || !why(e.why) {
			continue
		}
		if mark == 0 || int32(e.mark-mark) < 0 {
			mark = e.mark
		}
		buf = append(buf, e.connection(ms))
	}
	return buf, cursor, mark
}

func (e *keptEntry) connection(ms int64) lvs.Connection {
	addr := func(a [16]byte, port uint16, is4 bool) netip.AddrPort {
		x := netip.AddrFrom16(a)
		if is4 {
			x = x.Unmap()
		}
		return netip.AddrPortFrom(x, port)
	}
	is4 := e.key.bits&keptIPv4 != 0
	return lvs.Connection{
		Protocol: e.key.protocol, State: e.state, Method: e.method, Synced: true, FWMark: e.key.mark,
		Client:      addr(e.key.client, e.key.clientPort, is4),
		Virtual:     addr(e.key.virtual, e.key.virtualPort, is4),
		Destination: addr(e.dest, e.destPort, e.bits&keptDestIPv4 != 0),
		Template:    e.bits&keptTemplate != 0, NoOutput: e.bits&keptNoOutput != 0,
		Timeout: time.Duration(e.timeout) * time.Second, Expires: time.Duration(e.deadline-ms) * time.Millisecond,
	}
}

func keyOf(c *lvs.Connection) keptKey {
	key := keptKey{
		client: c.Client.Addr().As16(), virtual: c.Virtual.Addr().As16(),
		clientPort: c.Client.Port(), virtualPort: c.Virtual.Port(),
		mark: c.FWMark, protocol: c.Protocol,
	}
	if c.Template {
		key.bits |= keptTemplate
	}
	if c.Client.Addr().Is4() {
		key.bits |= keptIPv4
	}
	return key
}
