package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
)

// driver runs programs under test.
type driver struct {
	objs    driverObjects
	world   *progtest.World
	runs    int
	packets uint32
}

func newDriver(runs int, packets uint32) (*driver, error) {
	d := &driver{runs: max(runs, 1), packets: max(packets, 1024)}
	if err := loadDriverObjects(&d.objs, nil); err != nil {
		return nil, fmt.Errorf("load driver: %w", err)
	}
	w, err := progtest.New(progtest.Options{Sets: sets, Stash: stash})
	if err != nil {
		return nil, errors.Join(err, d.objs.Close())
	}
	d.world = w
	return d, nil
}

func (d *driver) close() error {
	d.world.Close()
	return d.objs.Close()
}

// net is the program's own time in ns per packet: (driver + program) minus
// (driver + empty), measured in turn, the least of the runs of each. Whatever
// else the machine does only adds to a run, so the least is nearest to the
// truth; the median of few runs on a busy machine is not.
func (d *driver) net(p *ebpf.Program, pkt progtest.Packet, flows uint32) (float64, error) {
	with, without := math.Inf(1), math.Inf(1)
	for range d.runs {
		ns, err := d.once(p, pkt, flows, d.packets, true)
		if err != nil {
			return 0, err
		}
		with = min(with, ns)
		if ns, err = d.once(d.objs.FloorEmpty, pkt, flows, d.packets, true); err != nil {
			return 0, err
		}
		without = min(without, ns)
	}
	return with - without, nil
}

// alone is ns per packet with the driver's own time in it.
func (d *driver) alone(p *ebpf.Program, pkt progtest.Packet, flows uint32) (float64, error) {
	least := math.Inf(1)
	for range d.runs {
		ns, err := d.once(p, pkt, flows, d.packets, true)
		if err != nil {
			return 0, err
		}
		least = min(least, ns)
	}
	return least, nil
}

// once sends packets through driver and p and returns ns per packet.
func (d *driver) once(p *ebpf.Program, pkt progtest.Packet, flows, packets uint32, random bool) (float64, error) {
	if err := d.objs.UnderTest.Put(uint32(0), p); err != nil {
		return 0, fmt.Errorf("hand the program to the driver: %w", err)
	}
	frame := pkt.Bytes()
	s := driverDrive{
		Len: uint32(len(frame)), Mask: flows - 1, X: 12345,
		AddrOff: 26, PortOff: 34, Last: uint64(packets - 1),
	}
	if random {
		s.Random = 1
	}
	if pkt.DPort != 80 {
		s.AddrOff, s.PortOff = 30, 36 // to the client
	}
	copy(s.Head[:], frame)
	if err := d.objs.Control.Put(uint32(0), &s); err != nil {
		return 0, err
	}
	ret, err := d.objs.Driver.Run(&ebpf.RunOptions{Data: frame, Repeat: packets})
	if err != nil {
		return 0, fmt.Errorf("run: %w", err)
	}
	if ret == 0 {
		return 0, fmt.Errorf("the driver gave up (XDP_ABORTED)")
	}
	if packets < 2 {
		return 0, nil // a warm-up: nothing to time
	}
	if err := d.objs.Control.Lookup(uint32(0), &s); err != nil {
		return 0, err
	}
	if s.T1 <= s.T0 {
		return 0, fmt.Errorf("no time was taken over %d packets", packets)
	}
	return float64(s.T1-s.T0) / float64(packets-1), nil
}
