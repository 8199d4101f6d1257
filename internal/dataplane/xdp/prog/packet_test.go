package prog_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
)

func eachHook(t *testing.T, f func(t *testing.T, h progtest.Hook)) {
	for _, h := range hooks {
		t.Run(string(h), func(t *testing.T) { f(t, h) })
	}
}

var methods = map[string]uint8{"dr": prog.MethodDR, "nat": prog.MethodNAT}

// The TTL goes down by one, and a packet that has none left does not go on.
func TestTTL(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		for name, m := range methods {
			w := world(t, progtest.Options{})
			add(t, w, service(progtest.TCP, server(0, m)))
			for _, ttl := range []uint8{255, 2, 1, 0} {
				p := fromClient(progtest.TCP, 4000, progtest.SYN)
				p.TTL = ttl
				if ttl > 1 {
					expect(t, w, h, p, sent(h), toServer(0, m, p))
					continue
				}
				expect(t, w, h, p, progtest.Drop, p)
			}
			if got := reasons(t, w)["ttl-exceeded"]; got != 2 {
				t.Errorf("%s: ttl-exceeded %d, want 2", name, got)
			}
		}
	})
}

// The destination's VLAN decides the tag, and the client's the replies'.
func TestVLAN(t *testing.T) {
	tests := []struct {
		name     string
		in, dest uint16 // TCI, dest.vlan
		want     uint16
	}{
		{"keep", 0x6000 | 100, prog.VLANKeep, 0x6000 | 100},
		{"keep none", 0, prog.VLANKeep, 0},
		{"same", 0x6000 | 100, 100, 0x6000 | 100},
		{"replace", 0x6000 | 100, 200, 0x6000 | 200},
		{"pop", 100, prog.VLANNone, 0},
		{"push", 0, 200, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachHook(t, func(t *testing.T, h progtest.Hook) {
				for name, m := range methods {
					t.Run(name, func(t *testing.T) {
						w := world(t, progtest.Options{})
						s := server(0, m)
						s.VLAN = tt.dest
						add(t, w, service(progtest.TCP, s))
						for _, flags := range []uint8{progtest.SYN, progtest.ACK} {
							p := fromClient(progtest.TCP, 4000, flags)
							p.VLAN = tt.in
							want := toServer(0, m, p)
							want.VLAN = tt.want
							if h == progtest.TC && tt.want != 0 && tt.in != tt.want {
								// A pushed tag is in the skb, not in the
								// frame that BPF_PROG_RUN shows; its
								// priority follows the old tag only when
								// the kernel took that off too.
								want.VLAN = 0
							}
							expect(t, w, h, p, sent(h), want)
							if m == prog.MethodDR {
								continue
							}
							r := fromServer(0, p, progtest.ACK)
							r.VLAN = tt.want
							back := r
							back.Dst, back.Src, back.TTL = clientMAC, directorMAC, r.TTL-1
							back.SrcIP, back.SPort, back.VLAN = vip, 80, tt.in
							if h == progtest.TC && tt.in != 0 && tt.in != tt.want {
								back.VLAN = 0
							} else if tt.name == "replace" {
								back.VLAN = 0x6000 | 100
							}
							expect(t, w, h, r, sent(h), back)
						}
						audit(t, w)
					})
				}
			})
		})
	}
}

