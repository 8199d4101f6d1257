package session

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Group says which sessions are counted together.
type Group uint8

// The groups.
const (
	PerAll Group = iota
	PerServer
	PerVirtual
	PerClient // by address
)

var groupNames = [...]string{"all", "server", "virtual", "client"}

// String returns the word of a rules file: "all", "server", "virtual", "client".
func (g Group) String() string {
	if int(g) < len(groupNames) {
		return groupNames[g]
	}
	return "group?"
}

// Threshold is a condition on a number of sessions.
type Threshold struct {
	// Op is >, >=, < or <=.
	Op    string
	Count int
	Per   Group
	// For is how long it must hold without interruption.
	For time.Duration
}

// holds reports whether the condition is met by n.
func (h *Threshold) holds(n int) bool { return comparison(h.Op)(int64(n), int64(h.Count)) }

// below reports whether no sessions at all can meet it.
func (h *Threshold) below() bool { return h.holds(0) }

type groupKey struct {
	protocol lvs.Protocol
	of       netip.AddrPort
}

func (k groupKey) compare(o groupKey) int {
	return cmp.Or(cmp.Compare(k.protocol, o.protocol), k.of.Compare(o.of))
}

type group struct {
	count int
	since time.Time // the threshold holds; zero: it does not
	fired time.Time // since it holds
}

// maxIdle bounds the groups without sessions that are kept because the
// threshold holds for them.
const maxIdle = 1 << 16

// counter counts the sessions of groups for one threshold.
type counter struct {
	threshold *Threshold
	groups    map[groupKey]*group
	holding   map[groupKey]*group // those for which it holds
}

func newCounter(h *Threshold) counter {
	c := counter{threshold: h, groups: map[groupKey]*group{}, holding: map[groupKey]*group{}}
	if h.Per == PerAll {
		c.groups[groupKey{}] = &group{}
	}
	return c
}

// key is the group of a session.
func (c *counter) key(s *Session) groupKey {
	switch c.threshold.Per {
	case PerServer:
		return groupKey{of: s.Dest}
	case PerVirtual:
		return groupKey{s.Protocol, s.Virtual}
	case PerClient:
		return groupKey{of: netip.AddrPortFrom(s.Client.Addr(), 0)}
	case PerAll:
	}
	return groupKey{}
}

// count adds to a group.
func (c *counter) count(now time.Time, k groupKey, by int) {
	g := c.groups[k]
	if g == nil {
		if by < 0 {
			return
		}
		g = &group{}
		c.groups[k] = g
	}
	g.count = max(g.count+by, 0)
	c.judge(now, k, g)
	if g.count == 0 && c.threshold.Per != PerAll && (!c.threshold.below() || len(c.groups) > maxIdle) {
		delete(c.groups, k)
		delete(c.holding, k)
	}
}

// judge notes since when the threshold holds for a group.
func (c *counter) judge(now time.Time, k groupKey, g *group) {
	switch holds := c.threshold.holds(g.count); {
	case !holds:
		g.since, g.fired = time.Time{}, time.Time{}
		delete(c.holding, k)
	case g.since.IsZero():
		g.since = now
		c.holding[k] = g
	}
}

// due returns the groups for which the threshold holds, in order.
func (c *counter) due(now time.Time) []groupKey {
	if c.threshold.Per == PerAll {
		c.judge(now, groupKey{}, c.groups[groupKey{}]) // perhaps for the first time
	}
	keys := make([]groupKey, 0, len(c.holding))
	for k := range c.holding {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, groupKey.compare)
	return keys
}

// recount follows a session from one group to another.
func (m *Machine) recount(now time.Time, r *ruleState, before, after *Session, was, is bool) {
	from, to := r.key(before), r.key(after)
	if was && is && from == to {
		return
	}
	if was {
		r.count(now, from, -1)
		m.consider(now, r, from)
	}
	if is {
		r.count(now, to, 1)
		m.consider(now, r, to)
	}
}

// consider fires the rule for a group if it is time.
func (m *Machine) consider(now time.Time, r *ruleState, k groupKey) {
	g := r.holding[k]
	switch {
	case g == nil || now.Sub(g.since) < r.Threshold.For:
		return
	case !g.fired.IsZero() && (r.Repeat == 0 || now.Sub(g.fired) < r.Repeat):
		return
	}
	g.fired = now
	m.out = append(m.out, Firing{Rule: &r.Rule, Time: now, Total: g.count, Protocol: k.protocol, Of: k.of, Count: g.count, Since: g.since})
}
