package session

import "unsafe"

// memory gives out what records and the index lie in.
type memory struct {
	more func(size int) []byte
	left []byte
}

// blockSize is how much is asked for at a time: one huge page.
const blockSize = 2 << 20

// allocate returns a zero T, which must have no pointers: the garbage collector
// does not look there.
func allocate[T any](m *memory) *T {
	size := int(unsafe.Sizeof(*new(T)))
	if m.more == nil {
		return new(T)
	}
	if size > len(m.left) {
		if m.left = m.more(blockSize); size > len(m.left) {
			return new(T)
		}
	}
	b := m.left
	m.left = b[size:]
	return (*T)(unsafe.Pointer(unsafe.SliceData(b)))
}
