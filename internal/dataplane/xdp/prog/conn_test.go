package prog_test

import (
	"fmt"
	"testing"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Segments in LVS's order of precedence: RST, SYN, FIN, ACK, nothing.
var segments = []struct {
	name  string
	flags []uint8 // all of them count as this segment
}{
	{"syn", []uint8{progtest.SYN, progtest.SYN | progtest.ACK, progtest.SYN | progtest.FIN}},
	{"fin", []uint8{progtest.FIN, progtest.FIN | progtest.ACK}},
	{"ack", []uint8{progtest.ACK, progtest.ACK | progtest.PSH}},
	{"rst", []uint8{progtest.RST, progtest.RST | progtest.ACK, progtest.RST | progtest.SYN, progtest.RST | progtest.FIN}},
	{"none", []uint8{0, progtest.PSH}},
}

const (
	no, es, ss, sr, fw, tw = lvs.StateNone, lvs.StateEstablished, lvs.StateSynSent, lvs.StateSynRecv, lvs.StateFinWait, lvs.StateTimeWait
	cl, cw, la, li, sa     = lvs.StateClose, lvs.StateCloseWait, lvs.StateLastAck, lvs.StateListen, lvs.StateSynack
)

// LVS's ordinary TCP state table, rows by segment, columns by state.
var transitions = map[string]map[string][lvs.NumTCPStates]lvs.ConnState{
	"input": {
		"syn":  {sr, es, es, sr, sr, sr, sr, sr, sr, sr, sr},
		"fin":  {cl, cw, ss, tw, tw, tw, cl, cw, la, li, tw},
		"ack":  {es, es, ss, es, fw, tw, cl, cw, cl, li, es},
		"rst":  {cl, cl, cl, sr, cl, cl, cl, cl, la, li, sr},
		"none": {cl, cl, cl, cl, cl, cl, cl, cl, cl, cl, cl},
	},
	"output": {
		"syn":  {ss, es, ss, sr, ss, ss, ss, ss, ss, li, sr},
		"fin":  {tw, fw, ss, tw, fw, tw, cl, tw, la, li, tw},
		"ack":  {es, es, ss, es, fw, tw, cl, cw, la, es, es},
		"rst":  {cl, cl, ss, cl, cl, tw, cl, cl, cl, cl, cl},
		"none": {cl, cl, cl, cl, cl, cl, cl, cl, cl, cl, cl},
	},
	"input only": {
		"syn":  {sr, es, es, sr, sr, sr, sr, sr, sr, sr, sr},
		"fin":  {cl, fw, ss, tw, fw, tw, cl, cw, la, li, tw},
		"ack":  {es, es, ss, es, fw, tw, cl, cw, cl, li, es},
		"rst":  {cl, cl, cl, sr, cl, cl, cl, cl, la, li, cl},
		"none": {cl, cl, cl, cl, cl, cl, cl, cl, cl, cl, cl},
	},
}

// setState puts an entry into a state by hand, counts and all.
func setState(w *progtest.World, e *prog.Conn, s lvs.ConnState) {
	c := w.Count(e.Dest)
	c.Active, c.Inactive = 0, 1
	if s.Active(lvs.TCP) {
		c.Active, c.Inactive = 1, 0
	}
	e.State = e.State&^prog.StateMask | uint32(s)
	e.Timeout = w.Settings.Timeouts[s]
}

// Every state, every segment, every direction, on both hooks: next state,
// counts, timeout.
func TestTransitions(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		for dir, table := range transitions {
			method := prog.MethodNAT
			if dir == "input only" {
				method = prog.MethodDR
			}
			w := world(t, progtest.Options{Flags: prog.SettingNoReuse})
			a := add(t, w, service(progtest.TCP, server(0, method)))
			syn := fromClient(progtest.TCP, 4000, progtest.SYN)
			run(t, w, h, syn)
			wantState(t, w, syn, uint32(sr))
			e := w.Conn(progtest.FlowOf(syn))
			for _, seg := range segments {
				for _, flags := range seg.flags {
					for from := range lvs.ConnState(lvs.NumTCPStates) {
						setState(w, e, from)
						p := fromClient(progtest.TCP, 4000, flags)
						if dir == "output" {
							p = fromServer(0, p, flags)
						}
						if v, _ := run(t, w, h, p); v != sent(h) {
							t.Fatalf("%s %s in %s: verdict %s", dir, seg.name, from.Name(lvs.TCP), v)
						}
						want := table[seg.name][from]
						if got := lvs.ConnState(e.State & prog.StateMask); got != want {
							t.Errorf("%s %s(%#x) in %s: %s, want %s", dir, seg.name, flags,
								from.Name(lvs.TCP), got.Name(lvs.TCP), want.Name(lvs.TCP))
						}
						if e.Timeout != w.Settings.Timeouts[want] {
							t.Errorf("%s %s in %s: timeout %d, want %d", dir, seg.name, from.Name(lvs.TCP), e.Timeout, w.Settings.Timeouts[want])
						}
						c := w.Count(a.Dests[0])
						if (c.Active == 1) != want.Active(lvs.TCP) || c.Active+c.Inactive != 1 {
							t.Errorf("%s %s in %s: counts %d/%d", dir, seg.name, from.Name(lvs.TCP), c.Active, c.Inactive)
						}
					}
				}
			}
			audit(t, w)
		}
	})
}

