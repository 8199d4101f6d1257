package pcap_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync/pcap"
)

var (
	be = binary.BigEndian
	le = binary.LittleEndian
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// udp is a UDP datagram from port 40000 to 8848.
func udp(payload string) []byte {
	b := []byte{0x9c, 0x40, 0x22, 0x90, 0, 0, 0, 0}
	be.PutUint16(b[4:], uint16(8+len(payload)))
	return append(b, payload...)
}

// ip4 is a packet from 10.7.0.11 to 224.0.0.81.
func ip4(protocol byte, fragment uint16, body []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 1, protocol, 0, 0, 10, 7, 0, 11, 224, 0, 0, 81}
	be.PutUint16(b[2:], uint16(20+len(body)))
	be.PutUint16(b[6:], fragment)
	return append(b, body...)
}

// ip6 is a packet from fd07::11 to ff05::81.
func ip6(next byte, body []byte) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, next, 1
	be.PutUint16(b[4:], uint16(len(body)))
	copy(b[8:], []byte{0xfd, 7, 15: 0x11})
	copy(b[24:], []byte{0xff, 5, 15: 0x81})
	return append(b, body...)
}

func ether(typ uint16, body []byte) []byte {
	return append(append(make([]byte, 12), byte(typ>>8), byte(typ)), body...)
}

// frag6 is the part of an IPv6 fragment behind the fixed header.
func frag6(next byte, offset int, more uint16, body []byte) []byte {
	return join([]byte{next, 0, byte(offset >> 8), byte(offset) | byte(more), 0, 0, 0, 7}, body)
}

const (
	four = "10.7.0.11:40000 224.0.0.81:8848"
	six  = "[fd07::11]:40000 [ff05::81]:8848"
)

