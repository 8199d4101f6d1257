package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// director is a Source made by hand.
type director struct {
	snap      *snapshot.Snapshot
	services  []lvs.ServiceStatus
	conns     int
	connsErr  error
	yielded   atomic.Int64
	reload    api.ReloadResult
	reloadErr error
	wait      bool // reload blocks until its context ends
}

func (d *director) Snapshot() *snapshot.Snapshot           { return d.snap }
func (d *director) Services() ([]lvs.ServiceStatus, error) { return d.services, nil }

func (d *director) Connections(yield func(lvs.Connection) bool) error {
	for i := range d.conns {
		d.yielded.Add(1)
		if !yield(connection(i)) {
			return nil
		}
	}
	return d.connsErr
}

func (d *director) Reload(ctx context.Context) (api.ReloadResult, error) {
	if d.wait {
		<-ctx.Done()
		return api.ReloadResult{}, ctx.Err()
	}
	return d.reload, d.reloadErr
}

func connection(i int) lvs.Connection {
	return lvs.Connection{
		Protocol: lvs.TCP, State: lvs.StateEstablished, Expires: time.Duration(i) * time.Second, Method: lvs.DR,
		Client:      netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(i)),
		Virtual:     netip.MustParseAddrPort("192.0.2.1:80"),
		Destination: netip.MustParseAddrPort("10.0.0.2:80"),
		InPackets:   uint32(i),
	}
}

// serve runs a server of d on a socket and returns a client and the path.
func serve(t *testing.T, d *director) (*api.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "default.sock")
	ln, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := t.Context() // ends before Cleanup
	go func() { done <- api.NewServer(d, nil).Serve(ctx, ln) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
		// The owner still releases what it holds: nobody else may start yet.
		var inUse *api.InUseError
		if l, err := api.Listen(path); !errors.As(err, &inUse) {
			t.Errorf("the lock went with the server: %v, %v", l, err)
		}
		ln.Close()
		if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return api.NewClient(path), path
}

func TestStatus(t *testing.T) {
	want := &snapshot.Snapshot{
		Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Version: "v1", PID: 7,
		Instances: []snapshot.Instance{{
			Name: "VI_1", State: "MASTER", Master: netip.MustParseAddr("192.0.2.250"), AdvertInterval: time.Second,
			Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}, Ignored: map[string]uint64{"password": 3},
		}},
		Services: []snapshot.VirtualServer{{
			Keys:    []lvs.ServiceKey{{Protocol: lvs.UDP, Addr: netip.MustParseAddr("192.0.2.1"), Port: 53}},
			Servers: []snapshot.RealServer{{Addr: netip.MustParseAddrPort("10.0.0.2:53"), Up: true}},
		}},
		Dataplane: snapshot.Dataplane{Timeouts: lvs.Timeouts{UDP: time.Minute}},
	}
	client, _ := serve(t, &director{snap: want})
	got, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	equal := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStarting(t *testing.T) {
	client, _ := serve(t, &director{})
	_, err := client.Status(t.Context())
	var refusal *api.Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "starting") {
		t.Errorf("err = %v", err)
	}
}

func TestServices(t *testing.T) {
	want := []lvs.ServiceStatus{{
		Service: lvs.Service{
			ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("2001:db8::1"), Port: 80},
			Scheduler:  lvs.SH, SchedulerFlags: lvs.SchedPort, Persistence: time.Minute, OnePacket: true,
		},
		Counters: lvs.Counters{Conns: 1 << 63, InPkts: 2}, Rates: lvs.Rates{CPS: 3},
		Destinations: []lvs.DestinationStatus{{
			Destination: lvs.Destination{Addr: netip.MustParseAddr("10.0.0.2"), Port: 80, Method: lvs.NAT, Weight: 5, UpperThreshold: 6},
			Active:      4, Inactive: 5, Counters: lvs.Counters{OutBytes: 9},
		}},
	}}
	client, _ := serve(t, &director{services: want})
	got, err := client.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConnections(t *testing.T) {
	d := &director{conns: 20000}
	client, _ := serve(t, d)
	n := 0
	for c, err := range client.Connections(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c != connection(n) {
			t.Fatalf("entry %d is %+v", n, c)
		}
		n++
	}
	if n != d.conns {
		t.Errorf("%d entries, want %d", n, d.conns)
	}
}

