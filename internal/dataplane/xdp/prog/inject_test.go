package prog_test

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// arrival is the connection of a client's packet, announced in a state.
func arrival(p progtest.Packet, dest uint32, state lvs.ConnState) prog.Arrival {
	a := prog.Arrival{Key: progtest.FlowOf(p), State: uint32(state), Timeout: 1000, Left: 700, Dest: dest, DestGen: 1}
	if state.Active(lvs.Protocol(p.Proto)) {
		a.Flags = prog.ArrivalActive
	}
	return a
}

// inject places one arrival.
func inject(t testing.TB, w *progtest.World, mark uint32, a prog.Arrival) lvs.Placement {
	t.Helper()
	r, err := w.Inject(mark, a)
	if err != nil {
		t.Fatal(err)
	}
	return lvs.Placement(r[0])
}

func TestPlacementNumbers(t *testing.T) {
	for c, want := range map[prog.XDPPlacement]lvs.Placement{
		prog.XDPPlacementPLACED: lvs.Placed, prog.XDPPlacementUPDATED: lvs.Updated, prog.XDPPlacementREBOUND: lvs.Rebound,
		prog.XDPPlacementSTALE: lvs.Stale, prog.XDPPlacementNO_SERVICE: lvs.NoService, prog.XDPPlacementNO_SERVER: lvs.NoServer,
		prog.XDPPlacementUNSUPPORTED: lvs.Unsupported, prog.XDPPlacementCLASH: lvs.Clash, prog.XDPPlacementNO_ROOM: lvs.TableFull,
	} {
		if lvs.Placement(c) != want {
			t.Errorf("%s is %d, the packet path has it as %d", want, want, c)
		}
	}
}

// What arrives of a connection that is not known, known, or known with another
// server, in every state, and what becomes of the entry and the counts.
func TestInjectSemantics(t *testing.T) {
	for name, m := range methods {
		for _, proto := range []uint8{progtest.TCP, progtest.UDP} {
			w := world(t, progtest.Options{})
			states := []lvs.ConnState{lvs.StateNone}
			if proto == progtest.TCP {
				states = nil
				for s := range lvs.ConnState(lvs.NumTCPStates) {
					states = append(states, s)
				}
			}
			a := add(t, w, service(proto, server(0, m), server(1, m)))
			for i, s := range states {
				p := fromClient(proto, uint16(5000+i), 0)
				active := s.Active(lvs.Protocol(proto))
				check := func(what string, got, want lvs.Placement, state lvs.ConnState, dest int) {
					t.Helper()
					e := w.Conn(progtest.FlowOf(p))
					if got != want || e == nil {
						t.Fatalf("%s %s: %s is %s, want %s; entry %+v", name, s.Name(lvs.Protocol(proto)), what, got, want, e)
					}
					now, _ := w.Now()
					left := int32(e.Timeout - (now - e.Last))
					if lvs.ConnState(e.State&prog.StateMask) != state || e.Dest != a.Dests[dest] || e.Timeout != 1000 ||
						left > 700 || left < 600 || e.State&prog.Synced == 0 || e.InPkts != 0 || e.Ifindex != 0 ||
						(e.State&prog.NoOutput != 0) != (m == prog.MethodDR) {
						t.Errorf("%s: %s: entry %+v with %d ticks left", name, what, e, left)
					}
					audit(t, w)
				}
				check("the first", inject(t, w, 0, arrival(p, a.Dests[0], s)), lvs.Placed, s, 0)
				check("the same", inject(t, w, 0, arrival(p, a.Dests[0], s)), lvs.Updated, s, 0)
				want, dest := lvs.Stale, 0
				if active {
					want, dest = lvs.Rebound, 1
				}
				check("of another server", inject(t, w, 0, arrival(p, a.Dests[1], s)), want, s, dest)
				if proto == progtest.TCP {
					check("FIN_WAIT", inject(t, w, 0, arrival(p, a.Dests[dest], fw)), lvs.Updated, fw, dest)
				}
			}
		}
	}
}

