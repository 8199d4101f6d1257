package session

import "math"

// index finds records by their hashes: extendible hashing. A directory names
// for the first bits of a hash a segment; the last bits say where in it the
// search begins. A full segment is split in two, so growing never takes longer
// than that, and gives no memory back.
//
// A slot has the whole hash, so neither growing nor most mismatches touch a
// record.
type index struct {
	directory []uint32 // numbers of segments
	depth     uint8    // bits of a hash that the directory goes by
	segments  []*segment
	counts    []uint16 // of each segment: how many of its slots are taken
	depths    []uint8  // of each segment: first bits that all its hashes share
	// moves counts what makes places that were found before worthless.
	moves  uint32
	memory *memory
}

// segment has open addressing with linear probing.
type segment [segmentLen]slot

// slot is hash<<32 | ref+1; 0 for empty.
type slot uint64

// place is where a slot is: the number of a segment, and of the slot in it.
type place uint32

const (
	segmentBits = 11
	segmentLen  = 1 << segmentBits
	slotMask    = segmentLen - 1
	splitAt     = segmentLen / 4 * 3
	maxBits     = 20
	noRef       = math.MaxUint32
)

func slotOf(hash, ref uint32) slot { return slot(hash)<<32 | slot(ref+1) }

func (s slot) hash() uint32 { return uint32(s >> 32) }

// ref is noRef for an empty slot.
func (s slot) ref() uint32 { return uint32(s) - 1 }

// empty is 1 for an empty slot, else 0.
func (s slot) empty() (n uint32) {
	if s == 0 {
		n = 1
	}
	return n
}

// presize makes room for n records in all.
func (x *index) presize(n int) {
	for n > splitAt<<x.depth && x.depth < maxBits {
		x.depth++
	}
	x.directory = make([]uint32, 1<<x.depth)
	for i := range x.directory {
		x.directory[i] = x.add(x.depth)
	}
}

// add adds an empty segment.
func (x *index) add(depth uint8) uint32 {
	x.segments = append(x.segments, allocate[segment](x.memory))
	x.counts = append(x.counts, 0)
	x.depths = append(x.depths, depth)
	return uint32(len(x.segments) - 1)
}

// home is where the search for a hash begins. There must be a directory.
func (x *index) home(hash uint32) place {
	number := x.directory[uint64(hash)<<(x.depth&31)>>32]
	return place(number<<segmentBits | hash&slotMask)
}

func (p place) next() place { return p&^slotMask | (p+1)&slotMask }

func (x *index) slot(p place) *slot { return &x.segments[p>>segmentBits][p&slotMask] }

// probe goes on from p to the first slot that may be the hash's, or is empty.
func (x *index) probe(p place, hash uint32) (place, slot) {
	s := x.segments[p>>segmentBits]
	for i := p & slotMask; ; i = (i + 1) & slotMask {
		// Empty or alike: as one condition, for which of the two nobody can foresee.
		if slot := s[i]; uint64(uint32(slot))*uint64(slot.hash()^hash) == 0 {
			return p&^slotMask | i, slot
		}
	}
}

// full reports whether a segment can take nothing more: too many hashes begin
// alike, which does not happen by chance.
func (x *index) full(p place) bool { return x.counts[p>>segmentBits] >= segmentLen-1 }

// insert enters a ref at the empty slot that probe has found.
func (x *index) insert(p place, hash, ref uint32) {
	*x.slot(p) = slotOf(hash, ref)
	number := p >> segmentBits
	x.counts[number]++
	if x.counts[number] >= splitAt && x.depths[number] < maxBits {
		x.split(uint32(number), hash)
	}
}

// split moves half of a segment, which has the hash in it, to a new one.
func (x *index) split(number, hash uint32) {
	x.moves++
	x.depths[number]++
	depth := x.depths[number]
	if depth > x.depth {
		x.double()
	}
	other := x.add(depth)
	// The second half of the directory's entries for the segment.
	span := 1 << (x.depth - depth)
	first := int(uint64(hash)<<(depth-1)>>32) * 2 * span
	for i := range span {
		x.directory[first+span+i] = other
	}
	old := *x.segments[number]
	*x.segments[number] = segment{}
	x.counts[number] = 0
	for _, slot := range old {
		if slot != 0 {
			x.reenter(slot)
		}
	}
}

// double makes the directory go by one bit more.
func (x *index) double() {
	wider := make([]uint32, 0, 2*len(x.directory))
	for _, number := range x.directory {
		wider = append(wider, number, number)
	}
	x.directory = wider
	x.depth++
}

func (x *index) reenter(slot slot) {
	p := x.home(slot.hash())
	for *x.slot(p) != 0 {
		p = p.next()
	}
	*x.slot(p) = slot
	x.counts[p>>segmentBits]++
}

// remove takes out a ref that is there, and moves up those behind it that are
// not where they belong.
func (x *index) remove(hash, ref uint32) {
	x.moves++
	hole := x.home(hash)
	x.counts[hole>>segmentBits]--
	for *x.slot(hole) != slotOf(hash, ref) {
		hole = hole.next()
	}
	for p := hole.next(); *x.slot(p) != 0; p = p.next() {
		// It may fill the hole if the hole is not before its home.
		home := x.home(x.slot(p).hash())
		if (p-home)&slotMask >= (p-hole)&slotMask {
			*x.slot(hole), hole = *x.slot(p), p
		}
	}
	*x.slot(hole) = 0
}
