// Command sync prints what the synchronisation of connections costs: how long
// a late backup takes to have a million of them, and what the daemons of both
// sides spend on connections as they are made. Directors, clients and servers
// share this machine's processors.
//
// It needs root and builds the kaname binary itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

const vip = "192.0.2.100"

func topology() lab.Topology {
	host := func(name, last string) lab.HostSpec {
		return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"192.0.2." + last + "/24"}}}}
	}
	return lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}},
		Hosts: []lab.HostSpec{
			host("client", "10"), host("lb1", "11"), host("lb2", "12"),
			host("rs1", "21").AsDRServer(vip), host("rs2", "22").AsDRServer(vip),
		},
	}
}

// config of one director. An instance makes the daemon follow it; without one
// it is master and backup.
func config(sync string, priority int) string {
	return fmt.Sprintf(`global_defs {
    %s
}
@kaname kaname {
@kaname     connections 2097152
@kaname }
vrrp_instance V {
    interface eth0
    virtual_router_id 5
    priority %d
    virtual_ipaddress {
        %s/24
    }
}
virtual_server %s 80 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.21 80 {
    }
    real_server 192.0.2.22 80 {
    }
}
`, sync, priority, vip, vip)
}

func main() {
	sessions := flag.Int("n", 1_000_000, "`SESSIONS` that the late backup fetches")
	length := flag.Duration("t", 10*time.Second, "`TIME` of new connections")
	flag.Parse()
	if err := run(*sessions, *length); err != nil {
		fmt.Fprintln(os.Stderr, "sync:", err)
		os.Exit(1)
	}
}

func run(sessions int, length time.Duration) (err error) {
	ctx := context.Background()
	l, err := lab.Build(topology(), lab.Options{Name: "bench sync"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	defer lab.CloseOnSignal()()
	binary, err := lab.BuildKaname(l.Dir())
	if err != nil {
		return err
	}
	for _, name := range []string{"rs1", "rs2"} {
		if _, err := l.Host(name).Serve(lab.ServerSpec{Listen: ":80"}); err != nil {
			return err
		}
	}
	if err := lateBackup(ctx, l, binary, sessions); err != nil {
		return fmt.Errorf("late backup: %w", err)
	}
	return costs(ctx, l, binary, length)
}

// lateBackup fills one director's table as another director would, starts a
// second director, and waits until that has it all.
func lateBackup(ctx context.Context, l *lab.Lab, binary string, sessions int) error {
	const both = "lvs_sync_daemon eth0 id 7"
	d1, err := l.Host("lb1").StartDirector(ctx, binary, config(both, 200))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "filling a table with %d sessions\n", sessions)
	if err := fill(l.Host("client"), sessions); err != nil {
		return err
	}
	entries := uint64(0)
	for range 20 { // the scanner's count is a second old
		s, err := status(ctx, d1)
		if err != nil {
			return err
		}
		if entries = s.Dataplane.Connections.Entries; entries >= uint64(sessions) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	began := time.Now()
	d2, err := l.Host("lb2").StartDirector(ctx, binary, config(both, 100))
	if err != nil {
		return err
	}
	ready := time.Since(began)
	var c snapshot.CatchUp
	for c.State != "complete" {
		if time.Since(began) > time.Minute {
			return fmt.Errorf("not complete after a minute: %+v", c)
		}
		s, err := status(ctx, d2)
		if err != nil {
			return err
		}
		if s.Sync != nil && s.Sync.CatchUp != nil {
			c = *s.Sync.CatchUp
		}
		time.Sleep(20 * time.Millisecond)
	}
	whole := time.Since(began)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "late backup\tof %d sessions\t\n", entries)
	fmt.Fprintf(w, "the backup's start\t%d ms\t\n", ready.Milliseconds())
	fmt.Fprintf(w, "catch-up stream\t%d ms\t  synced: %d of %d\t\n", c.Until.Sub(c.Since).Milliseconds(), c.Have, c.Want)
	fmt.Fprintf(w, "from start to complete\t%d ms\t\n", whole.Milliseconds())
	if err := w.Flush(); err != nil {
		return err
	}
	return stop(ctx, d1, d2)
}

// fill announces sessions to the segment, 200,000 a second.
func fill(from *lab.Host, sessions int) error {
	conn, err := from.ListenPacket("udp4", "192.0.2.10:0")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // what was sent is sent
	group := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("224.0.0.81:8848"))
	w := connsync.NewWriter(7, connsync.DefaultLen4, false, nil)
	start, sent := time.Now(), 0
	flush := func() error {
		b := w.Finish(connsync.Trailer{})
		sent += w.Len()
		if _, err := conn.WriteTo(b, group); err != nil {
			return err
		}
		w.Reset()
		time.Sleep(time.Until(start.Add(time.Duration(sent) * 5 * time.Microsecond)))
		return nil
	}
	for i := range sessions {
		c := connsync.Conn{
			Protocol: lvs.TCP, State: uint16(lvs.StateEstablished), Flags: connsync.MethodDR | connsync.NoOutput, Timeout: 900,
			Client:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i / 30000 >> 8), byte(i / 30000), 1}), uint16(1024+i%30000)),
			Virtual: netip.MustParseAddrPort(vip + ":80"),
			Dest:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(21 + i%2)}), 80),
		}
		err := w.Add(&c)
		if errors.Is(err, connsync.ErrFull) {
			if err = flush(); err == nil {
				err = w.Add(&c)
			}
		}
		if err != nil {
			return err
		}
	}
	return flush()
}

