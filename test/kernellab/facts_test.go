package kernellab

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// facts is a kernel that is backup, and what was announced to it.
type facts struct {
	backup kernelDirector
	socket net.PacketConn
	port   uint16
	want   map[connection]entry
}

// testFacts sends what kaname's design rests on to a kernel that is backup:
// bytes behind the last counted connection, datagrams without a connection,
// and options that the kernel does not know.
func testFacts(t *testing.T) {
	f := newFacts(t)
	before := kernelLog(t)
	key, err := connsync.NewKey("secret of the facts")
	if err != nil {
		t.Fatal(err)
	}
	for _, trailer := range []struct {
		size  int
		write func(...connsync.Conn) []byte
	}{
		{0, func(c ...connsync.Conn) []byte { return datagram(t, false, nil, c...) }},
		{32, func(c ...connsync.Conn) []byte { return datagram(t, true, nil, c...) }},
		{48, func(c ...connsync.Conn) []byte { return datagram(t, true, key, c...) }},
	} {
		beacon := trailer.write()
		if got := len(beacon) - len(datagram(t, false, nil)); got != trailer.size {
			t.Errorf("the trailer has %d bytes, want %d", got, trailer.size)
		}
		f.send(t, beacon)
		for _, c := range everyKind() {
			f.send(t, trailer.write(f.wanted(c)...)) // each is the last before the trailer
		}
		f.send(t, trailer.write(f.wanted(everyKind()...)...))
	}
	listed(t, f.backup, f.want)
	if after := kernelLog(t); after != before {
		t.Errorf("the kernel complains:\n%s", strings.TrimPrefix(after, before))
	}

	// What the kernel is known to refuse shows that looking tells: a mandatory
	// option that nobody knows costs its connection alone; a trailer that is
	// counted as a connection is noticed. The daemon survives both.
	refused := tcp4()
	refused.Options = []byte{0x2b, 4, 0, 0, 0, 1}
	f.send(t, datagram(t, true, nil, append([]connsync.Conn{refused}, f.wanted(tcp4())...)...))
	miscounted := datagram(t, true, nil, f.wanted(tcp4())...)
	miscounted[4]++
	f.send(t, miscounted)
	f.send(t, datagram(t, true, nil, f.wanted(tcp4())...))
	listed(t, f.backup, f.want)
	for c, e := range entries(t, f.backup) {
		if _, ok := f.want[c]; !ok {
			t.Errorf("the kernel has %s (%s), which nothing announced as it should", c, e)
		}
	}
	if said := strings.TrimPrefix(kernelLog(t), before); strings.Count(said, "\n") != 1 || !strings.Contains(said, "Dropping buffer, too small") {
		t.Errorf("of the miscounted datagram the kernel says %q", said)
	}
}

// newFacts builds two hosts; the kernel of lb2 listens.
func newFacts(t *testing.T) *facts {
	t.Helper()
	modprobe(t, "ip_vs")
	host := func(name, addr string) lab.HostSpec {
		return lab.HostSpec{Name: name, Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{addr}}}}
	}
	l := stage(t, lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}},
		Hosts:    []lab.HostSpec{host("lb1", "10.7.0.11/24"), host("lb2", "10.7.0.12/24")},
	})
	run(t, l.Host("lb2"), "ipvsadm", "--start-daemon", "backup", "--mcast-interface", "eth0", "--syncid", "7")
	run(t, l.Host("lb1"), "ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
	socket, err := l.Host("lb1").ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return &facts{backup: kernelDirector{host: l.Host("lb2")}, socket: socket, port: 40000, want: map[connection]entry{}}
}

func (f *facts) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := f.socket.WriteTo(b, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 81), Port: 8848}); err != nil {
		t.Fatal(err)
	}
}

// wanted makes each connection one of its own and notes that the kernel must
// have it.
func (f *facts) wanted(conns ...connsync.Conn) []connsync.Conn {
	for i := range conns {
		c := &conns[i]
		f.port++
		state := lvs.ConnState(c.State).Name(c.Protocol)
		if c.IsTemplate() { // has no client port
			b := c.Client.Addr().As16()
			b[15] = byte(f.port)
			c.Client = netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), 0)
			state = lvs.ConnState(c.State).TemplateName()
		} else {
			c.Client = netip.AddrPortFrom(c.Client.Addr(), f.port)
		}
		f.want[connection{c.Client, c.Virtual, c.Dest}] = entry{c.Protocol.String(), state, time.Duration(c.Timeout) * time.Second}
	}
	return conns
}

// everyKind is a connection of every kind that is announced, and with every
// kind of option.
func everyKind() []connsync.Conn {
	udp, sctp, template := tcp4(), tcp4(), tcp4()
	udp.Protocol, udp.State, udp.Timeout, udp.Flags = lvs.UDP, 0, 300, connsync.Inactive|connsync.MethodNAT
	sctp.Protocol, sctp.State = lvs.SCTP, uint16(lvs.SCTPEstablished)
	template.Flags, template.State, template.Timeout = connsync.Template|connsync.Inactive|connsync.MethodDR, 1, 300
	optional, odd := tcp4(), tcp4()
	optional.Options = binary.BigEndian.AppendUint32([]byte{connsync.OptionRemaining, 4}, 123456)
	odd.Options = []byte{connsync.OptionRemaining, 1, 9} // what follows is not aligned
	sequence, closing := tcp4(), tcp4()
	sequence.Flags |= connsync.InSeq | connsync.OutSeq
	sequence.Options = append([]byte{connsync.OptionSequence, 24}, make([]byte, 24)...)
	closing.State, closing.Timeout, closing.Flags = uint16(lvs.StateFinWait), 120, closing.Flags|connsync.Inactive
	var all []connsync.Conn
	for _, c := range []connsync.Conn{tcp4(), udp, sctp, template, optional, odd, sequence, closing} {
		all = append(all, c, over6(c))
	}
	return all
}

func over6(c connsync.Conn) connsync.Conn {
	c.Client = netip.MustParseAddrPort("[fd07::2]:0")
	c.Virtual = netip.AddrPortFrom(netip.MustParseAddr("fd07::100"), c.Virtual.Port())
	c.Dest = netip.AddrPortFrom(netip.MustParseAddr("fd07::21"), c.Dest.Port())
	return c
}

func tcp4() connsync.Conn {
	return connsync.Conn{
		Protocol: lvs.TCP, State: uint16(lvs.StateEstablished), Timeout: 900, Flags: connsync.MethodDR | connsync.NoOutput,
		Client:  netip.MustParseAddrPort("10.7.0.2:0"),
		Virtual: netip.MustParseAddrPort("10.7.0.100:80"), Dest: netip.MustParseAddrPort("10.7.0.21:8080"),
	}
}

func datagram(t *testing.T, trailer bool, key *connsync.Key, conns ...connsync.Conn) []byte {
	t.Helper()
	w := connsync.NewWriter(7, connsync.DefaultLen4, trailer, key)
	for _, c := range conns {
		if err := w.Add(&c); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Clone(w.Finish(connsync.Trailer{Sender: 1, Seq: 1, Entries: 5, CatchUp: 8849}))
}

// kernelLog is what the kernel has said about IPVS.
func kernelLog(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("dmesg").Output()
	if err != nil {
		t.Fatalf("dmesg: %v", err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "IPVS") || strings.Contains(line, "ip_vs") || strings.Contains(line, "WARN") || strings.Contains(line, "BUG") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
