package lint

import (
	"fmt"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

var pairWeightRules = []pairRule{
	{"pair-same-priority", finding.Warning, pairSamePriority},
	{"pair-owners", finding.Warning, pairOwners},
	{"pair-masters", finding.Note, pairMasters},
	{"pair-weight-no-effect", finding.Warning, pairWeightNoEffect},
	{"pair-weight-only-together", finding.Note, pairWeightOnlyTogether},
	{"pair-weight-inverts", finding.Warning, pairWeightInverts},
	{"pair-nopreempt-weight", finding.Warning, pairNopreemptWeight},
	{"pair-nopreempt-lower", finding.Warning, pairNopreemptLower},
	{"pair-nopreempt-late", finding.Note, pairNopreemptLate},
	{"pair-preempt-delay-lower", finding.Note, pairPreemptDelayLower},
}

// shift is what one tracked thing does to the priority: best is added while it
// is as it should be (reverse: while it is not), worst otherwise. Weight and
// reverse of its Track are those that count, wherever they are written.
type shift struct {
	config.Track
	best, worst int
}

func newShift(t config.Track) shift {
	w := t.Weight
	if t.Reverse {
		w = -w
	}
	return shift{Track: t, best: max(w, 0), worst: min(w, 0)}
}

// size is by how much the priority falls when the tracked thing fails.
func (s shift) size() int { return s.best - s.worst }

// event names what makes the priority fall.
func (s shift) event() string {
	if s.Reverse {
		return "the success of " + s.Name
	}
	return "the failure of " + s.Name
}

// shifts are the weighted trackers of an instance, its sync group's included.
// Those of a track_file are not among them: its weight counts per unit of a
// number that only the host knows.
func (s side) shifts() []shift {
	var out []shift
	out = s.add(out, s.in.Tracking)
	for _, g := range s.Config.SyncGroups {
		for _, m := range g.Members {
			if m == s.in.Name {
				out = s.add(out, g.Tracking)
			}
		}
	}
	return out
}

func (s side) add(out []shift, tr config.Tracking) []shift {
	add := func(t config.Track) {
		if t.Weight != 0 && s.in.Priority != 255 {
			out = append(out, newShift(t))
		}
	}
	for _, t := range tr.TrackInterfaces {
		add(t)
	}
	for _, t := range tr.TrackScripts {
		add(weighed(t, s.Config.Scripts, func(o *config.Script) config.Track {
			return config.Track{Name: o.Name, Weight: o.Weight, Reverse: o.Reverse}
		}))
	}
	for _, t := range tr.TrackProcesses {
		add(weighed(t, s.Config.TrackProcesses, func(o *config.TrackProcess) config.Track {
			return config.Track{Name: o.Name, Weight: o.Weight, Reverse: o.Reverse}
		}))
	}
	for _, t := range tr.TrackBFD {
		add(weighed(t, s.Config.BFD, func(o *config.BFD) config.Track {
			return config.Track{Name: o.Name, Weight: o.Weight, Reverse: o.Reverse}
		}))
	}
	return out
}

// weighed is a track with the weight that counts: its own, or else that of the
// first definition of its name, which own returns. Without either it is 0.
func weighed[T any](t config.Track, defined []T, own func(T) config.Track) config.Track {
	if t.HasWeight {
		return t
	}
	t.Weight, t.Reverse = 0, false
	for _, d := range defined {
		if o := own(d); o.Name == t.Name {
			t.Weight, t.Reverse = o.Weight, o.Reverse
			break
		}
	}
	return t
}

// best is the priority while all is well, as the daemon cuts it.
func (s side) best() int { return s.without(0) }

// without is best after a fall.
func (s side) without(fall int) int {
	if s.in.Priority == 255 {
		return 255
	}
	p := s.in.Priority - fall
	for _, t := range s.shifts() {
		p += t.best
	}
	return min(max(p, 1), 254)
}

// arithmetic writes out best, "100 + 20 = 120", and without positive weights
// the priority alone.
func (s side) arithmetic() string {
	var sum strings.Builder
	fmt.Fprint(&sum, s.in.Priority)
	terms := 0
	for _, t := range s.shifts() {
		if t.best > 0 {
			fmt.Fprintf(&sum, " + %d", t.best)
			terms++
		}
	}
	if terms > 0 {
		fmt.Fprintf(&sum, " = %d", s.best())
	}
	return sum.String()
}

// falls writes out what is left after a fall.
func (s side) falls(by ...int) string {
	total, terms := 0, ""
	for _, n := range by {
		total += n
		terms += fmt.Sprintf(" - %d", n)
	}
	return fmt.Sprintf("%s %d%s = %d", s.Name, s.best(), terms, s.without(total))
}

func (s side) prio() string { return s.cite(s.in.Where, "priority") }

// still compares what is left with the other node's priority.
func still(left int, other side) string {
	word := "not below"
	if left > other.best() {
		word = "still above"
	}
	return fmt.Sprintf("%s %s's %s", word, other.Name, other.arithmetic())
}

// pairSamePriority: nobody chose who is MASTER.
func pairSamePriority(c *pairChecker) {
	c.each(func(a, b side) {
		if a.best() != b.best() || a.in.Priority == 255 {
			return
		}
		c.report(b.node, b.at(b.in.Where, "priority"), fmt.Sprintf("vrrp_instance %s: priority %s, and %s on %s: when both start at once the higher address becomes MASTER, and after a split the addresses can move", b.in.Name, b.arithmetic(), a.arithmetic(), a.Name),
			a.prio(), "a higher priority on the node that is to be MASTER")
	})
}

// pairOwners: two hosts that own the addresses.
func pairOwners(c *pairChecker) {
	c.each(func(a, b side) {
		if a.in.Priority == 255 && b.in.Priority == 255 {
			c.report(b.node, b.at(b.in.Where, "priority"), fmt.Sprintf("vrrp_instance %s: priority 255 on both nodes: each is MASTER from its start, whoever else is, until one of them yields", b.in.Name),
				a.prio(), "254 and below, on one of them at least")
		}
	})
}

// pairMasters: the word says nothing.
func pairMasters(c *pairChecker) {
	c.each(func(a, b side) {
		if a.in.State == "MASTER" && b.in.State == "MASTER" && (a.in.Priority < 255 || b.in.Priority < 255) {
			c.report(b.node, b.at(b.in.Where, "state"), fmt.Sprintf("vrrp_instance %s: state MASTER on both nodes: the priorities alone decide", b.in.Name),
				a.cite(a.in.Where, "state"), "state BACKUP on both")
		}
	})
}

// leads reports whether s is the MASTER when all is well and can lose its place
// by a weight.
func leads(s, other side) bool {
	return s.best() > other.best() && s.in.Priority < 255 && s.in.VRID == other.in.VRID
}

// whole is how far the priority falls when everything tracked fails.
func whole(ts []shift) (sum int, each []int) {
	for _, t := range ts {
		sum += t.size()
		each = append(each, t.size())
	}
	return sum, each
}

// pairWeightNoEffect: the MASTER's priority falls, and is the highest still.
func pairWeightNoEffect(c *pairChecker) {
	c.eachSide(func(s, other side) {
		ts := s.shifts()
		sum, _ := whole(ts)
		if !leads(s, other) || s.without(sum) < other.best() {
			return
		}
		for _, t := range ts {
			c.report(s.node, t.Where, fmt.Sprintf("vrrp_instance %s: %s is %s: %s changes nothing", s.in.Name, s.falls(t.size()), still(s.without(t.size()), other), t.event()),
				other.prio(), enough(s, other))
		}
	})
}

// enough is the weight that would do.
func enough(s, other side) string {
	gap := s.best() - other.best() + 1
	if gap > 253 {
		return "priorities closer together"
	}
	return fmt.Sprintf("a weight of %d or more (weight -%d), or priorities closer together", gap, gap)
}

// pairWeightOnlyTogether: one failure is not enough.
func pairWeightOnlyTogether(c *pairChecker) {
	c.eachSide(func(s, other side) {
		ts := s.shifts()
		sum, each := whole(ts)
		if len(ts) < 2 || !leads(s, other) || s.without(sum) >= other.best() {
			return
		}
		for _, t := range ts {
			if s.without(t.size()) < other.best() {
				continue
			}
			c.report(s.node, t.Where, fmt.Sprintf("vrrp_instance %s: %s is %s: %s alone moves nothing; all together do: %s", s.in.Name, s.falls(t.size()), still(s.without(t.size()), other), t.event(), s.falls(each...)),
				other.prio(), enough(s, other))
		}
	})
}

// pairWeightInverts: weights make the node with the lower priority MASTER.
func pairWeightInverts(c *pairChecker) {
	c.eachSide(func(s, other side) {
		if s.in.Priority >= other.in.Priority || !leads(s, other) {
			return
		}
		at := s.at(s.in.Where, "priority")
		for _, t := range s.shifts() {
			if t.best > 0 {
				at = t.Where
			}
		}
		c.report(s.node, at, fmt.Sprintf("vrrp_instance %s: %s %s is above %s's %s while all is well: %s is MASTER, although its priority is the lower one", s.in.Name, s.Name, s.arithmetic(), other.Name, other.arithmetic(), s.Name),
			other.prio(), "the same weights on both nodes, or negative ones, which only lower the priority")
	})
}
