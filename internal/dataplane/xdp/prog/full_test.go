package prog_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
)

// A table of one set: 8 ways.
var tiny = progtest.Options{Sets: 1}

func syn(port uint16) progtest.Packet { return fromClient(progtest.TCP, port, progtest.SYN) }
func ack(port uint16) progtest.Packet { return fromClient(progtest.TCP, port, progtest.ACK) }

// A flood of SYNs costs half-open connections only, the longest idle first.
func TestReclaimHalfOpen(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, tiny)
		add(t, w, service(progtest.TCP, server(0, prog.MethodDR)))
		for port := range uint16(8) {
			run(t, w, h, syn(port))
			if port < 4 {
				run(t, w, h, ack(port))
			}
		}
		w.Conn(progtest.FlowOf(syn(6))).Last -= 10
		for port := uint16(100); port < 300; port++ {
			p := syn(port)
			expect(t, w, h, p, sent(h), toServer(0, prog.MethodDR, p))
			if port == 100 && w.Conn(progtest.FlowOf(syn(6))) != nil {
				t.Error("the longest idle half-open connection was not taken")
			}
		}
		for port := range uint16(4) {
			wantState(t, w, syn(port), uint32(es))
		}
		wantReasons(t, w, map[string]uint64{"half-open-reclaimed": 200})
		audit(t, w)
	})
}

// Dead entries are used before half-open ones.
func TestReclaimDeadFirst(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, tiny)
		add(t, w, service(progtest.TCP, server(0, prog.MethodDR)))
		for port := range uint16(8) {
			run(t, w, h, syn(port))
			if port == 7 {
				run(t, w, h, ack(port))
			}
		}
		age(t, w, w.Conn(progtest.FlowOf(syn(7))), 2)
		run(t, w, h, syn(100))
		wantReasons(t, w, map[string]uint64{"expired-freed": 1})
		audit(t, w)
	})
}

// When only established connections are left, new ones go to the stash and
// live there like the others.
func TestStash(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		for name, m := range methods {
			t.Run(name, func(t *testing.T) {
				w := world(t, tiny)
				a := add(t, w, service(proto, server(0, m)))
				for port := range uint16(20) {
					for _, flags := range []uint8{progtest.SYN, progtest.ACK} {
						p := fromClient(proto, port, flags)
						expect(t, w, h, p, sent(h), toServer(0, m, p))
					}
					if m == prog.MethodNAT {
						r := fromServer(0, fromClient(proto, port, 0), progtest.ACK)
						back := r
						back.Dst, back.Src, back.TTL, back.SrcIP, back.SPort = clientMAC, directorMAC, r.TTL-1, vip, 80
						expect(t, w, h, r, sent(h), back)
					}
				}
				inTable := uint64(8)
				if m == prog.MethodNAT {
					inTable = 4
				}
				wantReasons(t, w, map[string]uint64{"stashed": 20 - inTable})
				if proto == progtest.TCP {
					wantCount(t, w, a.Dests[0], 20, 0)
				} else {
					wantCount(t, w, a.Dests[0], 0, 20)
				}
				audit(t, w)

				// What is dead in the stash goes by lookup or by sweep.
				if err := w.SetDest(a.Dests[0], a.ID, 2, server(0, m)); err != nil {
					t.Fatal(err)
				}
				freed, err := w.Sweep()
				if err != nil {
					t.Fatal(err)
				}
				if want := uint32(20 - inTable); freed < want {
					t.Errorf("sweep freed %d, want at least %d", freed, want)
				}
				audit(t, w)
				if got := uint64(w.Count(a.Dests[0]).Active + w.Count(a.Dests[0]).Inactive); got != inTable {
					t.Errorf("%d connections counted, want %d", got, inTable)
				}
			})
		}
	})
}

