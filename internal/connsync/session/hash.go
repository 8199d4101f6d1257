package session

import (
	"encoding/binary"
	"math/bits"
)

// mix is one step of a multiplying hash.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Odd constants without pattern (the fraction of square roots of primes).
const (
	mixA = 0x6a09e667f3bcc909
	mixB = 0xbb67ae8584caa73b
	mixC = 0x3c6ef372fe94f82b
)

// tail is what a key has besides its addresses.
func (k *key[A]) tail() uint64 {
	return tail(k.ports, k.protocol, k.template) ^ uint64(k.engine)<<16
}

func tail(ports uint32, protocol uint8, template bool) uint64 {
	t := uint64(ports)<<32 | uint64(protocol)<<8
	if template {
		t |= 1
	}
	return t
}

// hash4 is the hash of an IPv4 session, of which addrs are client and virtual
// address as they stand on the wire.
func hash4(addrs, tail, seed uint64) uint64 {
	return mix(mix(addrs^seed, mixA)^tail, mixB^seed)
}

func (k *key[A]) hash(seed uint64) uint64 {
	switch k := any(k).(type) {
	case *key[[4]byte]:
		return hash4(uint64(binary.LittleEndian.Uint32(k.client[:]))|uint64(binary.LittleEndian.Uint32(k.virtual[:]))<<32, k.tail(), seed)
	case *key[[16]byte]:
		return hash6(k, seed)
	}
	return 0
}

func hash6(k *key[[16]byte], seed uint64) uint64 {
	le := binary.LittleEndian
	h := mix(le.Uint64(k.client[:])^seed, le.Uint64(k.client[8:])^mixA)
	h = mix(h^le.Uint64(k.virtual[:]), le.Uint64(k.virtual[8:])^mixC)
	return mix(h^k.tail(), mixB^seed)
}

// hashBytes is a hash of an engine's data, never 0.
func hashBytes(parts ...[]byte) uint32 {
	h := uint64(mixC)
	for _, p := range parts {
		h = mix(h^uint64(len(p)), mixA)
		for _, b := range p {
			h = mix(h^uint64(b), mixB)
		}
	}
	return uint32(h) | 1
}
