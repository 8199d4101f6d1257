package kernellab

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// perService is how many TCP connections and UDP flows each virtual server
// has.
const perService = 4

var clientAddr = netip.MustParseAddr("10.7.0.2")

// failover plays one story: connections run through the director lb1, lb2
// hears of them, lb1 dies, and they go on through lb2.
func failover(kind1, kind2 string) func(*testing.T) {
	return func(t *testing.T) {
		modprobe(t, "ip_vs", "ip_vs_rr")
		l := stage(t, site())
		w := populate(t, l)
		lb1, lb2 := l.Host("lb1"), l.Host("lb2")
		d1 := start(t, kind1, lb1, siteConfig("lb1", 150))
		holds(t, lb1, "10.7.0.100", "10.7.0.101", "10.8.0.254")
		d2 := start(t, kind2, lb2, siteConfig("lb2", 100))
		plays(t, d1, "master")
		plays(t, d2, "backup")

		w.open(t)
		w.known(t, d1, d2)
		w.closing(t, d1, d2)

		if err := lb1.Lose(); err != nil {
			t.Fatal(err)
		}
		holds(t, lb2, "10.7.0.100", "10.7.0.101", "10.8.0.254")
		w.goOn(t)
		plays(t, d2, "master")
		w.close(t, d2)
	}
}

