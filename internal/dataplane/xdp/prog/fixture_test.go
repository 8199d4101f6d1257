package prog_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
)

// The cast: client, director, two real servers.
var (
	clientMAC   = progtest.MAC{2, 0, 0, 0, 0, 0x0c}
	directorMAC = progtest.MAC{2, 0, 0, 0, 0, 0x0d}
	vmac        = progtest.MAC{0, 0, 0x5e, 0, 1, 51}
	serverMAC   = [...]progtest.MAC{{2, 0, 0, 0, 0, 0xa1}, {2, 0, 0, 0, 0, 0xa2}}

	client  = netip.MustParseAddr("10.0.0.9")
	vip     = netip.MustParseAddr("192.0.2.1")
	servers = [...]netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")}
)

var hooks = []progtest.Hook{progtest.XDP, progtest.TC}

// The programs are loaded once: the verifier takes most of a second.
var shared *progtest.World

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.Close()
	}
	os.Exit(code)
}

// world is the shared world, reset, or the reason why there is none. Tests
// that use it do not run in parallel.
func world(t testing.TB, o progtest.Options) *progtest.World {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
	var err error
	if shared == nil {
		shared, err = progtest.New(progtest.Options{Sets: 4096})
	}
	if ve, ok := errors.AsType[*ebpf.VerifierError](err); ok {
		s := fmt.Sprintf("%+v", ve)
		t.Fatal(s[max(0, len(s)-3500):])
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Reset(o); err != nil {
		t.Fatal(err)
	}
	return shared
}

// server is real server i with a method.
func server(i int, method uint8) progtest.Server {
	return progtest.Server{
		Addr: servers[i], Port: 8080, Method: method, Weight: 1,
		DMAC: serverMAC[i], SMAC: directorMAC,
	}
}

// service is the VIP's port 80 over the given servers.
func service(proto uint8, s ...progtest.Server) progtest.Service {
	return progtest.Service{Addr: vip, Port: 80, Proto: proto, Servers: s}
}

func add(t testing.TB, w *progtest.World, s progtest.Service) progtest.Added {
	t.Helper()
	a, err := w.Add(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// fromClient is a packet from a client port to the service.
func fromClient(proto uint8, port uint16, flags uint8) progtest.Packet {
	return progtest.Packet{
		Dst: directorMAC, Src: clientMAC, SrcIP: client, DstIP: vip, TTL: 64, ID: 7,
		Proto: proto, SPort: port, DPort: 80, Flags: flags, Payload: []byte("GET / HTTP/1.1\r\n"),
	}
}

// fromServer is what server i answers to p, as NAT makes it come by.
func fromServer(i int, p progtest.Packet, flags uint8) progtest.Packet {
	p.Dst, p.Src = directorMAC, serverMAC[i]
	p.SrcIP, p.DstIP = servers[i], p.SrcIP
	p.SPort, p.DPort = 8080, p.SPort
	p.Flags = flags
	return p
}

// toServer is p as server i gets it by the method.
func toServer(i int, method uint8, p progtest.Packet) progtest.Packet {
	p.Dst, p.Src = serverMAC[i], directorMAC
	p.TTL--
	p.Trailer = max(p.Trailer, 0)
	if method == prog.MethodNAT {
		p.DstIP, p.DPort = servers[i], 8080
	}
	return p
}

// run sends p and returns verdict and frame.
func run(t testing.TB, w *progtest.World, h progtest.Hook, p progtest.Packet) (string, []byte) {
	t.Helper()
	v, out, err := w.Run(h, p.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return v, out
}

// sent is the verdict for a packet that leaves by the interface it came from.
func sent(h progtest.Hook) string {
	if h == progtest.XDP {
		return progtest.Tx
	}
	return progtest.Redirect
}

// expect sends p and checks verdict and frame.
func expect(t testing.TB, w *progtest.World, h progtest.Hook, p progtest.Packet, verdict string, want progtest.Packet) {
	t.Helper()
	v, out := run(t, w, h, p)
	if v != verdict {
		t.Fatalf("verdict %s, want %s; reasons %v", v, verdict, reasons(t, w))
	}
	if b := want.Bytes(); !bytes.Equal(out, b) {
		t.Fatalf("frame differs (-want +got):\n%s", cmp.Diff(hex.Dump(b), hex.Dump(out)))
	}
}

func reasons(t testing.TB, w *progtest.World) map[string]uint64 {
	t.Helper()
	r, err := w.Reasons()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantReasons compares the reason counters.
func wantReasons(t testing.TB, w *progtest.World, want map[string]uint64) {
	t.Helper()
	if d := cmp.Diff(want, reasons(t, w)); d != "" {
		t.Errorf("reasons (-want +got):\n%s", d)
	}
}

// wantCount compares the counts of a destination.
func wantCount(t testing.TB, w *progtest.World, dest uint32, active, inactive int32) {
	t.Helper()
	c := w.Count(dest)
	if c.Active != active || c.Inactive != inactive {
		t.Errorf("destination %d has %d active, %d inactive, want %d, %d", dest, c.Active, c.Inactive, active, inactive)
	}
}

func audit(t testing.TB, w *progtest.World) {
	t.Helper()
	if err := w.Audit(); err != nil {
		t.Error(err)
	}
}

// wantState checks the state of the entry of a packet's flow.
func wantState(t testing.TB, w *progtest.World, p progtest.Packet, state uint32) {
	t.Helper()
	e := w.Conn(progtest.FlowOf(p))
	if e == nil {
		t.Fatalf("no entry for %v:%d", p.SrcIP, p.SPort)
	}
	if got := e.State & prog.StateMask; got != state {
		t.Errorf("state %d, want %d", got, state)
	}
}
