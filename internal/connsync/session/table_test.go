package session_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var (
	lb1 = netip.MustParseAddr("10.7.0.11")
	lb2 = netip.MustParseAddr("10.7.0.12")
)

// tcp is a connection of client to 192.168.10.100:80, sent to 192.168.10.N:80.
func tcp(client string, server int, state lvs.ConnState) connsync.Conn {
	c := connsync.Conn{
		Protocol: lvs.TCP, State: uint16(state), Flags: connsync.MethodDR | connsync.NoOutput,
		Client: netip.MustParseAddrPort(client), Virtual: netip.MustParseAddrPort("192.168.10.100:80"),
		Dest:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 10, byte(server)}), 80),
		Timeout: uint32(state.DefaultTimeout(lvs.TCP, false) / time.Second),
	}
	if !state.Active(lvs.TCP) {
		c.Flags |= connsync.Inactive
	}
	return c
}

func message(tb testing.TB, version int, syncID uint8, cs ...connsync.Conn) []byte {
	tb.Helper()
	b := connsync.AppendHeader(nil, version, syncID)
	for i := range cs {
		var err error
		if b, err = connsync.AppendConn(b, version, &cs[i]); err != nil {
			tb.Fatal(err)
		}
	}
	connsync.FinishHeader(b, version, len(cs))
	return b
}

func apply(tb testing.TB, t *session.Table, seconds float64, from netip.Addr, cs ...connsync.Conn) {
	tb.Helper()
	if _, err := t.Apply(at(seconds), from, message(tb, 1, 51, cs...)); err != nil {
		tb.Fatal(err)
	}
}

// story makes a table that writes its events down.
func story(o session.Options, kinds session.Kind) (*session.Table, *[]string) {
	t, lines := session.New(o), &[]string{}
	t.Listen(func(e *session.Event) {
		s := &e.Session
		l := fmt.Sprintf("%3.1f %s %s %s %s by %s", e.Time.Sub(at(0)).Seconds(), e.Kind(), s.Client, s.Dest, s.StateName(), s.Director)
		if e.Kinds&(session.Changed|session.Moved) != 0 {
			l += fmt.Sprintf(", before %s %s by %s", e.Before.Dest, e.Before.State.Name(s.Protocol), e.Before.Director)
		}
		*lines = append(*lines, l)
	}, kinds)
	return t, lines
}