// A new timeout holds for connections that exist.
func TestTimeoutFollowsSettings(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		w := world(t, progtest.Options{})
		add(t, w, service(proto, server(0, prog.MethodDR)))
		p := fromClient(proto, 4000, progtest.SYN)
		run(t, w, h, p)
		s := w.Settings
		for i := range s.Timeouts {
			s.Timeouts[i] = 1000 + uint32(i)
		}
		if err := w.Set(s); err != nil {
			t.Fatal(err)
		}
		run(t, w, h, p)
		e := w.Conn(progtest.FlowOf(p))
		want := 1000 + uint32(sr)
		if proto == progtest.UDP {
			want = 1000 + prog.TimeoutUDP
		}
		if e.Timeout != want {
			t.Errorf("timeout %d, want %d", e.Timeout, want)
		}
	})
}

// age makes an entry as old as it may get, plus extra ticks.
func age(t *testing.T, w *progtest.World, e *prog.Conn, extra int32) {
	t.Helper()
	now, err := w.Now()
	if err != nil {
		t.Fatal(err)
	}
	e.Last = now - e.Timeout - uint32(extra)
}

// An entry past its deadline is dead for the next packet, scanned or not.
func TestExpiryOnLookup(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		for name, m := range methods {
			w := world(t, progtest.Options{})
			a := add(t, w, service(proto, server(0, m), server(1, m)))
			p := fromClient(proto, 4000, progtest.SYN)
			expect(t, w, h, p, sent(h), toServer(0, m, p))
			e := w.Conn(progtest.FlowOf(p))

			// Just before its deadline it lives.
			age(t, w, e, -50)
			expect(t, w, h, p, sent(h), toServer(0, m, p))

			epoch := e.State >> prog.EpochShift
			age(t, w, e, 2)
			if m == prog.MethodNAT {
				// A reply is no longer translated.
				r := fromServer(0, p, progtest.ACK)
				expect(t, w, h, r, progtest.Pass, r)
				if w.Conn(progtest.FlowOf(p)) != nil {
					t.Errorf("%s: the dead entry is still there", name)
				}
			}
			expect(t, w, h, p, sent(h), toServer(1, m, p))
			e = w.Conn(progtest.FlowOf(p))
			if e == nil || e.Dest != a.Dests[1] {
				t.Fatalf("%s: entry %+v", name, e)
			}
			if e.State>>prog.EpochShift == epoch && m == prog.MethodDR {
				t.Errorf("%s: the epoch is still %d", name, epoch)
			}
			if got := reasons(t, w)["expired-freed"]; got != 1 {
				t.Errorf("%s: expired-freed %d, want 1", name, got)
			}
			audit(t, w)
		}
	})
}

// The middle of a TCP connection that nobody knows is not scheduled.
func TestNoConnection(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{})
		add(t, w, service(progtest.TCP, server(0, prog.MethodDR)))
		for _, flags := range []uint8{progtest.ACK, progtest.FIN | progtest.ACK, progtest.RST, progtest.RST | progtest.SYN, 0} {
			p := fromClient(progtest.TCP, 4000, flags)
			expect(t, w, h, p, progtest.Pass, p)
		}
		wantReasons(t, w, map[string]uint64{"no-connection": 5})
	})
}

// A SYN on a connection that is over opens a new one (conn_reuse_mode 1).
func TestReuse(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		for name, m := range methods {
			for state := range lvs.ConnState(lvs.NumTCPStates) {
				w := world(t, progtest.Options{})
				a := add(t, w, service(progtest.TCP, server(0, m), server(1, m)))
				p := fromClient(progtest.TCP, 4000, progtest.SYN)
				run(t, w, h, p)
				setState(w, w.Conn(progtest.FlowOf(p)), state)
				want := 0
				if state == tw || state == cl {
					want = 1
				}
				expect(t, w, h, p, sent(h), toServer(want, m, p))
				if e := w.Conn(progtest.FlowOf(p)); e.Dest != a.Dests[want] {
					t.Errorf("%s %s: destination %d", name, state.Name(lvs.TCP), e.Dest)
				}
				if got := reasons(t, w)["rescheduled"]; got != uint64(want) {
					t.Errorf("%s %s: rescheduled %d", name, state.Name(lvs.TCP), got)
				}
				audit(t, w)
			}
		}
	})
}