// TestConnectionsStop: a reader that has seen enough ends the listing on the
// director's side too.
func TestConnectionsStop(t *testing.T) {
	d := &director{conns: 1 << 40}
	client, _ := serve(t, d)
	for _, err := range client.Connections(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	deadline := time.Now().Add(10 * time.Second)
	for last := int64(-1); ; {
		now := d.yielded.Load()
		if now == last {
			return
		}
		if last = now; time.Now().After(deadline) {
			t.Fatalf("still listing after %d entries", now)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func TestConnectionsFail(t *testing.T) {
	client, _ := serve(t, &director{conns: 3, connsErr: errors.New("table unmapped")})
	n := 0
	var last error
	for _, err := range client.Connections(t.Context()) {
		if last = err; err == nil {
			n++
		}
	}
	if n != 3 || last == nil || !strings.Contains(last.Error(), "table unmapped") {
		t.Errorf("%d entries, then %v", n, last)
	}
}

// TestConnectionsCut: a director that dies in the middle must not look like
// one with few connections.
func TestConnectionsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"protocol":"TCP","client":"1.2.3.4:5","virtual":"1.2.3.4:5","destination":"1.2.3.4:5"}`+"\n")
	})}
	go srv.Serve(ln)
	defer srv.Close()
	var last error
	for _, err := range api.NewClient(path).Connections(t.Context()) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "ended early") {
		t.Errorf("err = %v", last)
	}
}

func TestReload(t *testing.T) {
	found := []finding.Finding{{Severity: finding.Warning, Rule: "r", What: "w", Where: finding.Place{File: "f", Line: 3, Col: 1}}}
	for _, want := range []api.ReloadResult{
		{OK: true, Findings: found},
		{OK: true, Findings: []finding.Finding{}},
		{Error: "2 errors", Findings: found},
	} {
		client, _ := serve(t, &director{reload: want})
		got, err := client.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	client, _ := serve(t, &director{reloadErr: errors.New("the loop is gone")})
	if _, err := client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "the loop is gone") {
		t.Errorf("err = %v", err)
	}
}

// TestStopDuringReload: Serve ends though a request waits for the director.
func TestStopDuringReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := api.NewServer(&director{wait: true}, nil).Serve(ctx, ln); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	asked := make(chan error, 1)
	go func() {
		_, err := api.NewClient(path).Reload(t.Context())
		asked <- err
	}()
	time.Sleep(50 * time.Millisecond)
	cancel()
	wg.Wait()
	if err := <-asked; err == nil {
		t.Error("the reload that never happened was answered with success")
	}
}

// TestClose: Close ends Serve and what it is answering, whatever ctx says, also
// when it comes first.
func TestClose(t *testing.T) {
	for _, early := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "s")
		ln, err := api.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		srv := api.NewServer(&director{wait: true}, nil)
		if early {
			srv.Close()
		}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(t.Context(), ln) }()
		if !early {
			asked := make(chan error, 1)
			go func() {
				_, err := api.NewClient(path).Reload(t.Context())
				asked <- err
			}()
			time.Sleep(50 * time.Millisecond)
			srv.Close()
			if err := <-asked; err == nil {
				t.Error("a request outlived Close")
			}
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		srv.Close()
	}
}

func TestUnknown(t *testing.T) {
	h := api.NewServer(&director{}, nil)
	for _, c := range []struct {
		method, path string
		code         int
		says         string
	}{
		{"GET", "/v2/status", 404, "speaks version 1"},
		{"GET", "/", 404, "speaks version 1"},
		{"GET", "/v1/nosuch", 404, "/v1/nosuch is not known"},
		{"GET", "/v1/reload", 405, "asked with POST"},
		{"POST", "/v1/status", 405, "asked with GET"},
		{"DELETE", "/v1/connections", 405, "asked with GET"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		var body struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Errorf("%s %s: %v in %q", c.method, c.path, err, w.Body)
		}
		if w.Code != c.code || !strings.Contains(body.Error, c.says) {
			t.Errorf("%s %s: %d %q, want %d and %q", c.method, c.path, w.Code, body.Error, c.code, c.says)
		}
	}
}

// TestHangs: a director that is stopped keeps its socket and says nothing.
func TestHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = api.NewClient(path).Status(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("err = %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "default.sock")
	var gone *api.NotRunningError
	if _, err := api.NewClient(path).Status(t.Context()); !errors.As(err, &gone) || gone.Stale || !strings.Contains(err.Error(), path) {
		t.Errorf("no socket: %v", err)
	}
	stale(t, path)
	if _, err := api.NewClient(path).Status(t.Context()); !errors.As(err, &gone) || !gone.Stale {
		t.Errorf("stale socket: %v", err)
	}
}

// stale leaves a socket on which nobody listens.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

func TestPermission(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: becomes another user in a thread")
	}
	_, path := serve(t, &director{snap: &snapshot.Snapshot{}})
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("socket: %v, %v, want mode 0600", st.Mode(), err)
	}
	// t.TempDir's parent is root's alone, which would hide what is tested.
	if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	connect := func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err := asNobody(t, connect); !errors.Is(err, unix.EACCES) {
		t.Errorf("connect as nobody: %v, want EACCES", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := asNobody(t, connect); err != nil {
		t.Errorf("connect as nobody to an open socket: %v: the test proves nothing", err)
	}
}
