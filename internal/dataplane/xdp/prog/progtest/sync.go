package progtest

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
)

// Events takes what is in the ring of announcements out of it.
func (w *World) Events() ([]prog.Event, error) { return drain[prog.Event](w.events) }

// Asks takes what is in the ring of unknown clients out of it.
func (w *World) Asks() ([]prog.Ask, error) { return drain[prog.Ask](w.asks) }

func drain[T any](ring *ringbuf.Reader) (out []T, err error) {
	ring.SetDeadline(time.Now())
	for {
		r, err := ring.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("ring: %w", err)
		}
		out = append(out, *(*T)(unsafe.Pointer(unsafe.SliceData(r.RawSample))))
	}
}

// Inject runs lb_inject over the arrivals, at most prog.Inbox, and returns the
// results. One goroutine at a time may.
func (w *World) Inject(mark uint32, as ...prog.Arrival) ([]uint32, error) {
	in := prog.Inject{Count: uint32(copy(w.inbox, as)), Mark: mark}
	if _, err := w.xdp.Programs["lb_inject"].Run(&ebpf.RunOptions{Context: &in}); err != nil {
		return nil, err
	}
	var out []uint32
	for i := range as {
		out = append(out, w.inbox[i].Result)
	}
	return out, nil
}
