package prog_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp/prog/progtest"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// The model of bpf/sync.h (abi.h, SYNCHRONISATION).

// packetNews is what a packet is to the rules.
type packetNews struct {
	proto      lvs.Protocol
	state      lvs.ConnState // after it
	won        bool          // it changed the state
	fromClient bool
	now        uint32
}

// announces says whether the packet makes the connection due, and what told is
// then; e is the entry with the packet counted and its tick not yet noted.
func announces(s *prog.Settings, e *prog.Conn, p packetNews) (due bool, told uint16) {
	half := p.proto == lvs.TCP && p.state == lvs.StateSynRecv && s.SyncFlags&prog.SyncHalfOpen != 0
	if !p.state.Announced(p.proto) && !half {
		return false, e.Told
	}
	atOnce := s.SyncFlags&prog.SyncAtOnce != 0
	switch {
	case p.won && (p.state != lvs.StateEstablished || atOnce):
		return true, toldAt(p.now, 0)
	case !p.fromClient:
		return false, e.Told
	case atOnce && e.Told == prog.ToldNever:
		return true, toldAt(p.now, 0)
	}
	retries, fits := 0, true
	if s.Refresh > 0 {
		if retries, fits = refreshes(s, e, p.now); !fits {
			return false, e.Told
		}
	}
	switch {
	case s.Period > 0:
		fits = e.InPkts%s.Period == s.Threshold
	case s.Refresh == 0:
		fits = s.Threshold > 0 && e.InPkts == s.Threshold
	}
	switch {
	case fits:
		return true, toldAt(p.now, retries)
	case s.Refresh > 0 && retries == 0 && e.Told > prog.ToldOverdue:
		return false, prog.ToldOverdue
	}
	return false, e.Told
}

// refreshes is the refresh rule: whether it lets the packet through, and as
// which retry.
func refreshes(s *prog.Settings, e *prog.Conn, now uint32) (retries int, ok bool) {
	if e.Told <= prog.ToldOverdue {
		return 0, true
	}
	span := min(s.Refresh, max(e.Timeout/2, s.RefreshFloor))
	age := (now>>prog.ToldUnit - uint32(e.Told>>prog.ToldShift)) & prog.ToldTime << prog.ToldUnit
	if int32(now-e.Last) >= int32(span) || age >= span {
		return 0, true
	}
	retries = int(e.Told&3) + 1
	return retries, retries <= int(s.Retries) && age >= s.RetrySpan
}

func toldAt(now uint32, retries int) uint16 {
	return uint16(max(now>>prog.ToldUnit&prog.ToldTime, 1)<<prog.ToldShift) | uint16(retries)
}

// The rules of IPVS's documentation and of FACTS, by example: which of the
// packets 1..n of an established connection are announced. Times stand off the
// unit of told, by which they are rounded.
func TestRulesByExample(t *testing.T) {
	const second = 125
	tests := []struct {
		name  string
		set   prog.Settings
		every uint32 // ticks between packets
		n     int
		want  []int
	}{
		{"the default 3 50", prog.Settings{Threshold: 3, Period: 50}, 1, 110, []int{3, 53, 103}},
		{"every packet", prog.Settings{Threshold: 0, Period: 1}, 1, 4, []int{1, 2, 3, 4}},
		{"3 alone", prog.Settings{Threshold: 3}, 1, 60, []int{3}},
		{"changes of state alone", prog.Settings{}, 1, 60, nil},
		{"at once", prog.Settings{SyncFlags: prog.SyncAtOnce}, 1, 60, []int{1}},
		{"at once and 3 50", prog.Settings{SyncFlags: prog.SyncAtOnce, Threshold: 3, Period: 50}, 1, 60, []int{1, 3, 53}},
		{"refresh 19.5 s", prog.Settings{Refresh: 2440, RetrySpan: 305}, second, 60, []int{1, 21, 41}},
		{"refresh 19.5 s, 2 retries", prog.Settings{Refresh: 2440, RetrySpan: 305, Retries: 2}, second, 30, []int{1, 4, 7, 27, 30}},
		{"refresh 19.5 s and 3 50", prog.Settings{Threshold: 3, Period: 50, Refresh: 2440, RetrySpan: 305}, second, 110, []int{3, 53, 103}},
		{"refresh at half of the timeout", prog.Settings{Refresh: 2000 * second, RetrySpan: 250 * second}, 100 * second, 10, []int{1, 6}},
		{"a slow connection", prog.Settings{Refresh: 1000 * second, RetrySpan: 125 * second}, 600 * second, 3, []int{1, 2, 3}},
	}
	for _, tt := range tests {
		tt.set.RefreshFloor = 10 * second
		e := prog.Conn{Timeout: 900 * second}
		var got []int
		now := uint32(1 << 20)
		for i := 1; i <= tt.n; i++ {
			now += tt.every
			e.InPkts++
			due, told := announces(&tt.set, &e, packetNews{proto: lvs.TCP, state: lvs.StateEstablished, fromClient: true, now: now})
			if e.Told = told; due {
				got = append(got, i)
			}
			e.Last = now
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: announced packets (-want +got):\n%s", tt.name, d)
		}
	}
}

