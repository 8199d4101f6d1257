package watch

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Arena is memory outside of Go's heap in huge pages, as far as the kernel has
// them: a table of a million sessions lies in 50 of them instead of 25,000
// pages, and most of the time that looking up a session takes is the search for
// its page. The zero value is ready to use; it is for one goroutine.
type Arena struct {
	regions [][]byte
	left    []byte
	used    int
}

const (
	hugePage = 2 << 20
	// regionSize is how much address space is reserved at a time. Memory is used
	// as it is given out.
	regionSize = 64 << 20
)

// Take returns zeroed memory, aligned to its own size up to 2 MiB, nil if there
// is none.
func (a *Arena) Take(size int) []byte {
	if size > len(a.left) && !a.reserve(size) {
		return nil
	}
	b := a.left[:size:size]
	a.left = a.left[size:]
	a.used += size
	return b
}

// Used is how much was taken.
func (a *Arena) Used() int { return a.used }

func (a *Arena) reserve(size int) bool {
	b, err := unix.Mmap(-1, 0, max(regionSize, size)+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return false
	}
	a.regions = append(a.regions, b)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (hugePage - 1)
	a.left = b[skip:]
	// Without huge pages it is memory all the same.
	_ = unix.Madvise(a.left, unix.MADV_HUGEPAGE)
	return true
}

// Close gives all memory back. Nothing that was taken may be used any more.
func (a *Arena) Close() {
	for _, b := range a.regions {
		_ = unix.Munmap(b)
	}
	*a = Arena{}
}