func TestLifeOfASession(t *testing.T) {
	tab, got := story(session.Options{}, session.AllKinds|session.Refreshed)
	apply(t, tab, 0, lb1, tcp("10.0.0.1:1000", 1, lvs.StateEstablished))
	apply(t, tab, 10, lb1, tcp("10.0.0.1:1000", 1, lvs.StateEstablished))
	apply(t, tab, 20, lb2, tcp("10.0.0.1:1000", 1, lvs.StateEstablished))
	apply(t, tab, 30, lb2, tcp("10.0.0.1:1000", 1, lvs.StateFinWait))
	apply(t, tab, 35, lb2, tcp("10.0.0.1:1000", 2, lvs.StateTimeWait)) // of an older connection
	if n := tab.Expire(at(149.9)); n != 0 {
		t.Errorf("%d sessions ran out before their time", n)
	}
	for s := range tab.All() {
		if s.Expires(at(149)) != time.Second || !s.First.Equal(at(0)) || !s.Last.Equal(at(30)) || s.Active() {
			t.Errorf("%+v", s)
		}
	}
	if n := tab.Expire(at(150)); n != 1 || tab.Len() != 0 {
		t.Errorf("%d sessions ran out, %d are left", n, tab.Len())
	}
	apply(t, tab, 200, lb2, tcp("10.0.0.1:1000", 2, lvs.StateEstablished))
	apply(t, tab, 210, lb2, tcp("10.0.0.1:1000", 1, lvs.StateEstablished)) // the same ports, another connection
	apply(t, tab, 2000, lb1, tcp("10.0.0.1:1000", 1, lvs.StateEstablished))
	want := []string{
		"0.0 created 10.0.0.1:1000 192.168.10.1:80 ESTABLISHED by 10.7.0.11",
		"10.0 refreshed 10.0.0.1:1000 192.168.10.1:80 ESTABLISHED by 10.7.0.11",
		"20.0 moved 10.0.0.1:1000 192.168.10.1:80 ESTABLISHED by 10.7.0.12, before 192.168.10.1:80 ESTABLISHED by 10.7.0.11",
		"30.0 changed 10.0.0.1:1000 192.168.10.1:80 FIN_WAIT by 10.7.0.12, before 192.168.10.1:80 ESTABLISHED by 10.7.0.12",
		"150.0 expired 10.0.0.1:1000 192.168.10.1:80 FIN_WAIT by 10.7.0.12",
		"200.0 created 10.0.0.1:1000 192.168.10.2:80 ESTABLISHED by 10.7.0.12",
		"210.0 moved 10.0.0.1:1000 192.168.10.1:80 ESTABLISHED by 10.7.0.12, before 192.168.10.2:80 ESTABLISHED by 10.7.0.12",
		// Nobody had looked for what had run out.
		"1110.0 expired 10.0.0.1:1000 192.168.10.1:80 ESTABLISHED by 10.7.0.12",
		"2000.0 created 10.0.0.1:1000 192.168.10.1:80 ESTABLISHED by 10.7.0.11",
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	s := tab.Stats()
	if s.Stale != 1 || s.Created != 3 || s.Expired != 2 || s.Connections != 7 || len(s.Directors) != 2 || s.Directors[0].Sessions != 1 || s.Directors[1].Sessions != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTableIsBounded(t *testing.T) {
	tab := session.New(session.Options{MaxSessions: 10})
	for i := range 25 {
		apply(t, tab, 0, lb1, tcp(fmt.Sprintf("10.0.0.1:%d", i), 1, lvs.StateEstablished))
	}
	apply(t, tab, 1, lb1, tcp("10.0.0.1:3", 1, lvs.StateFinWait)) // those in it go on
	if s := tab.Stats(); tab.Len() != 10 || s.Full != 15 || s.Connections != 11 {
		t.Errorf("%d sessions, %+v", tab.Len(), s)
	}
	// Senders that were made up share one place.
	tab = session.New(session.Options{})
	for i := range 5000 {
		apply(t, tab, 0, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), tcp(fmt.Sprintf("10.0.0.1:%d", i), 1, lvs.StateEstablished))
	}
	s := tab.Stats()
	if len(s.Directors) != 1025 || s.Directors[0].Addr.IsValid() || s.Directors[0].Sessions != 5000-1024 {
		t.Errorf("%d directors, the first of them %+v", len(s.Directors), s.Directors[0])
	}
}

func TestOptions(t *testing.T) {
	key, err := connsync.NewKey("secret")
	if err != nil {
		t.Fatal(err)
	}
	tab := session.New(session.Options{NoTemplates: true, SyncIDs: []uint8{51, 52}, Key: key})
	template := tcp("10.0.0.1:0", 1, lvs.TemplateAssured)
	template.Flags |= connsync.Template | connsync.Inactive
	send := func(syncID uint8, k *connsync.Key, seq uint64) {
		w := connsync.NewWriter(syncID, 1472, true, k)
		for _, c := range []connsync.Conn{tcp("10.0.0.1:1", 1, lvs.StateEstablished), template} {
			if err := w.Add(&c); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tab.Apply(at(float64(seq)), lb1, w.Finish(connsync.Trailer{Sender: 7, Seq: seq, Entries: 99, CatchUp: 8848})); err != nil {
			t.Fatal(err)
		}
	}
	send(51, key, 1)
	send(51, key, 5)
	send(51, nil, 6) // anybody
	send(53, key, 7)
	s := tab.Stats()
	d := s.Directors[0]
	if tab.Len() != 1 || s.Refused[connsync.ReasonAuth] != 1 || s.Refused[connsync.ReasonSyncID] != 1 || len(s.Directors) != 1 {
		t.Errorf("%d sessions, %+v", tab.Len(), s)
	}
	if !d.Kaname || !d.Keyed || d.Lost != 3 || d.Entries != 99 || d.CatchUp != 8848 || d.Datagrams != 2 || d.Connections != 2 {
		t.Errorf("%+v", d)
	}
}

func TestWalkInPieces(t *testing.T) {
	tab := session.New(session.Options{Expected: 100})
	want := map[string]bool{}
	for i := range 3000 {
		c := tcp(fmt.Sprintf("10.0.%d.%d:1", i>>8, i&255), 1, lvs.StateEstablished)
		if i%3 == 0 {
			for _, a := range []*netip.AddrPort{&c.Client, &c.Virtual, &c.Dest} {
				b := a.Addr().As16()
				b[0] = 0xfd
				*a = netip.AddrPortFrom(netip.AddrFrom16(b), a.Port())
			}
		}
		apply(t, tab, 0, lb1, c)
		want[c.Client.String()] = true
	}
	for _, n := range []int{1, 7, 1000, 3000, 1 << 40} {
		got := map[string]bool{}
		calls, most := 0, 0
		for cursor := uint64(0); ; {
			before := len(got)
			cursor = tab.Walk(cursor, n, func(s *session.Session) bool {
				got[s.Client.String()] = true
				return true
			})
			calls, most = calls+1, max(most, len(got)-before)
			if cursor == 0 {
				break
			}
		}
		if !cmp.Equal(want, got) || most > n || calls > 3000/n+2 {
			t.Errorf("in pieces of %d: %d sessions in %d calls, at most %d at once", n, len(got), calls, most)
		}
	}
	// Breaking off.
	n := 0
	for range tab.All() {
		if n++; n == 5 {
			break
		}
	}
	if n != 5 {
		t.Error(n)
	}
}

// TestNoAllocations: what is known is applied without allocating.
func TestNoAllocations(t *testing.T) {
	tab := session.New(session.Options{})
	var cs []connsync.Conn
	for i := range 30 {
		cs = append(cs, tcp(fmt.Sprintf("10.0.0.1:%d", i), 1, lvs.StateEstablished))
	}
	b := message(t, 1, 51, cs...)
	if n := testing.AllocsPerRun(100, func() {
		if n, err := tab.Apply(at(0), lb1, b); n != 30 || err != nil {
			t.Fatal(n, err)
		}
	}); n > 0 {
		t.Errorf("%.0f allocations a message", n)
	}
}

// model is the table written down simply.
type model struct {
	sessions map[string]session.Session
}

func keyOf(c *connsync.Conn) string {
	return fmt.Sprint(c.Protocol, c.Client, c.Virtual, c.IsTemplate())
}

func (m *model) apply(now time.Time, from netip.Addr, c *connsync.Conn) {
	if c.Refusal(1) != connsync.ReasonNone {
		return
	}
	k := keyOf(c)
	old, ok := m.sessions[k]
	if ok && !old.Deadline().After(now) {
		ok = false
	}
	s := session.Session{
		Protocol: c.Protocol, State: lvs.ConnState(c.State), Flags: c.Flags, Client: c.Client, Virtual: c.Virtual, Dest: c.Dest,
		FWMark: c.FWMark, SyncID: 51, Version: 1, Director: from, First: now, Last: now, Timeout: c.Lifetime(),
	}
	if ok && old.Dest != c.Dest && c.Flags&connsync.Inactive != 0 && !c.IsTemplate() {
		return
	}
	if ok && old.Dest == c.Dest {
		s.First = old.First
	}
	m.sessions[k] = s
}

func (m *model) expire(now time.Time) (n int) {
	for k, s := range m.sessions {
		if !s.Deadline().After(now) {
			delete(m.sessions, k)
			n++
		}
	}
	return n
}

// TestTableIsLikeAMap plays messages and times into the table and into a map.
func TestTableIsLikeAMap(t *testing.T) {
	conns := rapid.Custom(func(t *rapid.T) connsync.Conn {
		c := tcp(fmt.Sprintf("10.0.0.%d:%d", rapid.IntRange(0, 40).Draw(t, "client"), rapid.IntRange(0, 3).Draw(t, "port")),
			rapid.IntRange(1, 2).Draw(t, "server"), lvs.ConnState(rapid.IntRange(0, 11).Draw(t, "state")))
		c.Protocol = rapid.SampledFrom([]lvs.Protocol{lvs.TCP, lvs.TCP, lvs.UDP, lvs.SCTP, 50, 99}).Draw(t, "protocol")
		c.Timeout = rapid.SampledFrom([]uint32{0, 1, 5, 60, 900, 1 << 31}).Draw(t, "timeout")
		c.Flags = rapid.SampledFrom([]connsync.Flags{0, 0, connsync.Inactive, connsync.Template | connsync.Inactive, connsync.OnePacket}).Draw(t, "flags")
		c.FWMark = uint32(rapid.IntRange(0, 1).Draw(t, "fwmark"))
		if rapid.Bool().Draw(t, "v6") {
			for _, a := range []*netip.AddrPort{&c.Client, &c.Virtual, &c.Dest} {
				b := a.Addr().As16()
				b[0] = 0xfd
				*a = netip.AddrPortFrom(netip.AddrFrom16(b), a.Port())
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "option") == 0 {
			c.Options = []byte{0x45, 1, 0}
		}
		return c
	})
	rapid.Check(t, func(t *rapid.T) {
		m, now := model{map[string]session.Session{}}, at(0)
		tab := session.New(session.Options{Seed: rapid.Uint64().Draw(t, "seed")})
		events := 0 // created less expired
		if rapid.Bool().Draw(t, "listen") {
			tab.Listen(func(e *session.Event) {
				if e.Kinds&session.Created != 0 {
					events++
				}
				if e.Kinds&session.Expired != 0 {
					events--
				}
			}, session.AllKinds)
		} else {
			events = -1
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "later")) * time.Millisecond)
			if rapid.IntRange(0, 3).Draw(t, "expire") == 0 {
				if got, want := tab.Expire(now), m.expire(now); got != want {
					t.Fatalf("%d ran out, want %d", got, want)
				}
			}
			cs := rapid.SliceOfN(conns, 0, 80).Draw(t, "conns")
			from := rapid.SampledFrom([]netip.Addr{lb1, lb2}).Draw(t, "from")
			b := connsync.AppendHeader(nil, 1, 51)
			for i := range cs {
				b, _ = connsync.AppendConn(b, 1, &cs[i])
				m.apply(now, from, &cs[i])
			}
			connsync.FinishHeader(b, 1, len(cs))
			if _, err := tab.Apply(now, from, b); err != nil {
				t.Fatal(err)
			}
		}
		compare(t, tab, &m)
		if events >= 0 && events != tab.Len() {
			t.Fatalf("events make %d sessions, the table has %d", events, tab.Len())
		}
	})
}

