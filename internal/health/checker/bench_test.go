package checker_test

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/health/checker"
)

// BenchmarkProbe measures one probe of a server on this host. cpu-ns/op is
// processor time of both sides and the kernel; times 2000 it is the share of a
// core that 10,000 checkers with delay_loop 5 cost at most.
func BenchmarkProbe(b *testing.B) {
	tcp := serve(b, func(c net.Conn) { c.Close() })
	http := serve(b, func(c net.Conn) {
		readRequest(c)
		c.Write([]byte("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"))
		c.Close()
	})
	for _, bc := range []struct {
		name   string
		target checker.Target
	}{
		{"TCP_CHECK", checker.Target{Kind: checker.TCP, Connect: checker.Connect{To: tcp}}},
		{"HTTP_GET", checker.Target{
			Kind: checker.HTTP, Connect: checker.Connect{To: http}, HTTP: checker.HTTPSpec{URLs: []checker.URL{{Path: "/"}}},
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			done := make(chan bool, 1)
			r := checker.NewRunner(checker.Limits{}, func(res health.Result) { done <- res.OK })
			defer r.Close()
			before := cpuTime(b)
			for i := range b.N {
				r.Start(probe(i), bc.target)
				if !<-done {
					b.Fatal("probe failed")
				}
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkMachine measures the machine's part of a probe among 10,000 checkers.
func BenchmarkMachine(b *testing.B) {
	var svc health.ServiceSpec
	for i := range 10_000 {
		svc.Servers = append(svc.Servers, health.ServerSpec{
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80), Weight: 1,
			Checkers: []health.CheckerSpec{{Key: "TCP_CHECK", DelayLoop: 5 * time.Second, Warmup: 5 * time.Second}},
		})
	}
	m := health.New(health.Spec{Services: []health.ServiceSpec{svc}}, rand.New(rand.NewPCG(1, 1)))
	now := time.Now()
	m.Step(now, health.Start{})
	b.ReportAllocs()
	for probes := 0; probes < b.N; {
		now, _ = m.Deadline()
		for _, a := range m.Step(now, health.TimerFired{}) {
			p := a.(health.Probe)
			m.Step(now, health.Result{Checker: p.Checker, Seq: p.Seq, OK: true, Reason: "connected"})
			probes++
		}
	}
}

func serve(b *testing.B, handle func(net.Conn)) netip.AddrPort {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