// costs compares the processor time of both directors with and without a sync
// daemon, per 10,000 connections.
func costs(ctx context.Context, l *lab.Lab, binary string, length time.Duration) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nprocessor time of the daemons\tnew connections/s\tmaster, ms per 10,000\tbackup, ms per 10,000\tidle master, ms/s\t")
	for _, c := range []struct{ name, sync string }{{"no sync daemon", ""}, {"lvs_sync_daemon", "lvs_sync_daemon eth0 V"}} {
		d1, err := l.Host("lb1").StartDirector(ctx, binary, config(c.sync, 200))
		if err != nil {
			return err
		}
		d2, err := l.Host("lb2").StartDirector(ctx, binary, config(c.sync, 100))
		if err != nil {
			return err
		}
		target := netip.MustParseAddrPort(vip + ":80")
		for tries := 0; ; tries++ {
			once, cancel := context.WithTimeout(ctx, time.Second)
			_, err := l.Host("client").Get(once, target)
			cancel()
			if err == nil {
				break
			}
			if tries == 10 {
				return err
			}
		}
		rest, err := spent(l.Host("lb1"), l.Host("lb2"), func() error { time.Sleep(3 * time.Second); return nil })
		if err != nil {
			return err
		}
		var r *lab.LoadResult
		busy, err := spent(l.Host("lb1"), l.Host("lb2"), func() error {
			r = l.Host("client").Load(ctx, lab.Load{Target: target, Clients: 16, Duration: length})
			time.Sleep(time.Second) // what is on its way still
			return nil
		})
		if err != nil {
			return err
		}
		per := func(i int) float64 {
			own := busy[i].Seconds() - rest[i].Seconds()/3*(r.Took.Seconds()+1)
			return own * 1000 / float64(r.OK()) * 10000
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.1f\t%.1f\t\n", c.name, r.PerSecond(), per(0), per(1), float64(rest[0].Milliseconds())/3)
		if err := stop(ctx, d1, d2); err != nil {
			return err
		}
	}
	return w.Flush()
}

// spent is how much processor time the programs of two hosts take during f.
func spent(a, b *lab.Host, f func() error) (out [2]time.Duration, err error) {
	for i, h := range []*lab.Host{a, b} {
		before, err := processorTime(h)
		if err != nil {
			return out, err
		}
		out[i] = -before
	}
	if err := f(); err != nil {
		return out, err
	}
	for i, h := range []*lab.Host{a, b} {
		after, err := processorTime(h)
		if err != nil {
			return out, err
		}
		out[i] += after
	}
	return out, nil
}

// processorTime sums what the processes of a host have used, from their first
// schedstat field, nanoseconds (Documentation/scheduler/sched-stats.rst); each
// thread has one.
func processorTime(h *lab.Host) (time.Duration, error) {
	pids, err := h.PIDs()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, pid := range pids {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			return 0, err
		}
		for _, t := range threads {
			b, err := os.ReadFile(t)
			if err != nil {
				continue // the thread has ended
			}
			first, _, _ := strings.Cut(string(b), " ")
			ns, err := strconv.ParseInt(first, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", t, err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum, nil
}

func status(ctx context.Context, d *lab.Director) (*snapshot.Snapshot, error) {
	out, err := d.Tool(ctx, "status", "--json")
	if err != nil {
		return nil, err
	}
	s := &snapshot.Snapshot{}
	return s, json.Unmarshal([]byte(out), s)
}

// stop ends directors in an orderly way.
func stop(ctx context.Context, ds ...*lab.Director) error {
	for _, d := range ds {
		if err := d.Process.Signal(15); err != nil {
			return err
		}
		ending, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := d.Process.Wait(ending)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