// Odd but right: IP options, padding behind the packet, 802.1ad, a checksum
// of zero in UDP, one that becomes zero.
func TestOddPackets(t *testing.T) {
	tests := map[string]func(p *progtest.Packet){
		"options":         func(p *progtest.Packet) { p.Options = []byte{7, 4, 0, 0} },
		"40 bytes of it":  func(p *progtest.Packet) { p.Options = append([]byte{7, 39}, make([]byte, 38)...) },
		"padding":         func(p *progtest.Packet) { p.Payload, p.Trailer = nil, 6 },
		"802.1ad":         func(p *progtest.Packet) { p.VLAN, p.QinQ = 12, true },
		"odd payload":     func(p *progtest.Packet) { p.Payload = []byte("x") },
		"large":           func(p *progtest.Packet) { p.Payload = bytes.Repeat([]byte("0123456789"), 140) },
		"options and tag": func(p *progtest.Packet) { p.Options, p.VLAN = []byte{1, 1, 1, 1}, 5 },
		"no UDP checksum": func(p *progtest.Packet) { p.NoSum = p.Proto == progtest.UDP },
		"don't fragment":  func(p *progtest.Packet) { p.Frag = 0x4000 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
				for _, m := range methods {
					w := world(t, progtest.Options{})
					s := server(0, m)
					s.VLAN = prog.VLANKeep
					add(t, w, service(proto, s))
					for _, flags := range []uint8{progtest.SYN, progtest.ACK} {
						p := fromClient(proto, 4000, flags)
						change(&p)
						expect(t, w, h, p, sent(h), toServer(0, m, p))
					}
					audit(t, w)
				}
			})
		})
	}
}

// A UDP checksum that comes out as 0 must be sent as 0xffff (RFC 768). Every
// 16-bit word in the payload's place makes one of 65536 packets do that.
func TestUDPChecksumNeverZero(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{})
		add(t, w, service(progtest.UDP, server(0, prog.MethodNAT)))
		p := fromClient(progtest.UDP, 4000, 0)
		p.Payload = []byte{0, 0}
		want := toServer(0, prog.MethodNAT, p)
		sum := binary.BigEndian.Uint16(want.Bytes()[40:])
		// Adding sum to the payload makes the checksum 0, written 0xffff.
		p.Payload = binary.BigEndian.AppendUint16(nil, sum)
		want = toServer(0, prog.MethodNAT, p)
		if got := binary.BigEndian.Uint16(want.Bytes()[40:]); got != 0xffff {
			t.Fatalf("the packet meant to test it has checksum %#x", got)
		}
		expect(t, w, h, p, sent(h), want)
	})
}

// shortest is the shortest frame that BPF_PROG_RUN takes: for TC it wants an
// IP header behind an IPv4 ethertype.
func shortest(h progtest.Hook) int {
	if h == progtest.TC {
		return 34
	}
	return 14
}

// A frame cut at any length goes nowhere wrong: it is never forwarded, never
// ABORTED, and every one is counted.
func TestTruncated(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		for _, m := range methods {
			for _, opts := range [][]byte{nil, {1, 1, 1, 1}} {
				for _, tag := range []uint16{0, 9} {
					w := world(t, progtest.Options{})
					add(t, w, service(proto, server(0, m)))
					p := fromClient(proto, 4000, progtest.SYN)
					p.Options, p.VLAN = opts, tag
					whole := p.Bytes()
					n := uint64(0)
					for l := shortest(h); l < len(whole); l++ {
						v, out, err := w.Run(h, whole[:l])
						if err != nil {
							t.Fatal(err)
						}
						if v != progtest.Pass || !bytes.Equal(out, whole[:l]) {
							t.Fatalf("cut to %d bytes: %s, changed %v", l, v, !bytes.Equal(out, whole[:l]))
						}
						n++
					}
					wantReasons(t, w, map[string]uint64{"truncated": n})
					audit(t, w)
				}
			}
		}
	})
}

