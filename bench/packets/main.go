package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"text/tabwriter"

	"github.com/cilium/ebpf"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
)

func main() {
	runs := flag.Int("runs", 9, "runs per figure, of which the least is taken")
	packets := flag.Uint("packets", 1<<18, "packets per run")
	flag.Parse()
	if err := bench(*runs, uint32(*packets)); err != nil {
		fmt.Fprintln(os.Stderr, "bench/packets:", err)
		os.Exit(1)
	}
}

// The columns: how many flows a run goes through at random.
var columns = []struct {
	name  string
	flows uint32
}{{"1", 1}, {"1k", 1 << 10}, {"64k", 1 << 16}, {"1M", 1 << 20}}

var (
	vip    = netip.MustParseAddr("192.0.2.1")
	server = netip.MustParseAddr("10.1.0.1")
)

// bench makes and prints the table.
func bench(runs int, packets uint32) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("needs root: loads BPF programs")
	}
	d, err := newDriver(runs, packets)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()

	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(out, "net ns per packet\t")
	for _, c := range columns {
		fmt.Fprint(out, c.name, " flows\t")
	}
	fmt.Fprintln(out)
	for _, row := range d.rows() {
		fmt.Fprint(out, row.name, "\t")
		for _, c := range columns {
			cell, err := row.measure(c.flows)
			if err != nil {
				return fmt.Errorf("%s, %s flows: %w", row.name, c.name, err)
			}
			fmt.Fprint(out, cell, "\t")
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

type row struct {
	name    string
	measure func(flows uint32) (string, error)
}

func (d *driver) rows() []row {
	return []row{
		{"empty program (driver alone)", d.absolute},
		{"parse + MAC swap", d.floor},
		{"DR hit", func(n uint32) (string, error) { return d.hit(prog.MethodDR, false, n) }},
		{"DR hit, with sync", d.watched},
		{"DR hit, announced", d.announced},
		{"DR new connection", func(n uint32) (string, error) { return d.fresh(prog.MethodDR, n) }},
		{"NAT hit, to the server", func(n uint32) (string, error) { return d.hit(prog.MethodNAT, false, n) }},
		{"NAT hit, to the client", func(n uint32) (string, error) { return d.hit(prog.MethodNAT, true, n) }},
		{"NAT new connection", func(n uint32) (string, error) { return d.fresh(prog.MethodNAT, n) }},
	}
}

// absolute is what every other figure has subtracted.
func (d *driver) absolute(flows uint32) (string, error) {
	ns, err := d.alone(d.objs.FloorEmpty, clientPacket(progtest.ACK), flows)
	return fmt.Sprintf("%.1f", ns), err
}

func (d *driver) floor(flows uint32) (string, error) {
	ns, err := d.net(d.objs.FloorSwap, clientPacket(progtest.ACK), flows)
	return fmt.Sprintf("%.1f", ns), err
}

// hit measures packets of established connections.
func (d *driver) hit(method uint8, reply bool, flows uint32) (string, error) {
	lb, err := d.establish(method, flows)
	if err != nil {
		return "", err
	}
	p := clientPacket(progtest.ACK)
	if reply {
		p = serverPacket()
		if _, err := d.once(lb, p, flows, flows, false); err != nil {
			return "", err
		}
	}
	ns, err := d.net(lb, p, flows)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.1f", ns), d.quiet()
}

// watched measures packets of connections that are announced now and then, when
// nothing is due: the common case of a director with synchronisation.
func (d *driver) watched(flows uint32) (string, error) {
	if _, err := d.establish(prog.MethodDR, flows); err != nil {
		return "", err
	}
	now, err := d.world.Now()
	if err != nil {
		return "", err
	}
	for i := range d.world.Sets() {
		for way := range d.world.Sets()[i].Way {
			d.world.Sets()[i].Way[way].Told = uint16(max(now>>prog.ToldUnit&prog.ToldTime, 1) << prog.ToldShift)
		}
	}
	s := d.world.Settings
	s.Flags |= prog.SettingSync
	s.SyncFlags, s.Threshold, s.Refresh, s.RetrySpan = prog.SyncAtOnce, 3, 450*125, 450*125/8
	if err := d.world.Set(s); err != nil {
		return "", err
	}
	ns, err := d.net(d.world.Program(progtest.XDP), clientPacket(progtest.ACK), flows)
	return fmt.Sprintf("%.1f", ns), errors.Join(err, d.quiet())
}

// announced measures packets of which each is announced to a ring with room.
func (d *driver) announced(flows uint32) (string, error) {
	lb, err := d.establish(prog.MethodDR, flows)
	if err != nil {
		return "", err
	}
	s := d.world.Settings
	s.Flags |= prog.SettingSync
	s.Threshold, s.Period = 0, 1
	if err := d.world.Set(s); err != nil {
		return "", err
	}
	const packets = 4096
	with, without := math.Inf(1), math.Inf(1)
	for range d.runs * 4 {
		if _, err := d.world.Events(); err != nil {
			return "", err
		}
		ns, err := d.once(lb, clientPacket(progtest.ACK), flows, packets, true)
		if err != nil {
			return "", err
		}
		with = min(with, ns)
		if ns, err = d.once(d.objs.FloorEmpty, clientPacket(progtest.ACK), flows, packets, true); err != nil {
			return "", err
		}
		without = min(without, ns)
	}
	return fmt.Sprintf("%.1f", with-without), d.quiet()
}

// establish opens connections, each by its handshake's packets, in turn.
func (d *driver) establish(method uint8, flows uint32) (*ebpf.Program, error) {
	if err := d.prepare(method); err != nil {
		return nil, err
	}
	lb := d.world.Program(progtest.XDP)
	for _, flags := range []uint8{progtest.SYN, progtest.ACK} {
		if _, err := d.once(lb, clientPacket(flags), flows, flows, false); err != nil {
			return nil, err
		}
	}
	return lb, nil
}

// fresh measures SYNs of which each opens a connection, in a table that holds
// none at first; flows is how many a run opens, 1 is too few to time.
func (d *driver) fresh(method uint8, flows uint32) (string, error) {
	if flows < 1<<10 {
		return "-", nil
	}
	lb := d.world.Program(progtest.XDP)
	p := clientPacket(progtest.SYN)
	with, without := math.Inf(1), math.Inf(1)
	for range d.runs {
		if err := d.prepare(method); err != nil {
			return "", err
		}
		ns, err := d.once(lb, p, flows, flows, false)
		if err != nil {
			return "", err
		}
		with = min(with, ns)
		if ns, err = d.once(d.objs.FloorEmpty, p, flows, flows, false); err != nil {
			return "", err
		}
		without = min(without, ns)
	}
	return fmt.Sprintf("%.1f", with-without), d.quiet()
}

func clientPacket(flags uint8) progtest.Packet {
	return progtest.Packet{
		Dst: progtest.MAC{2, 0, 0, 0, 0, 0xd}, Src: progtest.MAC{2, 0, 0, 0, 0, 0xc},
		SrcIP: netip.MustParseAddr("10.0.0.1"), DstIP: vip, TTL: 64, Proto: progtest.TCP,
		SPort: 1024, DPort: 80, Flags: flags, Payload: make([]byte, 42),
	}
}

func serverPacket() progtest.Packet {
	p := clientPacket(progtest.ACK)
	p.Src = progtest.MAC{2, 0, 0, 0, 0, 0xa}
	p.SrcIP, p.DstIP, p.SPort, p.DPort = server, p.SrcIP, 8080, p.SPort
	return p
}

// prepare empties the world and gives it one service.
func (d *driver) prepare(method uint8) error {
	if err := d.world.Reset(progtest.Options{Sets: sets, Stash: stash}); err != nil {
		return err
	}
	_, err := d.world.Add(progtest.Service{
		Addr: vip, Port: 80, Proto: progtest.TCP,
		Servers: []progtest.Server{{
			Addr: server, Port: 8080, Method: method, Weight: 1,
			DMAC: progtest.MAC{2, 0, 0, 0, 0, 0xa}, SMAC: progtest.MAC{2, 0, 0, 0, 0, 0xd},
		}},
	})
	return err
}

// quiet reports packets that did not go the way that is measured.
func (d *driver) quiet() error {
	r, err := d.world.Reasons()
	if err != nil {
		return err
	}
	delete(r, "stashed")
	if len(r) > 0 {
		return fmt.Errorf("not every packet was forwarded: %v", r)
	}
	return nil
}

// sets holds two entries for each of 2^20 flows, half full.
const (
	sets  = 1 << 19
	stash = 4096
)
