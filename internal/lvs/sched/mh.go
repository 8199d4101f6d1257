package sched

import (
	"math/bits"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// MHSize is the size of mh's lookup table, a prime
// (CONFIG_IP_VS_MH_TAB_INDEX 12, the kernel's default and Debian's).
const MHSize = 4093

// mhBits bounds the turns of the heaviest destination (IP_VS_MH_TAB_BITS).
const mhBits = 6

// The two keys of mh's hash function, each used for both halves. They are
// constants in the kernel, so every director builds the same table.
const (
	mhKey1 = 2654435761
	mhKey2 = 2654446892
)

// MHTable builds mh's lookup table (Maglev, as ip_vs_mh does it) from each
// destination's last weight that was not 0. Entries are indexes, or -1 all
// over when no destination ever had weight.
func MHTable(dests []lvs.Destination, last []int) []int32 {
	return maglev(dests, mhTurns(last), MHSize)
}

// mhTurns is how many entries each destination takes when it is its turn:
// weights over their divisor, shifted until the largest has six bits; nobody
// who has weight gets none.
func mhTurns(last []int) []int {
	g, top := 0, 0
	for _, w := range last {
		if w > 0 {
			g, top = gcd(w, g), max(top, w)
		}
	}
	turns := make([]int, len(last))
	if g == 0 {
		return turns
	}
	shift := max(bits.Len(uint(top/g))-mhBits, 0)
	for i, w := range last {
		if w > 0 {
			turns[i] = max(w/g>>shift, 1)
		}
	}
	return turns
}

// maglev fills size entries (a prime): in turn, each destination takes the
// next free entries of its own permutation (Eisenbud et al., Maglev, §3.4).
func maglev(dests []lvs.Destination, turns []int, size uint32) []int32 {
	table := make([]int32, size)
	for i := range table {
		table[i] = -1
	}
	at := make([]uint32, len(dests))
	skip := make([]uint32, len(dests))
	total := 0
	for i, d := range dests {
		at[i] = mhHash(fold(d.Addr)+uint32(d.Port), mhKey1) % size
		skip[i] = mhHash(fold(d.Addr)+uint32(d.Port), mhKey2)%(size-1) + 1
		total += turns[i]
	}
	if total == 0 {
		return table
	}
	for filled := uint32(0); filled < size; {
		for i := range dests {
			for range turns[i] {
				for table[at[i]] >= 0 {
					at[i] = (at[i] + skip[i]) % size
				}
				table[at[i]] = int32(i)
				if filled++; filled == size {
					return table
				}
			}
		}
	}
	return table
}

// MHHash is the entry in which the search for a client address plus port (0
// without mh-port) starts; offset is 0 but for the fallback's walk.
func MHHash(f Flow, flags lvs.SchedulerFlags, offset uint32) uint32 {
	v := fold(f.Client) + offset
	if flags&lvs.SchedPort != 0 {
		v += uint32(f.Port)
	}
	return mhHash(v, mhKey1) % MHSize
}

func (m *Model) pickMH(f Flow, loads []Load) (int, bool) {
	h := MHHash(f, m.flags, 0)
	i := m.table[h]
	if i < 0 {
		return 0, false
	}
	if usable(m.dests[i], loads[i]) {
		return int(i), true
	}
	if m.flags&lvs.SchedFallback == 0 {
		return 0, false
	}
	for offset := range uint32(MHSize) {
		i := m.table[MHHash(f, m.flags, (offset+h)%MHSize)]
		if usable(m.dests[i], loads[i]) {
			return int(i), true
		}
	}
	return 0, false
}

// mhHash is the kernel's hsiphash of one 32-bit word on a 64-bit machine:
// SipHash-1-3 with its result folded to 32 bits.
func mhHash(v uint32, key uint64) uint32 {
	b := uint64(4)<<56 | uint64(v)
	s := [4]uint64{
		0x736f6d6570736575 ^ key,
		0x646f72616e646f6d ^ key,
		0x6c7967656e657261 ^ key,
		0x7465646279746573 ^ key,
	}
	s[3] ^= b
	sipRound(&s)
	s[0] ^= b
	s[2] ^= 0xff
	for range 3 {
		sipRound(&s)
	}
	return uint32(s[0] ^ s[1] ^ s[2] ^ s[3])
}

func sipRound(s *[4]uint64) {
	s[0] += s[1]
	s[1] = bits.RotateLeft64(s[1], 13) ^ s[0]
	s[0] = bits.RotateLeft64(s[0], 32)
	s[2] += s[3]
	s[3] = bits.RotateLeft64(s[3], 16) ^ s[2]
	s[0] += s[3]
	s[3] = bits.RotateLeft64(s[3], 21) ^ s[0]
	s[2] += s[1]
	s[1] = bits.RotateLeft64(s[1], 17) ^ s[2]
	s[2] = bits.RotateLeft64(s[2], 32)
}

// Spread builds a ring of size slots (a prime) by which flows can be balanced
// without remembering them, whatever the service's scheduler: a flow's hash
// picks the slot, and few flows move when a destination comes or goes. Shares
// follow the weights. It is nil when no destination has weight.
func Spread(dests []lvs.Destination, size int) []int32 {
	table := maglev(dests, mhTurns(weights(dests)), uint32(size))
	if table[0] < 0 {
		return nil
	}
	return table
}