func TestDecode(t *testing.T) {
	hello := ip4(17, 0, udp("hello"))
	options := append(bytes.Clone(hello[:20]), append([]byte{1, 1, 1, 0}, hello[20:]...)...)
	options[0] = 0x46
	be.PutUint16(options[2:], uint16(len(options)))
	segment := bytes.Clone(hello)
	be.PutUint16(segment[2:], 0)
	hop := []byte{60, 0, 0, 0, 0, 0, 0, 0}
	destination := []byte{17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	ah := []byte{17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		name  string
		link  pcap.LinkType
		frame []byte
		want  string // addresses and payload, or what it was counted as
	}{
		{"ethernet", pcap.LinkEthernet, ether(0x800, hello), four + " hello"},
		{"padded frame", pcap.LinkEthernet, append(ether(0x800, hello), make([]byte, 20)...), four + " hello"},
		{"VLAN", pcap.LinkEthernet, ether(0x8100, join([]byte{0, 5, 8, 0}, hello)), four + " hello"},
		{"VLAN in VLAN", pcap.LinkEthernet, ether(0x88a8, join([]byte{0, 5, 0x81, 0, 0, 6, 0x86, 0xdd}, ip6(17, udp("hello")))), six + " hello"},
		{"IPv4 options", pcap.LinkEthernet, ether(0x800, options), four + " hello"},
		{"segment for the network card to cut", pcap.LinkEthernet, ether(0x800, segment), four + " hello"},
		{"IPv4 authentication header", pcap.LinkRaw, ip4(51, 0, join(ah, udp("hello"))), four + " hello"},
		{"raw IPv4", pcap.LinkRaw, hello, four + " hello"},
		{"raw IPv6", pcap.LinkIPv6, ip6(17, udp("hello")), six + " hello"},
		{"loopback", pcap.LinkNull, join([]byte{2, 0, 0, 0}, hello), four + " hello"},
		{"OpenBSD loopback", pcap.LinkLoop, join([]byte{0, 0, 0, 24}, ip6(17, udp("hello"))), six + " hello"},
		{"Linux cooked", pcap.LinkSLL, join(make([]byte, 14), []byte{8, 0}, hello), four + " hello"},
		{"Linux cooked 2", pcap.LinkSLL2, join([]byte{0x86, 0xdd}, make([]byte, 18), ip6(17, udp("hello"))), six + " hello"},
		{"IPv6 extension headers", pcap.LinkRaw, ip6(0, join(hop, destination, udp("hello"))), six + " hello"},
		{"atomic fragment", pcap.LinkRaw, ip6(44, frag6(17, 0, 0, udp("hello"))), six + " hello"},
		{"no payload", pcap.LinkRaw, ip4(17, 0, udp("")), four + " "},
		{"TCP", pcap.LinkRaw, ip4(6, 0, make([]byte, 20)), "other"},
		{"VRRP", pcap.LinkRaw, ip6(112, make([]byte, 4)), "other"},
		{"ARP", pcap.LinkEthernet, ether(0x806, make([]byte, 28)), "other"},
		{"unknown link type", 147, ether(0x800, hello), "other"},
		{"no frame", pcap.LinkEthernet, nil, "other"},
		{"no next header", pcap.LinkRaw, ip6(59, nil), "other"},
		{"IPv4 length beyond the frame", pcap.LinkRaw, hello[:len(hello)-1], "malformed"},
		{"UDP length beyond the packet", pcap.LinkRaw, ip4(17, 0, udp("hello")[:10]), "malformed"},
		{"short UDP header", pcap.LinkRaw, ip4(17, 0, make([]byte, 7)), "malformed"},
		{"IHL of 4", pcap.LinkRaw, join([]byte{0x44}, hello[1:]), "malformed"},
		{"extension header beyond the packet", pcap.LinkRaw, ip6(0, []byte{17, 9, 0, 0, 0, 0, 0, 0}), "malformed"},
		{"fragment in a fragment", pcap.LinkRaw, ip6(44, frag6(44, 0, 1, frag6(44, 0, 1, make([]byte, 8)))), "fragment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d pcap.Decoder
			if got := decode(&d, c.link, c.frame, len(c.frame)); c.want != got {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// decode tells a datagram, or how the packet was counted.
func decode(d *pcap.Decoder, link pcap.LinkType, frame []byte, wire int) string {
	before := d.Stats()
	var out pcap.Datagram
	if d.Decode(time.Unix(1, 0), link, frame, wire, &out) {
		return fmt.Sprintf("%s %s %s", out.Src, out.Dst, out.Payload)
	}
	switch s := d.Stats(); {
	case s.Other > before.Other:
		return "other"
	case s.Truncated > before.Truncated:
		return "truncated"
	case s.Malformed > before.Malformed:
		return "malformed"
	case s.Fragments > before.Fragments:
		return "fragment"
	}
	return "nothing"
}

func TestTruncatedByTheCapture(t *testing.T) {
	frame := ether(0x800, ip4(17, 0, udp("hello")))
	for n := range len(frame) {
		want := "truncated"
		if n < 14 {
			want = "other" // not even known to be IP
		}
		var d pcap.Decoder
		if got := decode(&d, pcap.LinkEthernet, frame[:n], len(frame)); got != want {
			t.Errorf("the first %d bytes: %s, want %s", n, got, want)
		}
	}
}

// fragments cuts a datagram of the size into IPv4 or IPv6 packets.
func fragments(size int, v6 bool) (packets [][]byte, payload string) {
	payload = strings.Repeat("0123456789abcdef", size/16+1)[:size]
	body := udp(payload)
	for at := 0; at < len(body); at += 1480 {
		end, more := min(at+1480, len(body)), uint16(1)
		if end == len(body) {
			more = 0
		}
		if v6 {
			packets = append(packets, ip6(44, frag6(17, at, more, body[at:end])))
		} else {
			packets = append(packets, ip4(17, more<<13|uint16(at/8), body[at:end]))
		}
	}
	return packets, payload
}

func TestFragments(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, v6 := range []bool{false, true} {
		for _, size := range []int{1473, 9000, 40000, 65000} {
			packets, payload := fragments(size, v6)
			for range 20 {
				var d pcap.Decoder
				var out pcap.Datagram
				done := 0
				order := rnd.Perm(len(packets))
				order = append(order[:1:1], order...) // and the first one twice
				for _, i := range order {
					if d.Decode(time.Unix(1, 0), pcap.LinkRaw, packets[i], len(packets[i]), &out) {
						done++
					}
				}
				if done != 1 || string(out.Payload) != payload || out.Fragments != len(packets)+1 || out.Dst.Port() != 8848 {
					t.Fatalf("IPv6 %v, %d bytes in the order %v: %d datagrams, %d bytes of %d fragments to %s",
						v6, size, order, done, len(out.Payload), out.Fragments, out.Dst)
				}
			}
		}
	}
}

func TestFragmentsOfManyAreBounded(t *testing.T) {
	var d pcap.Decoder
	var out pcap.Datagram
	at := time.Unix(1, 0)
	packets, _ := fragments(3000, false)
	for id := range 1000 {
		p := bytes.Clone(packets[0])
		be.PutUint16(p[4:], uint16(id))
		d.Decode(at, pcap.LinkRaw, p, len(p), &out)
	}
	if s := d.Stats(); s.Incomplete != 1000-64 || s.Fragments != 1000 {
		t.Errorf("%+v, want all but 64 given up", s)
	}
	// Those that remain are too old after a minute: the rest is of no use.
	rest := bytes.Clone(packets[1])
	be.PutUint16(rest[4:], 999)
	last := bytes.Clone(packets[2])
	be.PutUint16(last[4:], 999)
	for _, p := range [][]byte{rest, last} {
		if d.Decode(at.Add(time.Minute), pcap.LinkRaw, p, len(p), &out) {
			t.Error("a datagram of fragments that came a minute apart")
		}
	}
	if s := d.Stats(); s.Incomplete != 1000 {
		t.Errorf("%+v, want 1000 given up", s)
	}
}

func TestFragmentBehindTheEndCompletesNothing(t *testing.T) {
	var d pcap.Decoder
	var out pcap.Datagram
	for _, p := range [][]byte{
		ip4(17, 1<<13|10, make([]byte, 80)), // of somebody else: 80 to 160
		ip4(17, 3, make([]byte, 16)),        // the last one: 24 to 40
		ip4(17, 1<<13, make([]byte, 16)),    // 16 to 24 is missing
		ip4(17, 1<<13|20, make([]byte, 8)),  // behind the end
	} {
		if d.Decode(time.Unix(1, 0), pcap.LinkRaw, p, len(p), &out) {
			t.Fatal("complete although bytes 16 to 24 never came")
		}
	}
	p := ip4(17, 1<<13|2, make([]byte, 8))
	if !d.Decode(time.Unix(1, 0), pcap.LinkRaw, p, len(p), &out) || len(out.Payload) != 40-8 || d.Stats().Malformed != 1 {
		t.Errorf("%d bytes, %+v; want 32, and the fragment behind the end malformed", len(out.Payload), d.Stats())
	}
}

// file is a pcap file of packets one second and a half apart.
func file(order binary.AppendByteOrder, magic uint32, link uint32, frames ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = append(b, make([]byte, 12)...)
	b = order.AppendUint32(order.AppendUint32(b, 65535), link)
	frac := uint32(500_000)
	if magic == 0xa1b23c4d {
		frac *= 1000
	}
	for i, f := range frames {
		b = order.AppendUint32(order.AppendUint32(b, 1000+uint32(i)), frac)
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f))), uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// block is a block of pcapng.
func block(order binary.AppendByteOrder, typ uint32, body []byte) []byte {
	body = append(bytes.Clone(body), make([]byte, -len(body)&3)...)
	n := uint32(len(body) + 12)
	return order.AppendUint32(append(order.AppendUint32(order.AppendUint32(nil, typ), n), body...), n)
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	return block(order, 0x0a0d0d0a, append(b, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255))
}

func iface(order binary.AppendByteOrder, link uint16, options ...byte) []byte {
	return block(order, 1, append(order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, link), 0), 0), options...))
}

func enhanced(order binary.AppendByteOrder, id uint32, ticks uint64, frame []byte) []byte {
	b := order.AppendUint32(nil, id)
	b = order.AppendUint32(order.AppendUint32(b, uint32(ticks>>32)), uint32(ticks))
	b = order.AppendUint32(order.AppendUint32(b, uint32(len(frame))), uint32(len(frame)))
	return block(order, 6, append(b, frame...))
}

func read(r io.Reader) (lines []string, err error) {
	c, err := pcap.NewReader(r)
	if err != nil {
		return nil, err
	}
	for d := (pcap.Datagram{}); ; {
		if err := c.Next(&d); errors.Is(err, io.EOF) {
			return lines, nil
		} else if err != nil {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("%s %s", d.Time.Format("15:04:05.999999999"), d.Payload))
	}
}

func TestFiles(t *testing.T) {
	one, two := ip4(17, 0, udp("one")), ip6(17, udp("two"))
	want := []string{"00:16:40.5 one", "00:16:41.5 two"}
	type test struct {
		name string
		file []byte
		want []string
	}
	tests := []test{
		{"microseconds", file(le, 0xa1b2c3d4, 101, one, two), want},
		{"microseconds, big-endian", file(be, 0xa1b2c3d4, 101, one, two), want},
		{"nanoseconds", file(le, 0xa1b23c4d, 101, one, two), want},
		{"nanoseconds, big-endian", file(be, 0xa1b23c4d, 101, one, two), want},
		{"with the length of the frame check sequence", file(le, 0xa1b2c3d4, 101|0x54000000, one, two), want},
		{"no packets", file(le, 0xa1b2c3d4, 1), nil},
	}
	for name, o := range map[string]binary.AppendByteOrder{"little": le, "big": be} {
		simple := o.AppendUint32(nil, uint32(len(one)))
		old := o.AppendUint32(o.AppendUint32(o.AppendUint16(o.AppendUint16(nil, 0), 0), 0), 7_000_000)
		old = append(o.AppendUint32(o.AppendUint32(old, uint32(len(one))), uint32(len(one))), one...)
		res := func(v byte) []byte { return append(o.AppendUint16(o.AppendUint16(nil, 9), 1), v, 0, 0, 0) }
		off := append(o.AppendUint16(o.AppendUint16(nil, 14), 8), o.AppendUint64(nil, 1000)...)
		tests = append(
			tests,
			test{"pcapng " + name, join(section(o), iface(o, 101), enhanced(o, 0, 1000_500_000, one), block(o, 5, []byte("statistics!!")), enhanced(o, 0, 1001_500_000, two)), want},
			test{"resolutions " + name, join(
				section(o), iface(o, 101, res(9)...), iface(o, 101, res(0x80|10)...), iface(o, 101, append(off, res(1)...)...),
				enhanced(o, 0, 1000_500_000_001, one), enhanced(o, 1, 1001<<10|512, two), enhanced(o, 2, 25, one),
			), []string{"00:16:40.500000001 one", "00:16:41.5 two", "00:16:42.5 one"}},
			test{"other packet blocks " + name, join(section(o), iface(o, 101), block(o, 3, append(simple, one...)), block(o, 2, old)), []string{"00:00:00 one", "00:00:07 one"}},
			test{"two sections " + name, join(section(o), iface(o, 101), enhanced(o, 0, 1000_500_000, one), section(le), iface(le, 1), enhanced(le, 0, 1001_500_000, ether(0x86dd, two))), want},
			test{"a long block of another kind " + name, join(section(o), block(o, 0x40000bad, make([]byte, 6<<20)), iface(o, 101), enhanced(o, 0, 1000_500_000, one)), want[:1]},
		)
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			got, err := read(bytes.NewReader(c.file))
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if len(c.file) > 1<<20 {
				return
			}
			if slow, err := read(iotest.OneByteReader(bytes.NewReader(c.file))); err != nil || !cmp.Equal(slow, got) {
				t.Errorf("byte by byte: %v, %v", slow, err)
			}
		})
	}
}