// What cannot be placed, and leaves everything as it was.
func TestInjectRefusals(t *testing.T) {
	w := world(t, progtest.Options{})
	nat := add(t, w, service(progtest.TCP, server(0, prog.MethodNAT)))
	other := service(progtest.TCP, server(0, prog.MethodNAT))
	other.Port = 81
	second := add(t, w, other)
	p := fromClient(progtest.TCP, 4000, progtest.SYN)
	if got := inject(t, w, 0, arrival(p, nat.Dests[0], es)); got != lvs.Placed {
		t.Fatal(got)
	}
	clash := p
	clash.DPort = 81
	gone := arrival(p, nat.Dests[0], es)
	gone.DestGen = 9
	nobody := arrival(p, nat.Dests[0], es)
	nobody.Dest = 1 << 30
	// The key of a reply entry: a client that has a real server's address.
	reply := fromServer(0, p, 0)
	for name, tt := range map[string]struct {
		a    prog.Arrival
		want lvs.Placement
	}{
		"reply tuple taken":   {arrival(clash, second.Dests[0], es), lvs.Clash},
		"an older generation": {gone, lvs.NoServer},
		"no such slot":        {nobody, lvs.NoServer},
		"the key of a reply":  {arrival(reply, nat.Dests[0], es), lvs.Clash},
	} {
		if got := inject(t, w, 0, tt.a); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	wantCount(t, w, nat.Dests[0], 1, 0)
	wantCount(t, w, second.Dests[0], 0, 0)
	audit(t, w)
}

// With a mark, what changed at it or later stays.
func TestInjectMark(t *testing.T) {
	w := world(t, progtest.Options{})
	a := add(t, w, service(progtest.TCP, server(0, prog.MethodDR), server(1, prog.MethodDR)))
	p := fromClient(progtest.TCP, 4000, progtest.SYN)
	run(t, w, progtest.XDP, p)
	e := w.Conn(progtest.FlowOf(p))
	for name, tt := range map[string]struct {
		mark, dest uint32
		want       lvs.Placement
	}{
		"changed before":           {e.Last + 1, a.Dests[0], lvs.Updated},
		"changed at the mark":      {e.Last, a.Dests[0], lvs.Stale},
		"changed after":            {e.Last - 5, a.Dests[0], lvs.Stale},
		"of another server, after": {e.Last - 5, a.Dests[1], lvs.Stale},
	} {
		last := e.Last
		if got := inject(t, w, tt.mark, arrival(p, tt.dest, es)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		e.Last = last
	}
	unknown := fromClient(progtest.TCP, 4001, 0)
	if got := inject(t, w, e.Last-5, arrival(unknown, a.Dests[0], es)); got != lvs.Placed {
		t.Errorf("an unknown connection with a mark: %s", got)
	}
}

// A full table: dead and half-open entries give way, established ones do not,
// and the stash stays for packets.
func TestInjectFull(t *testing.T) {
	for name, m := range methods {
		w := world(t, tiny)
		a := add(t, w, service(progtest.TCP, server(0, m)))
		placed := 0
		for port := range uint16(20) {
			switch got := inject(t, w, 0, arrival(fromClient(progtest.TCP, port, 0), a.Dests[0], es)); got {
			case lvs.Placed:
				placed++
			case lvs.TableFull:
			default:
				t.Errorf("%s: %s", name, got)
			}
		}
		want := prog.Ways
		if m == prog.MethodNAT {
			want /= 2
		}
		if placed != want {
			t.Errorf("%s: %d connections placed in a table of %d ways", name, placed, prog.Ways)
		}
		wantCount(t, w, a.Dests[0], int32(placed), 0)
		if n := reasons(t, w)["stashed"]; n != 0 {
			t.Errorf("%s: %d went to the stash", name, n)
		}
		age(t, w, w.Conn(progtest.FlowOf(fromClient(progtest.TCP, 0, 0))), 2)
		if got := inject(t, w, 0, arrival(fromClient(progtest.TCP, 99, 0), a.Dests[0], es)); got != lvs.Placed {
			t.Errorf("%s: with a dead entry in the way: %s", name, got)
		}
		audit(t, w)
	}
}

// A packet's entry in the stash is updated, and replaced, like any other.
func TestInjectMeetsStash(t *testing.T) {
	w := world(t, tiny)
	a := add(t, w, service(progtest.TCP, server(0, prog.MethodDR), server(1, prog.MethodDR)))
	for port := range uint16(9) {
		for _, flags := range []uint8{progtest.SYN, progtest.ACK} {
			run(t, w, progtest.XDP, fromClient(progtest.TCP, port, flags))
		}
	}
	p := fromClient(progtest.TCP, 8, 0)
	if w.Conn(progtest.FlowOf(p)) != nil {
		t.Fatal("the ninth connection is in the table")
	}
	dest := a.Dests[0]
	if got := inject(t, w, 0, arrival(p, dest, fw)); got != lvs.Updated {
		t.Errorf("update: %s", got)
	}
	audit(t, w)
	age(t, w, w.Conn(progtest.FlowOf(fromClient(progtest.TCP, 0, 0))), 2)
	if got := inject(t, w, 0, arrival(p, a.Dests[1], es)); got != lvs.Rebound {
		t.Errorf("with another server: %s", got)
	}
	if e := w.Conn(progtest.FlowOf(p)); e == nil || e.Dest != a.Dests[1] {
		t.Errorf("entry %+v", e)
	}
	audit(t, w)
}

// The client's packets and the server's go on with an announced connection as
// with one that began here, and announce it at once.
func TestInjectedConnectionServes(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		for name, m := range methods {
			w := world(t, progtest.Options{Flags: prog.SettingSync})
			s := w.Settings
			s.SyncFlags, s.Threshold, s.Period = prog.SyncAtOnce, 3, 50
			if err := w.Set(s); err != nil {
				t.Fatal(err)
			}
			a := add(t, w, service(proto, server(1, m), server(0, m)))
			state := es
			if proto == progtest.UDP {
				state = no
			}
			p := fromClient(proto, 4000, progtest.ACK)
			inject(t, w, 0, arrival(p, a.Dests[1], state))
			if ev, err := w.Events(); err != nil || len(ev) != 0 {
				t.Errorf("%s: the injection itself is announced: %v, %v", name, ev, err)
			}
			expect(t, w, h, p, sent(h), toServer(0, m, p))
			expect(t, w, h, p, sent(h), toServer(0, m, p))
			ev, err := w.Events()
			if err != nil || len(ev) != 1 || ev[0].InPkts != 1 || ev[0].State&prog.Synced == 0 {
				t.Errorf("%s: events after two packets: %+v, %v; want one, of the first", name, ev, err)
			}
			if m == prog.MethodNAT {
				r := fromServer(0, p, progtest.ACK)
				back := r
				back.Dst, back.Src, back.TTL, back.SrcIP, back.SPort = clientMAC, directorMAC, r.TTL-1, vip, 80
				expect(t, w, h, r, sent(h), back)
			}
			audit(t, w)
		}
	})
}