func compare(t *rapid.T, tab *session.Table, m *model) {
	var got, want []string
	for s := range tab.All() {
		got = append(got, fmt.Sprintf("%+v", *s))
	}
	for _, s := range m.sessions {
		s.First, s.Last = s.First.UTC(), s.Last.UTC()
		want = append(want, fmt.Sprintf("%+v", s))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the table is not the map (-map +table):\n%s", diff)
	}
	total := 0
	for _, d := range tab.Stats().Directors {
		total += d.Sessions
	}
	if total != tab.Len() || tab.Len() != len(got) {
		t.Fatalf("directors count %d sessions, the table %d, there are %d", total, tab.Len(), len(got))
	}
}

// FuzzApply: any message leaves a table whose counts agree with what is in it.
func FuzzApply(f *testing.F) {
	for _, name := range []string{"n-injected", "g-sip", "c-version0", "d-ipv6"} {
		for _, d := range messagesOf(f, name) {
			f.Add(d, d)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		tab := session.New(session.Options{})
		taken := 0
		for i, m := range [][]byte{a, b, a} {
			n, err := tab.Apply(at(float64(i*50)), lb1, m)
			if err != nil && !strings.HasPrefix(err.Error(), "sync message: ") {
				t.Errorf("error %v", err)
			}
			taken += n
		}
		s := tab.Stats()
		if s.Datagrams != 3 || s.Connections != uint64(taken) || uint64(tab.Len()) != s.Created-s.Expired {
			t.Errorf("%d taken, %d in the table, %+v", taken, tab.Len(), s)
		}
		n := 0
		for x := range tab.All() {
			if n++; x.Timeout <= 0 || x.StateName() == "" || !x.Director.IsValid() {
				t.Errorf("%+v", x)
			}
		}
		if n != tab.Len() {
			t.Errorf("%d walked of %d", n, tab.Len())
		}
	})
}