func TestMalformed(t *testing.T) {
	ip := func(off int, b ...byte) func([]byte) []byte {
		return func(f []byte) []byte { copy(f[14+off:], b); return f }
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		reason string
	}{
		{"version 6", ip(0, 0x65), "malformed"},
		{"header length 4", ip(0, 0x44), "malformed"},
		{"header length 15", ip(0, 0x4f), "malformed"},
		{"tot_len 0", ip(2, 0, 0), "malformed"},
		{"tot_len 19", ip(2, 0, 19), "malformed"},
		{"tot_len without transport", ip(2, 0, 27), "malformed"},
		{"tot_len beyond the frame", ip(2, 0xff, 0xff), "truncated"},
		{"another protocol", ip(9, 47), "not-tcp-udp"},
		{"ARP", func(f []byte) []byte { f[12], f[13] = 8, 6; return f }, "not-ipv4"},
		{"IPv6", func(f []byte) []byte { f[12], f[13] = 0x86, 0xdd; return f }, "not-ipv4"},
		{"broadcast", func(f []byte) []byte { copy(f, "\xff\xff\xff\xff\xff\xff"); return f }, "multicast-mac"},
		{"another port", func(f []byte) []byte { f[37]++; return f }, "no-service"},
		{"another address", func(f []byte) []byte { f[33]++; return f }, "no-service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
				w := world(t, progtest.Options{})
				add(t, w, service(proto, server(0, prog.MethodNAT)))
				p := fromClient(proto, 4000, progtest.SYN)
				if tt.name == "tot_len without transport" {
					p.Trailer = 20
				}
				frame := tt.change(p.Bytes())
				v, out, err := w.Run(h, frame)
				if err != nil {
					t.Fatal(err)
				}
				if v != progtest.Pass || !bytes.Equal(out, frame) {
					t.Errorf("verdict %s, changed %v", v, !bytes.Equal(out, frame))
				}
				wantReasons(t, w, map[string]uint64{tt.reason: 1})
			})
		})
	}
}

// Whatever comes, the programs answer with a verdict that is not ABORTED, and
// the table stays in order.
func TestRandomBytes(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{Sets: 4})
		add(t, w, service(progtest.TCP, server(0, prog.MethodNAT), server(1, prog.MethodNAT)))
		add(t, w, service(progtest.UDP, server(0, prog.MethodDR), server(1, prog.MethodDR)))
		r := rand.New(rand.NewPCG(1, 2))
		for range 20000 {
			frame := someFrame(r)
			if len(frame) < shortest(h) {
				continue
			}
			v, _, err := w.Run(h, frame)
			if err != nil {
				t.Fatalf("frame %x: %v", frame, err)
			}
			if v == progtest.Aborted {
				t.Fatalf("frame %x: ABORTED", frame)
			}
		}
		audit(t, w)
	})
}

// someFrame is a frame of the service's traffic with some bytes changed.
func someFrame(r *rand.Rand) []byte {
	protos := []uint8{progtest.TCP, progtest.UDP, progtest.ICMP}
	p := fromClient(protos[r.IntN(3)], uint16(r.IntN(40)), uint8(r.IntN(64)))
	if r.IntN(2) == 0 {
		p = fromServer(r.IntN(2), p, uint8(r.IntN(64)))
	}
	if r.IntN(4) == 0 {
		p.Options = make([]byte, 4*r.IntN(11))
	}
	if r.IntN(4) == 0 {
		p.VLAN = uint16(r.IntN(0x10000))
	}
	if r.IntN(4) == 0 {
		p.Frag = uint16(r.IntN(0x10000))
	}
	if p.Proto == progtest.ICMP {
		p.Raw = progtest.ICMPError(uint8(r.IntN(13)), 3, 0, fromServer(0, fromClient(progtest.TCP, uint16(r.IntN(40)), 0), 0).IPBytes())
	}
	f := p.Bytes()
	for range r.IntN(4) {
		f[r.IntN(len(f))] = byte(r.Uint32())
	}
	if r.IntN(4) == 0 {
		f = f[:14+r.IntN(len(f)-13)]
	}
	return f
}

// FuzzEntry feeds arbitrary frames to both hooks.
func FuzzEntry(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 64 {
		f.Add(someFrame(r))
	}
	w := world(f, progtest.Options{Sets: 4})
	for _, proto := range []uint8{progtest.TCP, progtest.UDP} {
		add(f, w, service(proto, server(0, prog.MethodNAT), server(1, prog.MethodDR)))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, h := range hooks {
			if len(frame) < shortest(h) || len(frame) > 3000 {
				continue // BPF_PROG_RUN takes no such frame
			}
			if v, _, err := w.Run(h, frame); err != nil || v == progtest.Aborted {
				t.Errorf("%s: %s, %v", h, v, err)
			}
		}
	})
}