// plays waits until a director's sync daemon has the role.
func plays(t *testing.T, d director, role string) {
	t.Helper()
	eventually(t, "sync daemon of "+d.name()+" is "+role, func() error {
		if got := d.syncs(t); got != role {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// world is the servers and what the client has open to them.
type world struct {
	client *lab.Host
	parts  []*part
}

// part is one method's share.
type part struct {
	method
	speakers []*lab.Echo // of serverFirst
	sessions map[uint16]*lab.Sessions
	flows    []*flow
	servers  map[*flow]string // who answers
}

func populate(t *testing.T, l *lab.Lab) *world {
	t.Helper()
	w := &world{client: l.Host("client")}
	for _, m := range methods {
		p := &part{method: m, sessions: map[uint16]*lab.Sessions{}, servers: map[*flow]string{}}
		for name := range m.servers {
			for _, port := range []uint16{clientFirst, serverFirst} {
				e, err := l.Host(name).Echo(tcpListen(m, port))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(e.Close)
				if port == serverFirst {
					p.speakers = append(p.speakers, e)
				}
			}
			answerUDP(t, l.Host(name), "udp4", m.listen(datagrams))
		}
		w.parts = append(w.parts, p)
	}
	return w
}

// tcpListen is any address: health checks come to the real server's own.
func tcpListen(m method, port uint16) string { return fmt.Sprintf(":%d", port+m.shift) }

// open makes the connections and flows. Each has three packets at least, which
// is when IPVS announces it.
func (w *world) open(t *testing.T) {
	t.Helper()
	for _, p := range w.parts {
		for _, port := range []uint16{clientFirst, serverFirst} {
			w.answers(t, p.virtual(port))
			s, err := w.client.Open(within(t, 30*time.Second), p.virtual(port), perService)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			p.sessions[port] = s
		}
		for range perService {
			f := newFlow(t, w.client, clientAddr, p.virtual(datagrams))
			p.flows = append(p.flows, f)
			p.servers[f] = f.ask(t)
			for range 4 {
				if got := f.ask(t); got != p.servers[f] {
					t.Errorf("%s: flow %s went from %s to %s", p.kind, f.local, p.servers[f], got)
				}
			}
		}
		w.exchange(t, p)
	}
}

// answers waits until a service answers: checks have to find its servers up.
func (w *world) answers(t *testing.T, to netip.AddrPort) {
	t.Helper()
	eventually(t, to.String()+" answering", func() error {
		s, err := w.client.Open(within(t, time.Second), to, 2)
		if err == nil {
			s.Close()
		}
		return err
	})
}

func (w *world) exchange(t *testing.T, p *part) {
	t.Helper()
	for port, s := range p.sessions {
		for range 3 {
			if r := s.Exchange(20 * time.Second); len(r.Failed) != 0 {
				t.Fatalf("%s, port %d: %s", p.kind, port, r)
			}
		}
	}
}

// expected are the entries of what is open.
func (w *world) expected(t *testing.T, table map[connection]entry) map[connection]entry {
	t.Helper()
	want := map[connection]entry{}
	find := func(client, virtual netip.AddrPort, e entry) {
		for c := range table {
			if c.client == client && c.virtual == virtual {
				want[c] = e
				return
			}
		}
		t.Fatalf("no entry for %s -> %s in %v", client, virtual, slices.Collect(maps.Keys(table)))
	}
	for _, p := range w.parts {
		for port, s := range p.sessions {
			for i := range s.Len() {
				find(s.Local(i), p.virtual(port), entry{"TCP", "ESTABLISHED", 15 * time.Minute})
			}
		}
		for _, f := range p.flows {
			find(f.local, p.virtual(datagrams), entry{"UDP", "UDP", 5 * time.Minute})
		}
	}
	return want
}

// known waits until the backup has everything as the master has it.
func (w *world) known(t *testing.T, master, backup director) {
	t.Helper()
	want := w.expected(t, entries(t, master))
	began := time.Now()
	listed(t, backup, want)
	t.Logf("the backup knew %d connections %s after the last packet", len(want), time.Since(began).Round(100*time.Millisecond))
	for _, p := range w.parts {
		for _, port := range []uint16{clientFirst, serverFirst} {
			if active, _ := counts(t, backup, "TCP", p.virtual(port)); active != perService {
				t.Errorf("backup counts %d active connections to %s, want %d:\n%s", active, p.virtual(port), perService, backup.list(t, "-Ln"))
			}
		}
	}
}

// closing opens a connection more and ends it: the backup hears that too.
func (w *world) closing(t *testing.T, master, backup director) {
	t.Helper()
	for _, p := range w.parts {
		s, err := w.client.Open(within(t, 30*time.Second), p.virtual(clientFirst), 1)
		if err != nil {
			t.Fatal(err)
		}
		local := s.Local(0)
		s.Close()
		for _, d := range []director{master, backup} {
			w.ended(t, d, p, local, p.virtual(clientFirst))
		}
	}
}

// ended waits until a director knows a connection as closed in order.
func (w *world) ended(t *testing.T, d director, p *part, local, virtual netip.AddrPort) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s -> %s %s in %s", local, virtual, p.closed, d.name()), func() error {
		for c, e := range entries(t, d) {
			if c.client == local && c.virtual == virtual {
				if e.state != p.closed || e.left > 2*time.Minute {
					return fmt.Errorf("it is %s", e)
				}
				return nil
			}
		}
		return fmt.Errorf("it is not listed")
	})
}

// goOn demands that what was open before the failover is alive after it:
// first the servers speak on their connections, then the clients on theirs.
func (w *world) goOn(t *testing.T) {
	t.Helper()
	word := []byte("the server speaks first")
	for _, p := range w.parts {
		for _, e := range p.speakers {
			if err := e.Push(word); err != nil {
				t.Errorf("%s: %v", p.kind, err)
			}
		}
		if err := p.sessions[serverFirst].Expect(word, 30*time.Second); err != nil {
			t.Errorf("%s: after the failover the server speaks first: %v", p.kind, err)
		}
	}
	for _, p := range w.parts {
		if r := p.sessions[clientFirst].Exchange(30 * time.Second); len(r.Failed) != 0 {
			t.Errorf("%s: after the failover the client speaks first: %s", p.kind, r)
		}
		// Real servers take turns: of two flows of one server that come one after
		// the other, a director that does not know them sends one elsewhere.
		slices.SortFunc(p.flows, func(a, b *flow) int { return strings.Compare(p.servers[a], p.servers[b]) })
		for _, f := range p.flows {
			for range 3 {
				if got := f.ask(t); got != p.servers[f] {
					t.Errorf("%s: UDP flow %s of %s goes to %s after the failover", p.kind, f.local, p.servers[f], got)
				}
			}
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	for _, p := range w.parts {
		for port, s := range p.sessions {
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			r := s.Talk(ctx, 50*time.Millisecond, 30*time.Second)
			stop()
			if len(r.Failed) != 0 || r.Exchanges < 2*perService {
				t.Errorf("%s, port %d: in conversation after the failover: %s", p.kind, port, r)
			}
		}
	}
}

// close ends everything; the new master follows each connection to its end.
// That needs the flags: a director that never sees the answers tells the end
// otherwise than one that does.
func (w *world) close(t *testing.T, d director) {
	t.Helper()
	for _, p := range w.parts {
		for port, s := range p.sessions {
			s.Close()
			for i := range s.Len() {
				w.ended(t, d, p, s.Local(i), p.virtual(port))
			}
		}
	}
	if log := d.log(); strings.Contains(log, "panic") {
		t.Errorf("log:\n%s", log)
	}
}