// randomRules are rules that let every branch be taken often.
func randomRules(r *rand.Rand, s *prog.Settings) {
	pick := func(v ...uint32) uint32 { return v[r.IntN(len(v))] }
	s.Flags |= prog.SettingSync
	s.SyncFlags = pick(0, prog.SyncAtOnce, prog.SyncHalfOpen, prog.SyncAtOnce|prog.SyncHalfOpen)
	s.Threshold, s.Period = pick(0, 1, 3), pick(0, 0, 1, 4)
	s.Refresh, s.Retries = pick(0, 500, 2000, 60000, prog.RefreshMax), pick(0, 1, 3)
	s.RetrySpan = s.Refresh / 8
}

// randomEntry puts the entry into some state with some past.
func randomEntry(r *rand.Rand, w *progtest.World, e *prog.Conn, now uint32) {
	if e.Key.Proto == progtest.TCP {
		setState(w, e, lvs.ConnState(r.IntN(lvs.NumTCPStates)))
	}
	e.Timeout = []uint32{800, 5000, 112500}[r.IntN(3)]
	e.Last = now - uint32(r.IntN(int(e.Timeout)-400))
	e.InPkts = uint32(r.IntN(12))
	switch r.IntN(4) {
	case 0:
		e.Told = prog.ToldNever
	case 1:
		e.Told = prog.ToldOverdue
	default:
		e.Told = toldAt(now-uint32(r.IntN(3*int(e.Timeout))), r.IntN(4))
	}
}

// The packet path announces what the model says, with what the entry says.
func TestRulesAgainstModel(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		r := rand.New(rand.NewPCG(7, uint64(proto)))
		w := world(t, progtest.Options{Flags: prog.SettingNoReuse})
		add(t, w, service(proto, server(0, prog.MethodNAT)))
		first := fromClient(proto, 4000, progtest.SYN)
		run(t, w, h, first)
		e := w.Conn(progtest.FlowOf(first))
		announced := 0
		for i := range 3000 {
			s := w.Settings
			randomRules(r, &s)
			if err := w.Set(s); err != nil {
				t.Fatal(err)
			}
			now, err := w.Now()
			if err != nil {
				t.Fatal(err)
			}
			randomEntry(r, w, e, now)
			flags := []uint8{progtest.SYN, progtest.ACK, progtest.ACK, progtest.FIN | progtest.ACK, progtest.RST, 0}[r.IntN(6)]
			p, news := fromClient(proto, 4000, flags), packetNews{proto: lvs.Protocol(proto), fromClient: true}
			if r.IntN(3) == 0 {
				p, news.fromClient = fromServer(0, p, flags), false
			}
			before := *e
			run(t, w, h, p)
			after, _ := w.Now()
			events, err := w.Events()
			if err != nil {
				t.Fatal(err)
			}
			if e.Last != now || after != now {
				continue // the tick went on: the model would look at another time
			}
			model := before
			model.Timeout, model.InPkts = e.Timeout, e.InPkts
			news.now, news.state = now, lvs.ConnState(e.State&prog.StateMask)
			news.won = e.State&prog.StateMask != before.State&prog.StateMask
			due, told := announces(&s, &model, news)
			var want []prog.Event
			if due {
				announced++
				want = []prog.Event{{Key: e.Key, State: e.State, Timeout: e.Timeout, Dest: e.Dest, DestGen: e.DestGen, InPkts: e.InPkts}}
			}
			if d := cmp.Diff(want, events); d != "" || e.Told != told {
				t.Fatalf("packet %d (%+v), rules %+v, entry before %+v: told %d, want %d; events (-want +got):\n%s", i, news, s, before, e.Told, told, d)
			}
		}
		if announced < 300 {
			t.Errorf("only %d announcements of 3000 packets: the rules are not exercised", announced)
		}
		audit(t, w)
	})
}

