package checker_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/health/checker"
)

// drive runs a machine and a runner together as the director does, and tells
// what changes, until ctx ends.
func drive(ctx context.Context, spec health.Spec, targets map[health.CheckerID]checker.Target, changes chan<- string) {
	results := make(chan health.Result)
	r := checker.NewRunner(checker.Limits{}, func(res health.Result) {
		select {
		case results <- res:
		case <-ctx.Done():
		}
	})
	defer r.Close()
	m := health.New(spec, rand.New(rand.NewPCG(1, 1)))
	do := func(in health.Input) {
		for _, act := range m.Step(time.Now(), in) {
			switch a := act.(type) {
			case health.Probe:
				r.Start(a, targets[a.Checker])
			case health.Cancel:
				r.Cancel(a)
			case health.ServerChanged:
				changes <- fmt.Sprintf("server %t: %s", a.Up, a.Reason)
			case health.QuorumChanged:
				changes <- fmt.Sprintf("quorum %t", a.Up)
			}
		}
	}
	do(health.Start{})
	for {
		at, _ := m.Deadline() // one checker: none only while it is probed
		timer := time.NewTimer(time.Until(at))
		if at.IsZero() {
			timer.Stop()
		}
		select {
		case <-timer.C:
			do(health.TimerFired{})
		case res := <-results:
			do(res)
		case <-ctx.Done():
			do(health.Stop{})
			return
		}
		timer.Stop()
	}
}

// TestServerComesAndGoes closes and opens the port of a real server.
func TestServerComesAndGoes(t *testing.T) {
	t.Parallel()
	fd, addr := lasting(t)
	defer unix.Close(fd)
	target := checker.Target{Kind: checker.TCP, Connect: checker.Connect{To: addr, Timeout: 10 * time.Second}}
	id := health.CheckerID{Service: "s", Server: addr, Key: target.Key()}
	spec := health.Spec{Services: []health.ServiceSpec{{Name: "s", Quorum: 1, Servers: []health.ServerSpec{{
		Addr: addr, Weight: 1, Checkers: []health.CheckerSpec{{
			Key: id.Key, Alpha: true, Retry: 2, DelayLoop: 20 * time.Millisecond, DelayBeforeRetry: 10 * time.Millisecond,
		}},
	}}}}}
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan string, 10), make(chan struct{})
	go func() {
		defer close(done)
		drive(ctx, spec, map[health.CheckerID]checker.Target{id: target}, changes)
	}()
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-changes:
				if got != w {
					t.Fatalf("got %q, want %q", got, w)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("nothing changed, want %q", w)
			}
		}
	}
	for range 3 {
		if err := unix.Listen(fd, 100); err != nil {
			t.Fatal(err)
		}
		expect("server true: connected", "quorum true")
		// A TCP socket whose listening half is shut down refuses connections
		// and can listen again.
		if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
			t.Fatal(err)
		}
		expect("server false: connect: connection refused", "quorum false")
	}
	cancel()
	<-done
	select {
	case got := <-changes:
		t.Errorf("a change at the stop: %s", got)
	default:
	}
}

// lasting returns a socket that stays bound when it stops listening, which
// only one does that was bound to a port by number.
func lasting(t *testing.T) (int, netip.AddrPort) {
	t.Helper()
	for range 100 {
		other, port := bound(t)
		unix.Close(other)
		if fd, err := boundTo(port); err == nil {
			return fd, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
		}
	}
	t.Fatal("somebody else takes every port")
	return -1, netip.AddrPort{}
}

// TestShortage runs itself with too few descriptors: no verdict on the server.
func TestShortage(t *testing.T) {
	const mark = "KANAME_TEST_SHORTAGE"
	if addr := os.Getenv(mark); addr != "" {
		probeWithoutDescriptors(netip.MustParseAddrPort(addr))
		return
	}
	t.Parallel()
	to := listen(t, "127.0.0.1:0", func(c net.Conn) { c.Close() })
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestShortage$")
	cmd.Env = append(os.Environ(), mark+"="+to.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := slices.Collect(strings.Lines(string(out)))
	for i, kind := range []string{"TCP_CHECK", "HTTP_GET"} {
		want := kind + " false true socket: too many open files\n"
		if i >= len(got) || got[i] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func probeWithoutDescriptors(to netip.AddrPort) {
	warm := checker.Run(context.Background(), checker.Target{Kind: checker.TCP, Connect: checker.Connect{To: to}})
	if !warm.OK { // opens what the runtime polls with
		fmt.Println("the server is not there:", warm.Reason)
	}
	for {
		if _, err := unix.Dup(0); err != nil {
			break
		}
	}
	for _, kind := range []checker.Kind{checker.TCP, checker.HTTP} {
		o := checker.Run(context.Background(), checker.Target{
			Kind: kind, Connect: checker.Connect{To: to}, HTTP: checker.HTTPSpec{URLs: []checker.URL{{Path: "/"}}},
		})
		fmt.Println(kind, o.OK, o.Undecided, o.Reason)
	}
}
