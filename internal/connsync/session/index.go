package session

// index finds records by hash: open addressing with linear probing, in
// segments that grow on their own, so that growing never takes longer than one
// segment does. Each slot has half of the hash, so neither growing nor most
// mismatches touch a record.
type index struct {
	segments [numSegments]segment
}

type segment struct {
	slots []uint64 // tag<<32 | ref+1, 0 empty; a power of two of them
	n     int
}

const (
	numSegments = 256
	minSlots    = 16
)

// presize makes room for n records in all.
func (x *index) presize(n int) {
	slots := minSlots
	for slots*3/4*numSegments < n {
		slots *= 2
	}
	for i := range x.segments {
		x.segments[i].slots = make([]uint64, slots)
	}
}

func (x *index) segment(hash uint64) *segment { return &x.segments[hash>>56] }

// candidate returns the first ref that may be the one for the hash, noRef if
// there is none.
func (x *index) candidate(hash uint64) uint32 {
	s := x.segment(hash)
	if len(s.slots) == 0 {
		return noRef
	}
	mask := uint64(len(s.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch slot := s.slots[i]; {
		case slot == 0:
			return noRef
		case uint32(slot>>32) == uint32(hash):
			return uint32(slot) - 1
		}
	}
}

// insert enters a ref that is not there.
func (x *index) insert(hash uint64, ref uint32) {
	s := x.segment(hash)
	if s.n >= len(s.slots)/8*7 {
		s.grow()
	}
	s.place(hash<<32 | uint64(ref+1))
	s.n++
}

func (s *segment) place(slot uint64) {
	mask := uint64(len(s.slots) - 1)
	i := slot >> 32 & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = slot
}

func (s *segment) grow() {
	old := s.slots
	s.slots = make([]uint64, max(2*len(old), minSlots))
	for _, slot := range old {
		if slot != 0 {
			s.place(slot)
		}
	}
}

// remove takes out a ref that is there, and moves up those behind it that are
// not where they belong.
func (x *index) remove(hash uint64, ref uint32) {
	s := x.segment(hash)
	mask := uint64(len(s.slots) - 1)
	i := hash & mask
	for s.slots[i] != hash<<32|uint64(ref+1) {
		i = (i + 1) & mask
	}
	for j := i; ; {
		j = (j + 1) & mask
		slot := s.slots[j]
		if slot == 0 {
			break
		}
		// It may fill the hole if the hole is not before its home.
		if home := slot >> 32 & mask; (j-home)&mask >= (j-i)&mask {
			s.slots[i], i = slot, j
		}
	}
	s.slots[i] = 0
	s.n--
}