// A new connection is announced with its first packet where the rules say so:
// UDP at once, TCP when it is established.
func TestNewConnections(t *testing.T) {
	each(t, func(t *testing.T, h progtest.Hook, proto uint8) {
		for name, m := range methods {
			w := world(t, progtest.Options{Flags: prog.SettingSync})
			s := w.Settings
			s.SyncFlags = prog.SyncAtOnce
			if err := w.Set(s); err != nil {
				t.Fatal(err)
			}
			add(t, w, service(proto, server(0, m)))
			count := func(want int, what string) {
				t.Helper()
				ev, err := w.Events()
				if err != nil || len(ev) != want {
					t.Errorf("%s: %d events after %s, want %d: %v", name, len(ev), what, want, err)
				}
			}
			first := 0
			if proto == progtest.UDP {
				first = 1
			}
			run(t, w, h, fromClient(proto, 4000, progtest.SYN))
			count(first, "the first packet")
			run(t, w, h, fromClient(proto, 4000, progtest.ACK))
			count(1-first, "the second packet")
			run(t, w, h, fromClient(proto, 4000, progtest.ACK))
			count(0, "the third packet")
			run(t, w, h, fromClient(proto, 4000, progtest.FIN|progtest.ACK))
			count(1-first, "the fourth packet")
		}
	})
}

// Connections in the stash are announced as those in the table.
func TestAnnounceFromStash(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{Sets: 1, Flags: prog.SettingSync})
		s := w.Settings
		s.SyncFlags = prog.SyncAtOnce
		if err := w.Set(s); err != nil {
			t.Fatal(err)
		}
		add(t, w, service(progtest.UDP, server(0, prog.MethodNAT)))
		for port := range uint16(12) {
			for range 2 {
				run(t, w, h, fromClient(progtest.UDP, port, 0))
			}
		}
		if ev, err := w.Events(); err != nil || len(ev) != 12 {
			t.Errorf("%d events of 12 connections: %v", len(ev), err)
		}
	})
}

// A full ring loses nothing silently: each is counted, and announced with the
// next packet.
func TestRingOverflow(t *testing.T) {
	eachHook(t, func(t *testing.T, h progtest.Hook) {
		w := world(t, progtest.Options{Flags: prog.SettingSync})
		s := w.Settings
		s.SyncFlags, s.Threshold, s.Period = prog.SyncAtOnce, 0, 1
		if err := w.Set(s); err != nil {
			t.Fatal(err)
		}
		add(t, w, service(progtest.UDP, server(0, prog.MethodDR)))
		p := fromClient(progtest.UDP, 4000, 0)
		room := int(w.Map("events").MaxEntries()) / 48
		const more = 100
		for range room + more {
			run(t, w, h, p)
		}
		ev, err := w.Events()
		if err != nil {
			t.Fatal(err)
		}
		missed := int(reasons(t, w)["sync-missed"])
		if len(ev)+missed != room+more || missed < more || missed > more+1 {
			t.Errorf("%d packets: %d events and %d missed; the ring has room for %d", room+more, len(ev), missed, room)
		}
		if told := w.Conn(progtest.FlowOf(p)).Told; told != prog.ToldNever {
			t.Errorf("told is %d after a miss, want never", told)
		}
	})
}