func TestBrokenFiles(t *testing.T) {
	one := ip4(17, 0, udp("one"))
	good := file(le, 0xa1b2c3d4, 101, one, one)
	huge := bytes.Clone(good)
	le.PutUint32(huge[24+8:], 1<<30)
	ng := join(section(le), iface(le, 101), enhanced(le, 0, 1, one))
	unequal := bytes.Clone(ng)
	le.PutUint32(unequal[len(ng)-4:], 40)
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "capture: byte 0: neither pcap nor pcapng: unexpected EOF"},
		{"text", []byte("hello, world"), "capture: byte 0: neither pcap nor pcapng: it begins with 68 65 6c 6c"},
		{"header cut", good[:20], "capture: byte 4: header of the file: unexpected EOF"},
		{"packet header cut", good[:30], "capture: byte 24: header of a packet: unexpected EOF"},
		{"packet cut", good[:len(good)-1], fmt.Sprintf("capture: byte %d: a packet of 31 bytes: unexpected EOF", 24+16+31)},
		{"packet too long", huge, "capture: byte 24: a packet of 1073741824 bytes: the file is damaged"},
		{"byte order mark", join([]byte{0x0a, 0x0d, 0x0d, 0x0a}, make([]byte, 24)), "capture: byte 0: section header: byte order mark 00 00 00 00"},
		{"block cut", ng[:len(ng)-2], "capture: byte 48: block of type 6: unexpected EOF"},
		{"block of two lengths", unequal, "capture: byte 48: block of type 6: 64 bytes long at its start, 40 at its end"},
		{"block of odd length", join(section(le), []byte{9, 0, 0, 0, 13, 0, 0, 0}), "capture: byte 28: block of type 9: 13 bytes long"},
		{"no interface", join(section(le), enhanced(le, 0, 1, one)), "capture: byte 28: packet block: interface 0 of 0"},
		{"resolution", join(section(le), iface(le, 1, 9, 0, 1, 0, 20, 0, 0, 0)), "capture: byte 28: interface block: resolution 0x14 of time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := read(bytes.NewReader(c.file)); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	boom := errors.New("boom")
	if _, err := read(io.MultiReader(bytes.NewReader(good[:50]), iotest.ErrReader(boom))); !errors.Is(err, boom) {
		t.Errorf("the reader's own error is lost: %v", err)
	}
}