// icmpAbout is an ICMP error from somewhere about a packet.
func icmpAbout(src, dst netip.Addr, typ, code uint8, rest uint32, about progtest.Packet) progtest.Packet {
	inner := about.IPBytes()
	return progtest.Packet{
		Dst: directorMAC, Src: clientMAC, SrcIP: src, DstIP: dst, TTL: 60, Proto: progtest.ICMP,
		Raw: progtest.ICMPError(typ, code, rest, inner[:min(len(inner), 20+len(about.Options)+8)]),
	}
}

func TestICMPErrors(t *testing.T) {
	errs := map[string][3]uint32{
		"port unreachable": {3, 3, 0}, "host unreachable": {3, 1, 0}, "fragmentation needed": {3, 4, 1400},
		"time exceeded": {11, 0, 0}, "source quench": {4, 0, 0},
	}
	router := netip.MustParseAddr("10.0.0.254")
	for name, e := range errs {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
				for mname, m := range methods {
					w := world(t, progtest.Options{})
					a := add(t, w, service(proto, server(0, m)))
					in := fromClient(proto, 4000, progtest.SYN)
					expect(t, w, h, in, sent(h), toServer(0, m, in))

					// From a router on the client's side, about a reply.
					reply := in
					reply.SrcIP, reply.DstIP, reply.SPort, reply.DPort = vip, client, 80, 4000
					p := icmpAbout(router, vip, uint8(e[0]), uint8(e[1]), e[2], reply)
					inner := reply
					if m == prog.MethodNAT {
						inner.SrcIP, inner.SPort = servers[0], 8080
					}
					want := icmpAbout(router, vip, uint8(e[0]), uint8(e[1]), e[2], inner)
					want.Dst, want.Src, want.TTL = serverMAC[0], directorMAC, p.TTL-1
					if m == prog.MethodNAT {
						want.DstIP = servers[0]
					}
					expectICMP(t, w, h, p, want, reply)

					if m == prog.MethodDR {
						continue
					}
					// From the server, about the client's packet.
					about := toServer(0, m, in)
					p = icmpAbout(servers[0], client, uint8(e[0]), uint8(e[1]), e[2], about)
					p.Src = serverMAC[0]
					inner = about
					inner.DstIP, inner.DPort = vip, 80
					want = icmpAbout(vip, client, uint8(e[0]), uint8(e[1]), e[2], inner)
					want.Dst, want.Src, want.TTL = clientMAC, directorMAC, p.TTL-1
					expectICMP(t, w, h, p, want, about)
					c, err := w.Traffic("dstats", a.Dests[0])
					if err != nil || c.InPkts != 2 || c.OutPkts != 1 {
						t.Errorf("%s: counters %+v, %v", mname, c, err)
					}
				}
			})
		})
	}
}

// expectICMP checks an ICMP error. The quoted transport checksum (UDP's is in
// the 8 bytes quoted, TCP's is not) stays what it was, as in LVS.
func expectICMP(t *testing.T, w *progtest.World, h progtest.Hook, p, want, about progtest.Packet) {
	t.Helper()
	if about.Proto == progtest.UDP {
		copy(want.Raw[8+20+6:], about.IPBytes()[20+6:20+8])
		want.Raw[2], want.Raw[3] = 0, 0
		binary.BigEndian.PutUint16(want.Raw[2:], ^progtest.Sum(want.Raw, 0))
	}
	expect(t, w, h, p, sent(h), want)
}

func TestICMPUnrelated(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{})
		add(t, w, service(progtest.TCP, server(0, prog.MethodNAT)))
		in := fromClient(progtest.TCP, 4000, progtest.SYN)
		run(t, w, h, in)
		reply := in
		reply.SrcIP, reply.DstIP, reply.SPort, reply.DPort = vip, client, 80, 4001
		frag := icmpAbout(client, vip, 3, 3, 0, reply)
		short := frag
		short.Raw = frag.Raw[:30]
		echo := frag
		echo.Raw = progtest.ICMPError(8, 0, 0, []byte("ping"))
		for name, p := range map[string]progtest.Packet{"other flow": frag, "short": short, "echo": echo} {
			if v, out := run(t, w, h, p); v != progtest.Pass || !bytes.Equal(out, p.Bytes()) {
				t.Errorf("%s: %s", name, v)
			}
		}
		wantReasons(t, w, map[string]uint64{"icmp-unrelated": 3})
	})
}