// A removed server's connections get nothing, as with expire_nodest_conn 0;
// with 1 they move on; a SYN on a closed one moves on in any case.
func TestRemovedServer(t *testing.T) {
	for _, expire := range []bool{false, true} {
		t.Run(fmt.Sprintf("expire_nodest_conn %v", expire), func(t *testing.T) {
			each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
				o := progtest.Options{}
				if expire {
					o.Flags = prog.SettingExpireNodest
				}
				w := world(t, o)
				a := add(t, w, service(proto, server(0, prog.MethodNAT), server(1, prog.MethodNAT)))
				p := fromClient(proto, 4000, progtest.SYN)
				expect(t, w, h, p, sent(h), toServer(0, prog.MethodNAT, p))
				gone := server(0, prog.MethodNAT)
				gone.Flags, gone.Weight = prog.DestResolved, 0
				if err := w.SetDest(a.Dests[0], a.ID, 1, gone); err != nil {
					t.Fatal(err)
				}
				// Its replies still go out.
				r := fromServer(0, p, progtest.SYN|progtest.ACK)
				if v, _ := run(t, w, h, r); v != sent(h) {
					t.Errorf("reply: %s", v)
				}
				if expire {
					expect(t, w, h, p, sent(h), toServer(1, prog.MethodNAT, p))
				} else {
					expect(t, w, h, p, progtest.Drop, p)
					wantReasons(t, w, map[string]uint64{"destination-removed": 1})
					if proto == progtest.TCP {
						setState(w, w.Conn(progtest.FlowOf(p)), tw)
						expect(t, w, h, p, sent(h), toServer(1, prog.MethodNAT, p))
					}
				}
				audit(t, w)
			})
		})
	}
}

// Raising the generation kills the entries of a destination at once.
func TestGeneration(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		w := world(t, progtest.Options{})
		a := add(t, w, service(proto, server(0, prog.MethodNAT), server(1, prog.MethodNAT)))
		p := fromClient(proto, 4000, progtest.SYN)
		run(t, w, h, p)
		if err := w.SetDest(a.Dests[0], a.ID, 2, server(0, prog.MethodNAT)); err != nil {
			t.Fatal(err)
		}
		r := fromServer(0, p, progtest.ACK)
		expect(t, w, h, r, progtest.Pass, r)
		expect(t, w, h, p, sent(h), toServer(1, prog.MethodNAT, p))
		wantCount(t, w, a.Dests[0], 0, 0)
		audit(t, w)
	})
}

func TestDestinationFlags(t *testing.T) {
	tests := []struct {
		name, verdict, reason string
		flags                 uint32
	}{
		{"unresolved", progtest.Drop, "neighbour-unresolved", prog.DestAvailable},
		{"local", progtest.Pass, "local-server", prog.DestAvailable | prog.DestLocal},
		{"local and resolved", progtest.Pass, "local-server", prog.DestAvailable | prog.DestLocal | prog.DestResolved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
				for _, m := range methods {
					w := world(t, progtest.Options{})
					s := server(0, m)
					s.Flags = tt.flags
					add(t, w, service(proto, s))
					for _, flags := range []uint8{progtest.SYN, progtest.ACK} {
						p := fromClient(proto, 4000, flags)
						expect(t, w, h, p, tt.verdict, p)
					}
					wantReasons(t, w, map[string]uint64{tt.reason: 2})
					audit(t, w)
				}
			})
		})
	}
}

