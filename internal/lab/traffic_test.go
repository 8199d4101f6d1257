package lab_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

func TestLoadCounts(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client, server := l.Host("client"), l.Host("server")
	s := serve(t, server, lab.ServerSpec{Listen: ":80"})
	load := lab.Load{Target: target, Clients: 4, Duration: 100 * time.Millisecond, Pause: 5 * time.Millisecond, Timeout: 300 * time.Millisecond}

	before := s.Connections()
	r := client.Load(t.Context(), load)
	if r.Failed() != 0 || r.OK() < 4 || r.ByServer["server"] != r.OK() || s.Connections()-before != r.OK() {
		t.Errorf("a connection a request, %d connections: %s", s.Connections()-before, r)
	}

	load.KeepAlive = true
	before = s.Connections()
	r = client.Load(t.Context(), load)
	if r.Failed() != 0 || r.OK() <= 4 || s.Connections()-before != 4 {
		t.Errorf("keep-alive, %d connections for 4 clients: %s", s.Connections()-before, r)
	}

	s.SetStatus(http.StatusServiceUnavailable)
	r = client.Load(t.Context(), load)
	if r.OK() != 0 || r.Outcomes[lab.Status] == 0 || r.Outcomes[lab.Status] != r.Failed() {
		t.Errorf("status 503: %s", r)
	}
	s.SetStatus(0)

	s.ClosePort()
	r = client.Load(t.Context(), load)
	if r.OK() != 0 || r.Outcomes[lab.Refused] == 0 || r.Outcomes[lab.Refused] != r.Failed() {
		t.Errorf("closed port: %s", r)
	}
	if err := s.OpenPort(); err != nil {
		t.Fatal(err)
	}
	if r = client.Load(t.Context(), load); r.Failed() != 0 || r.OK() == 0 {
		t.Errorf("port opened again: %s", r)
	}

	if err := server.AddDrop(lab.Drop{Incoming: true, Protocol: unix.IPPROTO_TCP}); err != nil {
		t.Fatal(err)
	}
	load.Clients = 2
	if r = client.Load(t.Context(), load); r.OK() != 0 || r.Outcomes[lab.TimedOut] != 2 {
		t.Errorf("packets dropped: %s", r)
	}
}

// A server that dies under load must show as resets, none of them lost in the
// counting.
func TestLoadSeesResets(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	s := serve(t, l.Host("server"), lab.ServerSpec{Listen: ":80"})
	result := make(chan *lab.LoadResult)
	go func() {
		result <- l.Host("client").Load(t.Context(), lab.Load{
			Target: target, Clients: 4, KeepAlive: true, Duration: 400 * time.Millisecond, Pause: 10 * time.Millisecond, Timeout: time.Second,
		})
	}()
	deadline := time.Now().Add(5 * time.Second)
	for s.Connections() < 4 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	s.Close()
	r := <-result
	if r.Outcomes[lab.Reset] == 0 || r.Outcomes[lab.Reset] > 4 || r.Outcomes[lab.Refused] == 0 {
		t.Errorf("want up to one reset a client, then refusals: %s", r)
	}
	for _, e := range r.Errors {
		if e.Outcome == lab.Reset && !e.Local.IsValid() {
			t.Errorf("a reset without the connection's address: %+v", e)
		}
	}
}

