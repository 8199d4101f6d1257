package checker_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/health/checker"
)

func TestTCP(t *testing.T) {
	t.Parallel()
	open := listen(t, "127.0.0.1:0", func(c net.Conn) { c.Close() })
	six := listen(t, "[::1]:0", func(c net.Conn) { c.Close() })
	for _, tc := range []struct {
		name    string
		connect checker.Connect
		ok      bool
		want    string // reason, or its begin
	}{
		{"open", checker.Connect{To: open}, true, "connected"},
		{"IPv6", checker.Connect{To: six}, true, "connected"},
		{"closed", checker.Connect{To: closedPort(t)}, false, "connect: connection refused"},
		{"full", checker.Connect{To: fullListener(t), Timeout: 150 * time.Millisecond}, false, "timed out after 150ms"},
		{"bindto", checker.Connect{To: open, From: netip.MustParseAddr("127.0.0.9")}, true, "connected"},
		{
			"bindto not ours",
			checker.Connect{To: open, From: netip.MustParseAddr("192.0.2.77")},
			false,
			"bind: cannot assign requested address",
		},
		{
			"bind_if missing",
			checker.Connect{To: open, Device: "nosuchif0"},
			false,
			"dial: bind to device nosuchif0: ",
		},
		{"no address", checker.Connect{}, false, "no address and port to connect to"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := checker.Run(t.Context(), checker.Target{Kind: checker.TCP, Connect: tc.connect})
			if got.OK != tc.ok || !strings.HasPrefix(got.Reason, tc.want) || strings.Contains(got.Reason, "\n") {
				t.Errorf("got %t %q, want %t %q", got.OK, got.Reason, tc.ok, tc.want)
			}
			if got.Duration <= 0 {
				t.Errorf("duration %s", got.Duration)
			}
		})
	}
}

// TestTCPSource sees where the probe comes from, and that a fixed port can be
// used again at once.
func TestTCPSource(t *testing.T) {
	t.Parallel()
	from := make(chan string, 1)
	to := listen(t, "127.0.0.1:0", func(c net.Conn) { from <- c.RemoteAddr().String(); c.Close() })
	source := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.23"), closedPort(t).Port())
	for range 3 {
		got := checker.Run(t.Context(), checker.Target{Kind: checker.TCP, Connect: checker.Connect{
			To: to, From: source.Addr(), FromPort: source.Port(), Device: loIfRoot(),
		}})
		if !got.OK {
			t.Fatalf("probe: %s", got.Reason)
		}
		if remote := <-from; remote != source.String() {
			t.Fatalf("came from %s, want %s", remote, source)
		}
	}
}

// TestTCPClose sees an orderly close and nothing sent.
func TestTCPClose(t *testing.T) {
	t.Parallel()
	type end struct {
		n   int
		err error
	}
	ends := make(chan end, 1)
	to := listen(t, "127.0.0.1:0", func(c net.Conn) {
		defer c.Close()
		n, err := c.Read(make([]byte, 10))
		ends <- end{n, err}
	})
	if got := checker.Run(t.Context(), checker.Target{Kind: checker.TCP, Connect: checker.Connect{To: to}}); !got.OK {
		t.Fatal(got.Reason)
	}
	if e := <-ends; e.n != 0 || e.err == nil || e.err.Error() != "EOF" {
		t.Errorf("server read %d bytes, %v; want an end of file and not a reset", e.n, e.err)
	}
}

func TestTCPCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	got := checker.Run(ctx, checker.Target{Kind: checker.TCP, Connect: checker.Connect{To: fullListener(t)}})
	if got.OK || got.Reason != "cancelled" {
		t.Errorf("got %+v, want cancelled", got)
	}
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()
	got := checker.Run(t.Context(), checker.Target{Kind: "DNS_CHECK"})
	if got.OK || got.Reason != `no checker of kind "DNS_CHECK"` {
		t.Errorf("got %+v", got)
	}
}

// listen accepts on addr until the test ends and hands each connection to serve.
func listen(t *testing.T, addr string, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// closedPort returns a port that nobody listens on: bound, never listening.
func closedPort(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, port := bound(t)
	t.Cleanup(func() { unix.Close(fd) })
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
}

// fullListener returns a listener whose queue is full, so that SYNs to it are
// dropped: a host that does not answer.
func fullListener(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, port := bound(t)
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	for range 3 {
		c, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue of the listener does not fill")
	return addr
}

func bound(t *testing.T) (fd int, port uint16) {
	t.Helper()
	fd, err := boundTo(0)
	if err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, uint16(sa.(*unix.SockaddrInet4).Port)
}

// boundTo returns a socket that has a port of the loopback address to itself.
func boundTo(port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// loIfRoot is the loopback device where binding to one is allowed.
func loIfRoot() string {
	if unix.Geteuid() == 0 {
		return "lo"
	}
	return ""
}