// Frames for somebody else, which a hub or a flooding bridge lets us see, are
// left alone, whether their connection is known or not.
func TestOtherHost(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{Flags: prog.SettingCheckMAC})
		add(t, w, service(progtest.TCP, server(0, prog.MethodNAT)))
		for _, mac := range []progtest.MAC{directorMAC, vmac} {
			key := uint64(0)
			for _, b := range mac {
				key = key<<8 | uint64(b)
			}
			if err := w.Map("macs").Put(key, uint32(1)); err != nil {
				t.Fatal(err)
			}
		}
		p := fromClient(progtest.TCP, 4000, progtest.SYN)
		other := p
		other.Dst = progtest.MAC{2, 0, 0, 0, 0, 0x77}
		expect(t, w, h, other, progtest.Pass, other)
		expect(t, w, h, p, sent(h), toServer(0, prog.MethodNAT, p))
		expect(t, w, h, other, progtest.Pass, other)
		p.Dst = vmac
		expect(t, w, h, p, sent(h), toServer(0, prog.MethodNAT, p))
		r := fromServer(0, p, progtest.ACK)
		otherReply := r
		otherReply.Dst = other.Dst
		expect(t, w, h, otherReply, progtest.Pass, otherReply)
		if v, _ := run(t, w, h, r); v != sent(h) {
			t.Errorf("reply: %s", v)
		}
		wantReasons(t, w, map[string]uint64{"other-host": 3})
	})
}

// The client moves to another router: replies follow it.
func TestClientMoves(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{})
		add(t, w, service(progtest.TCP, server(0, prog.MethodNAT)))
		p := fromClient(progtest.TCP, 4000, progtest.SYN)
		run(t, w, h, p)
		p.Src = progtest.MAC{2, 0, 0, 0, 0, 0xcc}
		run(t, w, h, p)
		r := fromServer(0, p, progtest.ACK)
		back := r
		back.Dst, back.Src, back.TTL, back.SrcIP, back.SPort = p.Src, directorMAC, r.TTL-1, vip, 80
		expect(t, w, h, r, sent(h), back)
	})
}

func TestAnyPort(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{Flags: prog.SettingAnyPort})
		add(t, w, service(progtest.TCP, server(0, prog.MethodDR)))
		s := service(progtest.TCP, server(1, prog.MethodDR))
		s.Port = 0
		add(t, w, s)
		p := fromClient(progtest.TCP, 4000, progtest.SYN)
		expect(t, w, h, p, sent(h), toServer(0, prog.MethodDR, p))
		p.DPort = 81
		expect(t, w, h, p, sent(h), toServer(1, prog.MethodDR, p))
	})
}

// Two services share a real server, and a client asks both from one port: the
// replies could not be told apart while both live.
func TestReplyClash(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{})
		add(t, w, service(progtest.TCP, server(0, prog.MethodNAT)))
		s := service(progtest.TCP, server(0, prog.MethodNAT))
		s.Port = 81
		add(t, w, s)
		p := fromClient(progtest.TCP, 4000, progtest.SYN)
		run(t, w, h, p)
		q := p
		q.DPort = 81
		expect(t, w, h, q, progtest.Drop, q)
		wantReasons(t, w, map[string]uint64{"reply-tuple-in-use": 1})
		audit(t, w)
		setState(w, w.Conn(progtest.FlowOf(p)), tw)
		expect(t, w, h, q, sent(h), toServer(0, prog.MethodNAT, q))
		if w.Conn(progtest.FlowOf(p)) != nil {
			t.Error("the closed connection is still there")
		}
		audit(t, w)
	})
}

// Thresholds: overloaded at the upper, free again below the lower one, or
// below three quarters of the upper.
func TestOverload(t *testing.T) {
	for lower, below := range map[uint32]int{2: 1, 0: 2} {
		t.Run(fmt.Sprintf("lower %d", lower), func(t *testing.T) {
			eachHook(t, func(t *testing.T, h progtest.Hook) {
				w := world(t, progtest.Options{})
				s := server(0, prog.MethodDR)
				s.Upper, s.Lower = 4, lower
				a := add(t, w, service(progtest.TCP, s))
				overloaded := func() bool { return w.Count(a.Dests[0]).Flags&prog.DcountOverload != 0 }
				for i := range uint16(4) {
					if overloaded() {
						t.Fatalf("overloaded with %d connections", i)
					}
					run(t, w, h, fromClient(progtest.TCP, 4000+i, progtest.SYN))
				}
				if !overloaded() {
					t.Fatal("not overloaded with 4")
				}
				run(t, w, h, fromClient(progtest.TCP, 5000, progtest.SYN))
				if got := reasons(t, w)["no-destination"]; got != 1 {
					t.Errorf("no-destination %d", got)
				}
				for left := 3; left >= 0; left-- {
					p := fromClient(progtest.TCP, 4000+uint16(left), progtest.ACK)
					age(t, w, w.Conn(progtest.FlowOf(p)), 2)
					run(t, w, h, p)
					if got, want := overloaded(), left > below; got != want {
						t.Errorf("%d connections left: overloaded %v, want %v", left, got, want)
					}
				}
				audit(t, w)
			})
		})
	}
}
