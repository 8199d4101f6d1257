package xdp

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
)

// clock reads the time of the packet path: jiffies, in ticks of about 10 ms
// (abi.h, TIME).
type clock struct {
	prog  *ebpf.Program // lb_clock
	hz    uint64        // jiffies per second
	shift uint32        // of jiffies into ticks
}

// commonHZ are the rates that kernels are configured with, but for a few near
// one of these.
var commonHZ = []uint64{100, 128, 200, 250, 300, 500, 1000}

// newClock finds out how many jiffies a second has. No interface of the kernel
// says so, and its configuration may not be at hand, so it is measured: from
// the edge of one jiffy to the edge of a later one.
func newClock(prog *ebpf.Program) (*clock, error) {
	c := &clock{prog: prog}
	for wait := 40 * time.Millisecond; wait < time.Second; wait *= 2 {
		from, err := c.edge()
		if err != nil {
			return nil, err
		}
		time.Sleep(wait)
		to, err := c.edge()
		if err != nil {
			return nil, err
		}
		if hz, ok := snapHZ(to.Jiffies-from.Jiffies, to.MonoNs-from.MonoNs); ok {
			c.hz, c.shift = hz, tickShift(hz)
			return c, nil
		}
	}
	return nil, fmt.Errorf("jiffies per second: no rate of a kernel fits what was measured; is the host's clock steady?")
}

// edge waits for the next jiffy to begin, at most some 10 ms.
func (c *clock) edge() (prog.Clock, error) {
	first, err := c.read()
	if err != nil {
		return first, err
	}
	for {
		r, err := c.read()
		if err != nil || r.Jiffies != first.Jiffies {
			return r, err
		}
		if r.MonoNs-first.MonoNs > uint64(time.Second) {
			return r, fmt.Errorf("jiffies stand still at %d", r.Jiffies)
		}
	}
}

// snapHZ returns the rate nearest to what was measured, if within 7 %; the
// nearest two common rates are 17 % apart.
func snapHZ(jiffies, ns uint64) (uint64, bool) {
	if ns == 0 {
		return 0, false
	}
	measured := float64(jiffies) * 1e9 / float64(ns)
	best, off := uint64(0), 0.07
	for _, hz := range commonHZ {
		if d := measured/float64(hz) - 1; max(d, -d) < off {
			best, off = hz, max(d, -d)
		}
	}
	return best, best != 0
}

// tickShift makes a tick 75 to 150 Hz.
func tickShift(hz uint64) uint32 {
	shift := uint32(0)
	for hz>>shift > 150 {
		shift++
	}
	return shift
}

func (c *clock) read() (prog.Clock, error) {
	var r prog.Clock
	if _, err := c.prog.Run(&ebpf.RunOptions{Context: &r, ContextOut: &r}); err != nil {
		return r, fmt.Errorf("read the packet path's clock: %w", err)
	}
	return r, nil
}

// now returns the current tick.
func (c *clock) now() (uint32, error) {
	r, err := c.read()
	return uint32(r.Jiffies >> c.shift), err
}

// ticks converts a duration; more than 0 is at least one tick.
func (c *clock) ticks(d time.Duration) uint32 {
	t := uint64(d.Seconds() * float64(c.hz) / float64(uint64(1)<<c.shift))
	if d > 0 && t == 0 {
		t = 1
	}
	return uint32(min(t, 1<<31-1))
}

// duration is the inverse of ticks.
func (c *clock) duration(t int32) time.Duration {
	return time.Duration(float64(t) * float64(uint64(1)<<c.shift) / float64(c.hz) * float64(time.Second))
}