func TestProgressAndCounts(t *testing.T) {
	b := file(le, 0xa1b2c3d4, 101, ip4(17, 0, udp("one")), ip4(6, 0, make([]byte, 20)), ip4(17, 0, udp("two")))
	r, err := pcap.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var d pcap.Datagram
	for i, want := range []int64{24 + 16 + 31, int64(len(b))} {
		if err := r.Next(&d); err != nil || r.BytesRead() != want {
			t.Errorf("datagram %d: %v at byte %d, want %d", i, err, r.BytesRead(), want)
		}
	}
	if err := r.Next(&d); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if diff := cmp.Diff(pcap.Stats{Packets: 3, Datagrams: 2, Other: 1}, r.Stats()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if d.Src != netip.MustParseAddrPort("10.7.0.11:40000") {
		t.Errorf("source %s", d.Src)
	}
}

func TestReadingAllocatesNothingPerPacket(t *testing.T) {
	frames := make([][]byte, 10_000)
	for i := range frames {
		frames[i] = ip4(17, 0, udp("hello"))
	}
	b := file(le, 0xa1b2c3d4, 101, frames...)
	if n := testing.AllocsPerRun(3, func() {
		r, err := pcap.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for d := (pcap.Datagram{}); r.Next(&d) == nil; {
		}
		if r.Stats().Datagrams != 10_000 {
			t.Fatal(r.Stats())
		}
	}); n > 10 {
		t.Errorf("%.0f allocations for 10,000 packets", n)
	}
}