// The server speaks first: without a route the reply waits, counted, and user
// space is asked; nothing about the connection changes.
func TestReplyBeforeClient(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		w := world(t, progtest.Options{})
		a := add(t, w, service(proto, server(0, prog.MethodNAT)))
		state := es
		if proto == progtest.UDP {
			state = no
		}
		p := fromClient(proto, 4000, progtest.ACK)
		p.SrcIP = netip.MustParseAddr("240.0.0.1") // no host has a route to it
		inject(t, w, 0, arrival(p, a.Dests[0], state))
		r := fromServer(0, p, progtest.FIN|progtest.ACK)
		before := *w.Conn(progtest.FlowOf(p))
		expect(t, w, h, r, progtest.Drop, r)
		wantReasons(t, w, map[string]uint64{"client-unresolved": 1})
		if e := *w.Conn(progtest.FlowOf(p)); e != before {
			t.Errorf("the dropped reply changed %+v to %+v", before, e)
		}
		asks, err := w.Asks()
		if err != nil || len(asks) != 1 || asks[0].Key != progtest.FlowOf(p) {
			t.Errorf("asked: %+v, %v", asks, err)
		}
		// What user space writes is used.
		e := w.Conn(progtest.FlowOf(p))
		e.L2Src, e.L2Dst, e.Ifindex = clientMAC, directorMAC, progtest.Ifindex
		back := r
		back.Dst, back.Src, back.TTL, back.SrcIP, back.SPort = clientMAC, directorMAC, r.TTL-1, vip, 80
		expect(t, w, h, r, sent(h), back)
	})
}

// Announcements and packets of the same few connections meet on several CPUs.
// Afterwards every connection is there at most once and every count is exact.
func TestConcurrentInjection(t *testing.T) {
	for name, m := range methods {
		for _, sets := range []uint32{1, 2, 64} {
			w := world(t, progtest.Options{Sets: sets, Flags: prog.SettingSync})
			a := add(t, w, service(progtest.TCP, server(0, m), server(1, m)))
			b := add(t, w, service(progtest.UDP, server(0, m), server(1, m)))
			const ports = 12
			var wg sync.WaitGroup
			var seen [lvs.NumPlacements]int
			for g := range 2 {
				wg.Go(func() { hammer(t, w, hooks[g], uint64(g), ports) })
			}
			wg.Go(func() {
				r := rand.New(rand.NewPCG(3, 4))
				for range 2000 {
					batch := make([]prog.Arrival, 16)
					for i := range batch {
						p, dests, state := fromClient(progtest.TCP, uint16(r.IntN(ports)), 0), a.Dests, lvs.ConnState(r.IntN(lvs.NumTCPStates))
						if r.IntN(4) == 0 {
							p.Proto, dests, state = progtest.UDP, b.Dests, no
						}
						batch[i] = arrival(p, dests[r.IntN(2)], state)
					}
					got, err := w.Inject(0, batch...)
					if err != nil {
						t.Error(err)
						return
					}
					for _, p := range got {
						seen[p]++
					}
				}
			})
			wg.Wait()
			audit(t, w)
			for _, p := range []lvs.Placement{lvs.Placed, lvs.Updated, lvs.Rebound, lvs.Stale} {
				if sets == 64 && seen[p] == 0 { // the small tables are full
					t.Errorf("%s, %d sets: no arrival was %s: %v", name, sets, p, seen)
				}
			}
		}
	}
}
