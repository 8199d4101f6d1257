package kernellab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// announced is a connection in a datagram, and whether the kernel must have it
// afterwards.
type announced struct {
	conn  connsync.Conn
	shown string // protocol and state in ipvsadm -Lnc; "" for none
}

// testFacts sends what kaname's design rests on to a kernel that is backup:
// bytes behind the last counted connection, datagrams without a connection,
// and options that the kernel does not know.
func testFacts(t *testing.T) {
	modprobe(t, "ip_vs")
	l := stage(t, lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}},
		Hosts: []lab.HostSpec{
			{Name: "lb1", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"10.7.0.11/24"}}}},
			{Name: "lb2", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"10.7.0.12/24"}}}},
		},
	})
	lb2 := l.Host("lb2")
	run(t, lb2, "ipvsadm", "--start-daemon", "backup", "--mcast-interface", "eth0", "--syncid", "7")
	run(t, l.Host("lb1"), "ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
	before := kernelLog(t)

	key, err := connsync.NewKey("secret of the facts")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	port := uint16(40000)
	number := func(conns []announced) []connsync.Conn {
		var out []connsync.Conn
		for _, a := range conns {
			port++
			c := a.conn
			if c.Flags&connsync.Template == 0 {
				c.Client = netip.AddrPortFrom(c.Client.Addr(), port)
			} else {
				// a template has no client port: another address for each
				b := c.Client.Addr().As16()
				b[15] = byte(port)
				c.Client = netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), 0)
			}
			if a.shown != "" {
				want[c.Client.String()+" "+c.Virtual.String()+" "+c.Dest.String()] = a.shown
			}
			out = append(out, c)
		}
		return out
	}
	socket := announcer(t, l.Host("lb1"))
	send := func(b []byte) {
		t.Helper()
		if _, err := socket.WriteTo(b, group); err != nil {
			t.Fatal(err)
		}
	}
	all := everyKind()
	for _, tr := range []struct {
		name  string
		size  int
		write func([]connsync.Conn) []byte
	}{
		{"none", 0, func(c []connsync.Conn) []byte { return datagram(t, c, false, nil) }},
		{"plain", 32, func(c []connsync.Conn) []byte { return datagram(t, c, true, nil) }},
		{"keyed", 48, func(c []connsync.Conn) []byte { return datagram(t, c, true, key) }},
	} {
		bare := datagram(t, nil, false, nil)
		if got := len(tr.write(nil)) - len(bare); got != tr.size {
			t.Errorf("trailer %s has %d bytes, want %d", tr.name, got, tr.size)
		}
		send(tr.write(nil)) // the beacon
		for _, a := range all {
			send(tr.write(number([]announced{a}))) // each kind last before the trailer
		}
		send(tr.write(number(all)))
	}
	var got map[string]string
	arrived := func() {
		t.Helper()
		eventually(t, "all announced connections in the kernel", func() error {
			got = kernelTable(t, lb2)
			for k, v := range want {
				if got[k] != v {
					return fmt.Errorf("%s: %q, want %q (%d of %d there)", k, got[k], v, len(got), len(want))
				}
			}
			return nil
		})
	}
	arrived()
	if after := kernelLog(t); after != before {
		t.Errorf("the kernel complains:\n%s", strings.TrimPrefix(after, before))
	}

	// What the kernel is known to refuse shows that looking tells: a mandatory
	// option that nobody knows costs its connection alone; a trailer that is
	// counted as a connection is noticed. The daemon survives both.
	refused := announced{conn: tcp4()}
	refused.conn.Options = []byte{0x2b, 4, 0, 0, 0, 1}
	send(datagram(t, number([]announced{refused, {tcp4(), "TCP ESTABLISHED"}}), true, nil))
	miscounted := datagram(t, number([]announced{{tcp4(), "TCP ESTABLISHED"}}), true, nil)
	miscounted[4] = 2
	send(miscounted)
	send(datagram(t, number([]announced{{tcp4(), "TCP ESTABLISHED"}}), true, nil))
	arrived()
	for k, v := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("the kernel has %s %s, which nothing announced as it should", v, k)
		}
	}
	if said := strings.TrimPrefix(kernelLog(t), before); strings.Count(said, "\n") != 1 || !strings.Contains(said, "Dropping buffer, too small") {
		t.Errorf("of the miscounted datagram the kernel says %q", said)
	}
}

// everyKind is a connection of every kind that is announced.
func everyKind() []announced {
	v6 := func(c connsync.Conn) connsync.Conn {
		c.Client = netip.MustParseAddrPort("[fd07::2]:0")
		c.Virtual = netip.AddrPortFrom(netip.MustParseAddr("fd07::100"), c.Virtual.Port())
		c.Dest = netip.AddrPortFrom(netip.MustParseAddr("fd07::21"), c.Dest.Port())
		return c
	}
	udp, sctp, template := tcp4(), tcp4(), tcp4()
	udp.Protocol, udp.State, udp.Timeout, udp.Flags = lvs.UDP, 0, 300, connsync.Inactive|connsync.MethodNAT
	sctp.Protocol, sctp.State = lvs.SCTP, uint16(lvs.SCTPEstablished)
	template.Flags, template.State, template.Timeout = connsync.Template|connsync.Inactive|connsync.MethodDR, 1, 300
	optional, sequence := tcp4(), tcp4()
	optional.Options = binary.BigEndian.AppendUint32([]byte{connsync.OptionRemaining, 4}, 123456)
	odd := tcp4()
	odd.Options = []byte{connsync.OptionRemaining, 1, 9} // the trailer begins unaligned
	sequence.Flags |= connsync.InSeq | connsync.OutSeq
	sequence.Options = append([]byte{connsync.OptionSequence, 24}, make([]byte, 24)...)
	closing := tcp4()
	closing.State, closing.Timeout, closing.Flags = uint16(lvs.StateFinWait), 120, closing.Flags|connsync.Inactive
	return []announced{
		{tcp4(), "TCP ESTABLISHED"}, {v6(tcp4()), "TCP ESTABLISHED"},
		{udp, "UDP UDP"}, {v6(udp), "UDP UDP"},
		{sctp, "SCTP ESTABLISHED"}, {v6(sctp), "SCTP ESTABLISHED"},
		{template, "TCP ASSURED"}, {v6(template), "TCP ASSURED"},
		{optional, "TCP ESTABLISHED"}, {v6(optional), "TCP ESTABLISHED"},
		{odd, "TCP ESTABLISHED"}, {v6(odd), "TCP ESTABLISHED"},
		{sequence, "TCP ESTABLISHED"}, {closing, "TCP FIN_WAIT"},
	}
}

func tcp4() connsync.Conn {
	return connsync.Conn{
		Protocol: lvs.TCP, State: uint16(lvs.StateEstablished), Timeout: 900, Flags: connsync.MethodDR | connsync.NoOutput,
		Client:  netip.MustParseAddrPort("10.7.0.2:0"),
		Virtual: netip.MustParseAddrPort("10.7.0.100:80"), Dest: netip.MustParseAddrPort("10.7.0.21:8080"),
	}
}

func datagram(t *testing.T, conns []connsync.Conn, trailer bool, key *connsync.Key) []byte {
	t.Helper()
	w := connsync.NewWriter(7, connsync.DefaultLen4, trailer, key)
	for _, c := range conns {
		if err := w.Add(&c); err != nil {
			t.Fatal(err)
		}
	}
	return append([]byte(nil), w.Finish(connsync.Trailer{Sender: 1, Seq: 1, Entries: 5, CatchUp: 8849})...)
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
