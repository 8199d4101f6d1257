package connsyncio_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// sink is a table that costs nothing: it places everything and has n made-up
// connections.
type sink struct {
	n        uint32
	made     lvs.Connection
	offer    chan int
	injected atomic.Int64
	arrived  chan struct{}
}

func newSink(n uint32) *sink {
	return &sink{n: n, made: connections(0, 1)[0], offer: make(chan int, 1), arrived: make(chan struct{}, 1)}
}

func (s *sink) SetSync(*lvs.SyncRules) error { return nil }
func (s *sink) Mark() (uint32, error)        { return 1, nil }
func (s *sink) Entries() uint64              { return uint64(s.n) }

func (s *sink) Announcements(ctx context.Context, buf []lvs.Connection) ([]lvs.Connection, uint64, error) {
	select {
	case n := <-s.offer:
		return s.fill(buf, n), 0, nil
	case <-ctx.Done():
		return buf, 0, nil
	}
}

func (s *sink) fill(buf []lvs.Connection, n int) []lvs.Connection {
	for i := range n {
		s.made.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1024)
		buf = append(buf, s.made)
	}
	return buf
}

func (s *sink) Inject(cs []lvs.Connection, out []lvs.Placement, _ uint32) error {
	clear(out)
	s.injected.Add(int64(len(cs)))
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	return nil
}

func (s *sink) Walk(cursor uint32, buf []lvs.Connection) ([]lvs.Connection, uint32, error) {
	k := min(int(s.n-cursor), cap(buf))
	for i := range k {
		c := cursor + uint32(i)
		s.made.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(c >> 16), byte(c >> 8), byte(c)}), 1024)
		buf = append(buf, s.made)
	}
	if cursor += uint32(k); cursor >= s.n {
		cursor = 0
	}
	return buf, cursor, nil
}

// cpu is what this process has used.
func cpu() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(unix.TimevalToNsec(r.Utime) + unix.TimevalToNsec(r.Stime))
}

// BenchmarkCatchUp fetches a table of 1,000,000 connections over a veth.
func BenchmarkCatchUp(b *testing.B) {
	const n = 1_000_000
	for name, secret := range map[string]string{"plain": "", "keyed": "secret"} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				spec := connsyncio.Spec{CatchUp: true, Secret: secret}
				l := segment(b, "a", "b")
				a := startTable(b, l.Host("a"), spec, newSink(n), true, false)
				await(b, "the master listens", 5*time.Second, func() bool { return a.Status().Sent.Datagrams > 0 })
				to := newSink(0)
				before := cpu()
				b.StartTimer()
				d := startTable(b, l.Host("b"), spec, to, false, true)
				await(b, "the table is complete", time.Minute, func() bool { return to.injected.Load() >= n })
				b.StopTimer()
				c := d.Status().CatchUp
				b.ReportMetric(time.Since(c.Since).Seconds(), "s/stream")
				b.ReportMetric((cpu() - before).Seconds(), "cpu-s/1M")
				d.stop()
				a.stop()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkAnnounce announces bursts of 1,000 connections over a veth: with
// nobody who listens, and with one backup. The difference is the backup.
func BenchmarkAnnounce(b *testing.B) {
	const burst = 1000
	for name, tt := range map[string]struct {
		backup bool
		secret string
	}{"master": {}, "both": {backup: true}, "both keyed": {true, "secret"}} {
		b.Run(name, func(b *testing.B) {
			spec := connsyncio.Spec{Rate: 10_000_000, Secret: tt.secret}
			l := segment(b, "a", "b")
			from, to := newSink(0), newSink(0)
			a := startTable(b, l.Host("a"), spec, from, true, false)
			await(b, "the interface is open", 5*time.Second, func() bool { return a.Status().Sent.Datagrams > 0 })
			if tt.backup {
				startTable(b, l.Host("b"), spec, to, false, true).hears(b, 1)
			}
			before, begin := cpu(), time.Now()
			b.ResetTimer()
			for i := range b.N {
				from.offer <- burst
				if tt.backup && i%16 == 15 {
					await(b, "the backup keeps up", 5*time.Second, func() bool { return to.injected.Load() > int64((i-8)*burst) })
				}
			}
			ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
			defer cancel()
			if err := a.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			if tt.backup {
				await(b, "all arrive", 10*time.Second, func() bool { return to.injected.Load() >= int64(b.N)*burst })
			}
			b.StopTimer()
			sent := float64(b.N) * burst
			b.ReportMetric((cpu()-before).Seconds()*1000/(sent/10_000), "cpu-ms/10k")
			b.ReportMetric(sent/time.Since(begin).Seconds(), "conns/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkLatency is from a change at the master to its entry into the
// backup's table.
func BenchmarkLatency(b *testing.B) {
	l := segment(b, "a", "b")
	from, to := newSink(0), newSink(0)
	startTable(b, l.Host("a"), connsyncio.Spec{}, from, true, false)
	startTable(b, l.Host("b"), connsyncio.Spec{}, to, false, true).hears(b, 1)
	for b.Loop() {
		from.offer <- 1
		select {
		case <-to.arrived:
		case <-time.After(5 * time.Second):
			b.Fatal("a connection did not arrive")
		}
	}
}
