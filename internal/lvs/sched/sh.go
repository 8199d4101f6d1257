package sched

import (
	"encoding/binary"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// SHSize is the number of buckets of sh's table (CONFIG_IP_VS_SH_TAB_BITS 8,
// the kernel's default and Debian's).
const SHSize = 256

// SHTable builds sh's buckets: each destination in turn fills as many as its
// weight says, and the turns go on until the table is full. A destination of
// weight 0 takes one bucket and is then found unusable there, as in LVS.
func SHTable(dests []lvs.Destination) []int32 {
	table := make([]int32, SHSize)
	at, filled := 0, 0
	for i := range table {
		if len(dests) == 0 {
			table[i] = -1
			continue
		}
		table[i] = int32(at)
		if filled++; filled >= dests[at].Weight {
			at, filled = (at+1)%len(dests), 0
		}
	}
	return table
}

// SHHash is the bucket of a client address and port (0 without sh-port):
// ip_vs_sh_hashkey, of which hash_32 is a multiplication by the golden ratio.
func SHHash(client netip.Addr, port uint16) uint32 {
	return (fold(client) + uint32(port)) * 0x61C88647 >> (32 - 8)
}

func (m *Model) pickSH(f Flow, loads []Load) (int, bool) {
	h := SHHash(f.Client, m.hashedPort(f))
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
	// ip_vs_sh_get_fallback adds the bucket to the offset of the walk and the
	// hash function adds it again, so the walk starts at twice the bucket.
	for offset := range uint32(SHSize) {
		i := m.table[(h+(h+offset)%SHSize)%SHSize]
		if i >= 0 && usable(m.dests[i], loads[i]) {
			return int(i), true
		}
	}
	return 0, false
}

func (m *Model) hashedPort(f Flow) uint16 {
	if m.flags&lvs.SchedPort != 0 {
		return f.Port
	}
	return 0
}

// fold is an address as LVS feeds it to its hash functions: the four bytes of
// IPv4 in host order, the four words of IPv6 combined by exclusive or.
func fold(a netip.Addr) uint32 {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	var x uint32
	for i := 0; i < 16; i += 4 {
		x ^= binary.BigEndian.Uint32(b[i:])
	}
	return x
}