func TestProbeMeasuresGap(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client, server := l.Host("client"), l.Host("server")
	s := serve(t, server, lab.ServerSpec{Listen: ":80", NoKeepAlive: true})
	p := client.Probe(target, 2*time.Millisecond)
	defer p.Stop()
	start := time.Now()
	if err := p.AwaitSteady(within(t, 10*time.Second), start, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	closed := time.Now()
	s.ClosePort()
	time.Sleep(400 * time.Millisecond) // the gap that is to be measured
	opened := time.Now()
	if err := s.OpenPort(); err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitSteady(within(t, 10*time.Second), opened, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	r := p.Since(start)
	if r.Gap+r.Blind < opened.Sub(closed)-50*time.Millisecond || r.GapStart.After(closed) || r.Answered == r.Sent || r.ByServer["server"] != r.Answered {
		t.Errorf("port closed for %s from %s: report %+v", opened.Sub(closed), closed, r)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	s := serve(t, l.Host("server"), lab.ServerSpec{Listen: ":80"})
	held, err := l.Host("client").Hold(within(t, 5*time.Second), target)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if held.First.Server != "server" || held.First.Saw != held.Local().String() {
		t.Errorf("first answer %+v on %s", held.First, held.Local())
	}
	s.ClosePort()
	if a, err := held.Ask(within(t, 5*time.Second)); err != nil || a.Server != "server" || s.Connections() != 1 {
		t.Errorf("second request on the same connection: %+v, %v, %d connections", a, err, s.Connections())
	}
}

func TestCapture(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client, server := l.Host("client"), l.Host("server")
	serve(t, server, lab.ServerSpec{Listen: ":80"})
	c, err := client.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(within(t, 5*time.Second), target); err != nil {
		t.Fatal(err)
	}
	packets := c.Stop()
	replies := 0
	for _, p := range packets {
		s := p.Decode()
		if s.Src != target {
			continue
		}
		replies++
		if s.SrcMAC.String() != server.MAC("ens3").String() || s.DstMAC.String() != client.MAC("eth0").String() || p.Outgoing {
			t.Errorf("reply %s, outgoing %v; want it to come in from %s", s, p.Outgoing, server.MAC("ens3"))
		}
		if replies == 1 && s.TCPFlags != lab.TCPSyn|lab.TCPAck {
			t.Errorf("first reply %s, want SYN and ACK", s)
		}
	}
	if replies < 3 {
		t.Errorf("%d replies captured, want at least SYN+ACK, answer, FIN", replies)
	}

	var file bytes.Buffer
	if err := lab.WritePcap(&file, packets); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		data, ci, err := r.ReadPacketData()
		if err != nil || !bytes.Equal(data, p.Data) || !ci.Timestamp.Equal(p.Time) {
			t.Fatalf("packet %d read back: time %v, want %v; same bytes %v; error %v", i, ci.Timestamp, p.Time, bytes.Equal(data, p.Data), err)
		}
	}
}

// Checksum offload shows in what a capture sees of our own packets: with it
// the TCP checksum is only begun, without it it is right.
func TestOffloads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		offload  lab.Offload
		complete bool
	}{{lab.OffloadDefault, false}, {lab.OffloadNone, true}, {lab.OffloadGRO, false}} {
		top := lab.Topology{Segments: pair.Segments}
		for _, h := range pair.Hosts {
			h.Ifaces = []lab.IfaceSpec{h.Ifaces[0]}
			h.Ifaces[0].Offload = tt.offload
			top.Hosts = append(top.Hosts, h)
		}
		l := build(t, top)
		client := l.Host("client")
		serve(t, l.Host("server"), lab.ServerSpec{Listen: ":80"})
		c, err := client.Capture("eth0")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Get(within(t, 5*time.Second), target); err != nil {
			t.Errorf("offload setting %d: %v", tt.offload, err)
		}
		sent := 0
		for _, p := range c.Stop() {
			if s := p.Decode(); p.Outgoing && s.Dst == target {
				sent++
				if got := tcpChecksumOK(p.Data); got != tt.complete {
					t.Errorf("offload setting %d: checksum of %s right: %v, want %v", tt.offload, s, got, tt.complete)
				}
			}
		}
		if sent == 0 {
			t.Errorf("offload setting %d: no packet of ours captured", tt.offload)
		}
	}
}

// tcpChecksumOK sums an untagged IPv4 TCP frame without IP options.
func tcpChecksumOK(frame []byte) bool {
	ip := frame[14:]
	total := int(ip[2])<<8 | int(ip[3])
	segment := ip[20:total]
	sum := uint32(unix.IPPROTO_TCP) + uint32(len(segment))
	add := func(b []byte) {
		for i, v := range b {
			sum += uint32(v) << (8 * uint(1-i%2))
		}
	}
	add(ip[12:20])
	add(segment)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return sum == 0xffff
}

