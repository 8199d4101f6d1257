package watch_test

import (
	"testing"
	"unsafe"

	"github.com/kaname-lb/kaname/internal/connsync/watch"
)

func TestArena(t *testing.T) {
	const size = 2 << 20
	var a watch.Arena
	defer a.Close()
	seen := map[uintptr]bool{}
	for range 40 { // more than one region
		b := a.Take(size)
		if len(b) != size || cap(b) != size {
			t.Fatalf("%d bytes, room for %d", len(b), cap(b))
		}
		at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
		if at%size != 0 || seen[at] {
			t.Errorf("%#x: no huge page, or given out twice", at)
		}
		seen[at] = true
		if b[0] != 0 || b[size-1] != 0 {
			t.Error("not zero")
		}
		b[0], b[size-1] = 1, 1
	}
	if a.Used() != 40*size {
		t.Errorf("%d bytes used", a.Used())
	}
}
