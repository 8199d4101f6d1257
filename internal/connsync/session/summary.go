package session

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Counts are how many sessions are in a group. Templates are counted apart.
type Counts struct {
	Sessions  int            `json:"sessions"`
	Active    int            `json:"active"`
	Inactive  int            `json:"inactive"`
	Templates int            `json:"templates,omitempty"`
	States    map[string]int `json:"states,omitempty"` // by name, without templates
	// Directors is how many each director announced last, templates included.
	Directors map[netip.Addr]int `json:"directors,omitempty"`
}

// ServerCounts are the sessions of a real server of a virtual server.
type ServerCounts struct {
	Dest netip.AddrPort `json:"dest"`
	Counts
}

// VirtualCounts are the sessions of a virtual server. The template of a
// firewall mark stands by itself: protocol 0, address 0.0.0.MARK.
type VirtualCounts struct {
	Protocol lvs.Protocol   `json:"protocol"`
	Virtual  netip.AddrPort `json:"virtual"`
	Counts
	Servers []ServerCounts `json:"servers"` // in order of address
}

// ClientCount is a client and how many sessions it has.
type ClientCount struct {
	Client   netip.Addr `json:"client"`
	Sessions int        `json:"sessions"`
}

// Summary is the table in numbers.
type Summary struct {
	Counts
	Virtuals []VirtualCounts `json:"virtuals"` // in order of protocol and address
	// Clients are those with the most sessions, most first.
	Clients []ClientCount `json:"clients,omitempty"`
}

// Summarize counts the sessions that the filter chooses at now, and finds the
// clients with the most of them, as many as wanted.
func Summarize(t *Table, now time.Time, f *Filter, clients int) Summary {
	s := summarizer{virtuals: map[virtualKey]*virtualSum{}}
	if clients > 0 {
		s.clients = map[netip.Addr]int{}
	}
	for x := range t.All() {
		if f.Match(x, now) {
			s.add(x)
		}
	}
	return s.finish(clients)
}

type virtualKey struct {
	protocol lvs.Protocol
	virtual  netip.AddrPort
}

type virtualSum struct {
	counts  Counts
	servers map[netip.AddrPort]*Counts
}

type summarizer struct {
	all      Counts
	virtuals map[virtualKey]*virtualSum
	clients  map[netip.Addr]int
}

func (c *Counts) add(s *Session) {
	if c.States == nil {
		c.States, c.Directors = map[string]int{}, map[netip.Addr]int{}
	}
	c.Directors[s.Director]++
	if s.IsTemplate() {
		c.Templates++
		return
	}
	c.Sessions++
	c.States[s.StateName()]++
	if s.Active() {
		c.Active++
	} else {
		c.Inactive++
	}
}

func (z *summarizer) add(s *Session) {
	z.all.add(s)
	k := virtualKey{s.Protocol, s.Virtual}
	v := z.virtuals[k]
	if v == nil {
		v = &virtualSum{servers: map[netip.AddrPort]*Counts{}}
		z.virtuals[k] = v
	}
	v.counts.add(s)
	d := v.servers[s.Dest]
	if d == nil {
		d = &Counts{}
		v.servers[s.Dest] = d
	}
	d.add(s)
	if z.clients != nil && !s.IsTemplate() {
		z.clients[s.Client.Addr()]++
	}
}

func (z *summarizer) finish(clients int) Summary {
	out := Summary{Counts: z.all}
	for k, v := range z.virtuals {
		c := VirtualCounts{Protocol: k.protocol, Virtual: k.virtual, Counts: v.counts}
		for d, n := range v.servers {
			c.Servers = append(c.Servers, ServerCounts{Dest: d, Counts: *n})
		}
		slices.SortFunc(c.Servers, func(a, b ServerCounts) int { return a.Dest.Compare(b.Dest) })
		out.Virtuals = append(out.Virtuals, c)
	}
	slices.SortFunc(out.Virtuals, func(a, b VirtualCounts) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.Virtual.Compare(b.Virtual))
	})
	for a, n := range z.clients {
		out.Clients = append(out.Clients, ClientCount{a, n})
	}
	slices.SortFunc(out.Clients, func(a, b ClientCount) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), a.Client.Compare(b.Client))
	})
	out.Clients = out.Clients[:min(clients, len(out.Clients))]
	return out
}