// With the stash full too, DR balances by the fallback ring alone: the same
// server for the whole connection; NAT refuses. Established connections do
// not notice.
func TestStateless(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, tiny)
		s := service(progtest.TCP, server(0, prog.MethodDR), server(1, prog.MethodDR))
		s.Fallback = []uint32{0, 1, 1, 0, 1}
		add(t, w, s)
		port := uint16(1)
		for reasons(t, w)["stateless"] == 0 {
			run(t, w, h, syn(port))
			run(t, w, h, ack(port))
			if port++; port > 200 {
				t.Fatal("the table never filled up")
			}
		}
		if port < 64 {
			t.Fatalf("full after %d connections", port)
		}
		hits := map[byte]int{}
		for port := uint16(1000); port < 1100; port++ {
			_, first := run(t, w, h, syn(port))
			for _, flags := range []uint8{progtest.ACK, progtest.ACK | progtest.PSH, progtest.FIN | progtest.ACK} {
				v, out := run(t, w, h, fromClient(progtest.TCP, port, flags))
				if v != sent(h) || string(out[:6]) != string(first[:6]) {
					t.Fatalf("port %d: %s, another server", port, v)
				}
			}
			hits[first[5]]++
		}
		if len(hits) != 2 {
			t.Errorf("servers used: %v", hits)
		}
		wantState(t, w, syn(1), uint32(es))

		// Room again: the connection in the middle gets its entry.
		age(t, w, w.Conn(progtest.FlowOf(syn(1))), 2)
		run(t, w, h, ack(1000))
		wantState(t, w, syn(1000), uint32(es))
		audit(t, w)
	})
}

func TestTableFullNAT(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, tiny)
		add(t, w, service(progtest.TCP, server(0, prog.MethodNAT)))
		for port := range uint16(100) {
			run(t, w, h, syn(port))
			run(t, w, h, ack(port))
		}
		r := reasons(t, w)
		if r["table-full"] == 0 || r["half-open-reclaimed"] != 0 || r["stashed"] == 0 {
			t.Errorf("reasons %v", r)
		}
		audit(t, w)
	})
}

// Several CPUs hammer one set with the same few connections: SYNs, FINs and
// RSTs that open and close them, insertions that race. Afterwards every
// connection is there at most once and every count is exact.
func TestConcurrentClaims(t *testing.T) {
	tests := []struct {
		name  string
		ports int
		sets  uint32
		m     uint8
	}{
		{"few flows, one set, DR", 4, 1, prog.MethodDR},
		{"few flows, one set, NAT", 3, 1, prog.MethodNAT},
		{"more flows than ways, DR", 24, 2, prog.MethodDR},
		{"more flows than ways, NAT", 24, 2, prog.MethodNAT},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := world(t, progtest.Options{Sets: tt.sets})
			a := add(t, w, service(progtest.TCP, server(0, tt.m), server(1, tt.m)))
			b := add(t, w, service(progtest.UDP, server(0, tt.m), server(1, tt.m)))
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() { hammer(t, w, hooks[g%2], uint64(g), tt.ports) })
			}
			wg.Wait()
			audit(t, w)
			for _, d := range append(a.Dests, b.Dests...) {
				if c := w.Count(d); c.Active < 0 || c.Inactive < 0 {
					t.Errorf("destination %d counts %d/%d", d, c.Active, c.Inactive)
				}
			}
			// Free everything by its deadline; nothing may be left.
			for i := range w.Sets() {
				for way := range w.Sets()[i].Way {
					w.Sets()[i].Way[way].Timeout = 0
					w.Sets()[i].Way[way].Last -= 10
				}
			}
			for port := range tt.ports {
				for _, proto := range []uint8{progtest.TCP, progtest.UDP} {
					run(t, w, progtest.XDP, fromClient(proto, uint16(port), progtest.ACK))
				}
			}
			audit(t, w)
		})
	}
}

func hammer(t *testing.T, w *progtest.World, h progtest.Hook, seed uint64, ports int) {
	r := rand.New(rand.NewPCG(seed, 99))
	flags := []uint8{progtest.SYN, progtest.SYN, progtest.ACK, progtest.FIN | progtest.ACK, progtest.RST}
	for range 20000 {
		proto := uint8(progtest.TCP)
		if r.IntN(4) == 0 {
			proto = progtest.UDP
		}
		p := fromClient(proto, uint16(r.IntN(ports)), flags[r.IntN(len(flags))])
		if r.IntN(4) == 0 {
			p = fromServer(r.IntN(2), p, flags[r.IntN(len(flags))])
		}
		v, _, err := w.Run(h, p.Bytes())
		if err != nil || v == progtest.Aborted {
			t.Errorf("%s: %v", v, err)
			return
		}
	}
}