// A datagram in three fragments goes to one server, addresses rewritten in
// each, the checksum in the first.
func TestFragments(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		for name, m := range methods {
			t.Run(name, func(t *testing.T) {
				w := world(t, progtest.Options{})
				a := add(t, w, service(progtest.UDP, server(0, m), server(1, m)))
				whole := fromClient(progtest.UDP, 4000, 0)
				whole.Payload = bytes.Repeat([]byte("0123456789abcdef"), 4)
				split := func(p progtest.Packet, d netip.Addr) []progtest.Packet {
					l4 := p.Bytes()[34:]
					var out []progtest.Packet
					for off := 0; off < len(l4); off += 24 {
						f := p
						f.Raw, f.Frag = l4[off:min(off+24, len(l4))], uint16(off/8)
						if off+24 < len(l4) {
							f.Frag |= 0x2000
						}
						f.DstIP = d
						out = append(out, f)
					}
					return out
				}
				in := split(whole, vip)
				late := in[2]
				late.ID++ // of a datagram whose first fragment nobody saw
				expect(t, w, h, late, progtest.Pass, late)
				full := toServer(0, m, whole)
				want := split(full, full.DstIP)
				for i := range in {
					expect(t, w, h, in[i], sent(h), want[i])
				}
				wantReasons(t, w, map[string]uint64{"fragment-unknown": 1})
				c, err := w.Traffic("dstats", a.Dests[0])
				if err != nil || c.Conns != 1 || c.InPkts != 3 {
					t.Errorf("counters %+v, %v", c, err)
				}
				if m == prog.MethodDR {
					return
				}
				answer := fromServer(0, whole, 0)
				back := answer
				back.Dst, back.Src, back.TTL, back.SrcIP, back.SPort = clientMAC, directorMAC, answer.TTL-1, vip, 80
				out, wantBack := split(answer, client), split(back, client)
				for i := range out {
					expect(t, w, h, out[i], sent(h), wantBack[i])
				}
			})
		}
	})
}

// No server left: the client is told at once.
func TestReject(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		w := world(t, progtest.Options{})
		add(t, w, service(proto))
		p := fromClient(proto, 4000, progtest.SYN)
		keep := 28
		if proto == progtest.TCP {
			keep = 40
		}
		want := progtest.Packet{
			Dst: clientMAC, Src: directorMAC, SrcIP: vip, DstIP: client, TTL: 64, Proto: progtest.ICMP,
			Raw: progtest.ICMPError(3, 3, 0, p.IPBytes()[:keep]),
		}
		wantBytes := want.Bytes()
		wantBytes[15] = 0xc0 // TOS; it and the checksum
		binary.BigEndian.PutUint16(wantBytes[24:], 0)
		binary.BigEndian.PutUint16(wantBytes[24:], ^progtest.Sum(wantBytes[14:34], 0))
		v, out := run(t, w, h, p)
		if v != sent(h) || !bytes.Equal(out, wantBytes) {
			t.Errorf("%s\ngot  %x\nwant %x", v, out, wantBytes)
		}
		wantReasons(t, w, map[string]uint64{"no-destination": 1, "reject-sent": 1})
	})
}

func TestRedirect(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{})
		s := server(0, prog.MethodDR)
		s.Ifindex = 4711
		add(t, w, service(progtest.TCP, s))
		p := fromClient(progtest.TCP, 4000, progtest.SYN)
		for range 2 {
			expect(t, w, h, p, progtest.Redirect, toServer(0, prog.MethodDR, p))
		}
	})
}