func TestDialFailures(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client := l.Host("client")
	if _, err := client.Dial(within(t, 5*time.Second), netip.MustParseAddrPort("192.0.2.2:9")); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("closed port: %v, want connection refused", err)
	}
	if _, err := client.Dial(within(t, 100*time.Millisecond), netip.MustParseAddrPort("192.0.2.77:80")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody there: %v, want a time-out", err)
	}
	if _, err := client.Dial(within(t, 5*time.Second), netip.MustParseAddrPort("203.0.113.1:80")); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("no route: %v, want network unreachable", err)
	}
	conn, err := client.DialFrom(within(t, 5*time.Second), netip.MustParseAddrPort("192.0.2.1:5555"), netip.MustParseAddrPort("192.0.2.1:9"))
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("from a chosen address to a closed port: %v, %v", conn, err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	eth := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}
	ip := func(proto byte, frag uint16, l4 []byte) []byte {
		total := 20 + len(l4)
		h := []byte{0x45, 0, byte(total >> 8), byte(total), 0, 0, byte(frag >> 8), byte(frag), 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
		return append(append(bytes.Clone(eth), h...), l4...)
	}
	tcp := []byte{0x30, 0x39, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0, 'x'}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, " >  ethertype 0x0000"},
		{"ARP", append(bytes.Clone(eth[:12]), 8, 6), "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0806"},
		{"TCP", ip(6, 0, tcp), "02:00:00:00:00:02 > 02:00:00:00:00:01 192.0.2.1:12345 > 192.0.2.2:80 tcp [SA], 1 bytes"},
		{"padded to Ethernet's minimum", append(ip(6, 0, tcp), 0, 0, 0), "02:00:00:00:00:02 > 02:00:00:00:00:01 192.0.2.1:12345 > 192.0.2.2:80 tcp [SA], 1 bytes"},
		{"UDP", ip(17, 0, []byte{0, 1, 0, 53, 0, 9, 0, 0, 'x'}), "02:00:00:00:00:02 > 02:00:00:00:00:01 192.0.2.1:1 > 192.0.2.2:53 protocol 17, 1 bytes"},
		{"VRRP", ip(112, 0, make([]byte, 20)), "02:00:00:00:00:02 > 02:00:00:00:00:01 192.0.2.1:0 > 192.0.2.2:0 protocol 112, 20 bytes"},
		{"later fragment", ip(17, 5, []byte{0, 1, 0, 53, 0, 9, 0, 0, 'x'}), "02:00:00:00:00:02 > 02:00:00:00:00:01 192.0.2.1:0 > 192.0.2.2:0 protocol 17, 9 bytes"},
		{"IP cut short", ip(6, 0, tcp)[:30], "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0800"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, lab.Packet{Data: tt.data}.Decode().String()); diff != "" {
				t.Errorf("%x (-want +got):\n%s", tt.data, diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x4f, 0, 0, 60})
	f.Fuzz(func(t *testing.T, data []byte) {
		if s := (lab.Packet{Data: data}).Decode(); len(s.Payload) > len(data) {
			t.Errorf("%x: payload of %d bytes", data, len(s.Payload))
		}
	})
}

func TestValidate(t *testing.T) {
	t.Parallel()
	top := lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}, {Name: "lan"}},
		Hosts: []lab.HostSpec{{
			Name: "a b",
			Ifaces: []lab.IfaceSpec{
				{Name: "eth0", Segment: "wan", Addrs: []string{"192.0.2.1"}},
				{Name: "eth0", Segment: "lan"},
				{Name: "an-interface-name", Segment: "lan"},
			},
			Loopback: []string{"x/32"},
			Routes:   []lab.RouteSpec{{To: "nowhere", Via: "192.0.2.1"}, {To: "default", Via: "gw"}},
			Files:    map[string]string{"relative": "", "/file": ""},
		}},
	}
	err := top.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`segment "lan": the name is already`, `host "a b": a name has`, `no segment named "wan"`, `address "192.0.2.1"`,
		`interface eth0: named twice`, `interface "an-interface-name"`, `loopback address "x/32"`, `route to "nowhere"`,
		`via "gw"`, `file "relative"`, `file "/file"`,
	} {
		if !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("errors do not say %q:\n%v", want, err)
		}
	}
}
