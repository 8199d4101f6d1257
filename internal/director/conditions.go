package director

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/snapshot"
	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// conditions collects evidence and concludes lasting problems from it. It is
// pure: the time comes with the evidence, and with the question.
type conditions struct {
	adverts  map[sighting]seen // adverts of others on the wire
	claims   map[claim]seen    // our addresses claimed by another MAC
	troubles map[string]lasting
	host     lasting // the desired state was not reached
	memory   lasting // the state file could not be written
	since    map[string]time.Time
	waiting  map[string]time.Time // instances that only their group holds back, since when
}

type sighting struct {
	iface string
	vrid  uint8
	from  netip.Addr
}

type claim struct {
	iface string
	vip   netip.Addr
	mac   string
}

type seen struct {
	first, last time.Time
	count       int
	priority    uint8
	from        netip.Addr
}

type lasting struct {
	since time.Time
	what  string
}

const (
	// evidenceLasts is longer than anything is concluded from: three of the
	// longest intervals and a little.
	evidenceLasts = 15 * time.Minute
	// maxEvidence bounds what a segment full of forged senders can cost.
	maxEvidence = 1024
)

func see[K comparable](m *map[K]seen, k K, at time.Time, priority uint8, from netip.Addr, n int) {
	if *m == nil {
		*m = map[K]seen{}
	}
	s, known := (*m)[k]
	if !known && len(*m) >= maxEvidence {
		return
	}
	if s.first.IsZero() {
		s.first = at
	}
	s.last, s.priority, s.from = at, priority, from
	s.count += max(n, 1)
	(*m)[k] = s
}

// observe takes what was seen on the wire before this host's packet filter.
func (c *conditions) observe(o vrrpio.Observation) {
	switch o.Kind {
	case vrrpio.AdvertOnWire:
		if o.Priority == 0 { // a release is no claim
			delete(c.adverts, sighting{o.Interface, o.VRID, o.From})
			return
		}
		see(&c.adverts, sighting{o.Interface, o.VRID, o.From}, o.Time, o.Priority, o.From, o.Count)
	case vrrpio.ForeignARP:
		see(&c.claims, claim{o.Interface, o.VIP, o.MAC.String()}, o.Time, 0, o.From, o.Count)
	}
}

// trouble takes an interface that cannot be used for adverts, or can again.
func (c *conditions) trouble(t vrrpio.Trouble) {
	if c.troubles == nil {
		c.troubles = map[string]lasting{}
	}
	if t.Err == nil {
		delete(c.troubles, t.Interface)
		return
	}
	c.troubles[t.Interface] = lasting{time.Time{}, t.Err.Error()}
}

// applied takes the outcome of making the desired state so, and reports
// whether it is another than the last time.
func (c *conditions) applied(err error) (news bool) {
	was := c.host.what
	c.host.what = text(err)
	return c.host.what != was
}

// forgetful takes the outcome of writing the state file.
func (c *conditions) forgetful(err error) { c.memory.what = text(err) }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// view is what conclude must know of one instance.
type view struct {
	name, iface string
	vrid        uint8
	active      bool
	interval    time.Duration
	addrs       []netip.Addr
	since       time.Time // of the present state
	lastAdvert  time.Time // last accepted from anybody
	delivered   time.Time // last packet that reached the socket of iface
	source      netip.Addr
	group       string
	groupState  string
	waiting     bool // no master heard, and only the group holds it back
	ignored     []ignored
}

type ignored struct {
	reason vrrp.IgnoreReason
	last   time.Time
	from   netip.Addr
	detail string
}

// conclude returns the conditions that hold at now, sorted, with the times
// since which they hold.
func (c *conditions) conclude(now time.Time, views []view) []snapshot.Condition {
	c.forget(now)
	var out []snapshot.Condition
	for _, v := range views {
		out = append(out, c.election(now, v)...)
	}
	for iface, t := range c.troubles {
		out = append(out, snapshot.Condition{
			Code: "vrrp-interface", Object: iface, What: t.what,
			Fix: "bring the interface up and give it an IPv4 address; adverts go on by themselves",
		})
	}
	if c.host.what != "" {
		out = append(out, snapshot.Condition{
			Code: "not-applied", Object: "host", What: c.host.what,
			Fix: "kaname tries again every second; remove what is in the way",
		})
	}
	if c.memory.what != "" {
		out = append(out, snapshot.Condition{
			Code: "not-remembered", Object: "state file", What: c.memory.what,
			Cause: "the run directory cannot be written", Fix: "a killed director will start afresh instead of resuming until this is mended",
		})
	}
	return c.date(now, out)
}

// forget drops what is too old to conclude from.
func (c *conditions) forget(now time.Time) {
	maps.DeleteFunc(c.adverts, func(_ sighting, s seen) bool { return now.Sub(s.last) > evidenceLasts })
	maps.DeleteFunc(c.claims, func(_ claim, s seen) bool { return now.Sub(s.last) > evidenceLasts })
}

// date gives each condition the time since which it has held without a break.
func (c *conditions) date(now time.Time, all []snapshot.Condition) []snapshot.Condition {
	since := map[string]time.Time{}
	for i := range all {
		k := all[i].Code + " " + all[i].Object
		since[k] = now
		if t, ok := c.since[k]; ok {
			since[k] = t
		}
		all[i].Since = since[k]
	}
	c.since = since
	slices.SortFunc(all, func(a, b snapshot.Condition) int {
		return strings.Compare(a.Code+" "+a.Object, b.Code+" "+b.Object)
	})
	return all
}

// election looks for a second master and for adverts that do not arrive.
func (c *conditions) election(now time.Time, v view) []snapshot.Condition {
	fresh := 3*v.interval + 2*time.Second
	for s, e := range c.adverts {
		if s.iface != v.iface || s.vrid != v.vrid || s.from == v.source || now.Sub(e.last) > fresh {
			continue
		}
		// What was seen before this state began was of a master that gave way.
		if !e.last.After(v.since) {
			continue
		}
		if cond, ok := c.heardOnWire(now, v, s, e, fresh); ok {
			return []snapshot.Condition{cond}
		}
	}
	if cond, ok := c.heldBack(now, v, fresh); ok {
		return []snapshot.Condition{cond}
	}
	if !v.active {
		return nil
	}
	for k, e := range c.claims {
		if k.iface == v.iface && slices.Contains(v.addrs, k.vip) && now.Sub(e.last) <= claimLasts && e.last.After(v.lastAdvert) {
			return []snapshot.Condition{{
				Code: "two-masters", Object: v.name,
				What:  fmt.Sprintf("%s is MASTER here, and %s on %s is also claimed by %s: two masters", v.name, k.vip, v.iface, k.mac),
				Cause: "no advert of the other arrives at this host: something between the two drops protocol 112 or multicast 224.0.0.18 (the other host's firewall on output, a switch's ACL or IGMP snooping without a querier)",
				Fix:   "let protocol 112 (51 with auth_type AH) to 224.0.0.18 pass on the segment of " + v.iface + "; see both ends with: tcpdump -ni " + v.iface + " proto 112",
			}}
		}
	}
	return nil
}

// heldBack concludes from an instance that waits for its group for too long.
func (c *conditions) heldBack(now time.Time, v view, fresh time.Duration) (snapshot.Condition, bool) {
	if !v.waiting {
		delete(c.waiting, v.name)
		return snapshot.Condition{}, false
	}
	if c.waiting == nil {
		c.waiting = map[string]time.Time{}
	}
	if c.waiting[v.name].IsZero() {
		c.waiting[v.name] = now
	}
	if now.Sub(c.waiting[v.name]) <= fresh {
		return snapshot.Condition{}, false
	}
	return snapshot.Condition{
		Code: "adverts-lost", Object: v.name,
		What:  fmt.Sprintf("%s hears no master on %s; only the other members of sync group %s keep it %s", v.name, v.iface, v.group, v.groupState),
		Cause: "no advert arrives at this host: something on the segment drops protocol 112 or multicast 224.0.0.18 (the master's firewall on output, a switch's ACL or IGMP snooping without a querier)",
		Fix:   "let protocol 112 (51 with auth_type AH) to 224.0.0.18 pass on the segment of " + v.iface + "; see both ends with: tcpdump -ni " + v.iface + " proto 112",
	}, true
}

// claimLasts is how long a foreign claim counts without being seen again. The
// director asks for the address while it is claimed (doubtful).
const claimLasts = 30 * time.Second

// question is an address to ask a segment for, and in whose name.
type question struct {
	iface       string
	vip, source netip.Addr
}

// doubtful lists the addresses of active instances that somebody else claims
// too: only their answers tell whether that goes on.
func (c *conditions) doubtful(now time.Time, views []view) []question {
	var out []question
	for _, v := range views {
		for k, e := range c.claims {
			if v.active && k.iface == v.iface && v.source.IsValid() && slices.Contains(v.addrs, k.vip) && now.Sub(e.last) <= claimLasts {
				out = append(out, question{k.iface, k.vip, v.source})
			}
		}
	}
	slices.SortFunc(out, func(a, b question) int {
		return cmp.Or(strings.Compare(a.iface, b.iface), a.vip.Compare(b.vip))
	})
	return slices.Compact(out)
}

// heardOnWire concludes from another's adverts that are on the wire now.
func (c *conditions) heardOnWire(now time.Time, v view, s sighting, e seen, fresh time.Duration) (snapshot.Condition, bool) {
	code, what := "adverts-lost", fmt.Sprintf("%s does not hear the adverts of %s on %s (VRID %d)", v.name, s.from, v.iface, v.vrid)
	switch {
	case v.active:
		code = "two-masters"
		what = fmt.Sprintf("%s is MASTER here and %s is MASTER too on %s (VRID %d, priority %d): two masters", v.name, s.from, v.iface, v.vrid, e.priority)
	case v.group != "":
		what += fmt.Sprintf("; only the other members of sync group %s keep it %s", v.group, v.groupState)
	}
	// Delivered since the last sighting, or nearly: the packet filter lets them pass.
	if now.Sub(v.delivered) > fresh && e.count > 1 {
		return snapshot.Condition{
			Code: code, Object: v.name, What: what,
			Cause: fmt.Sprintf("adverts of %s reach %s and never the VRRP socket: a firewall of this host drops protocol 112", s.from, v.iface),
			Fix:   "allow protocol 112 (and 51 with auth_type AH) in on " + v.iface + ", for example: nft insert rule inet filter input ip protocol 112 accept; find the rule with: nft list ruleset",
		}, true
	}
	for _, i := range v.ignored {
		if i.from == s.from && now.Sub(i.last) <= fresh {
			return snapshot.Condition{
				Code: code, Object: v.name, What: what,
				Cause: fmt.Sprintf("its adverts arrive and are ignored: %s%s", i.reason, detail(i.detail)),
				Fix:   ignoredFix(i.reason),
			}, true
		}
	}
	// Two masters that hear each other settle it within an interval or two.
	if v.active && e.count > 1 && now.Sub(v.since) > fresh && e.last.Sub(v.since) > 2*v.interval {
		return snapshot.Condition{
			Code: code, Object: v.name, What: what,
			Cause: "the other goes on although this one answers its adverts: it does not hear this host (its firewall, or a one-way link)",
			Fix:   "on " + s.from.String() + ", allow protocol 112 in; see there with: tcpdump -ni IFACE proto 112",
		}, true
	}
	return snapshot.Condition{}, false
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func ignoredFix(r vrrp.IgnoreReason) string {
	switch r {
	case vrrp.IgnoreAuthType, vrrp.IgnorePassword, vrrp.IgnoreICV:
		return "give both nodes the same auth_type and auth_pass (8 characters count)"
	case vrrp.IgnoreInterval:
		return "give both nodes the same advert_int"
	case vrrp.IgnoreAddresses:
		return "give both nodes the same virtual_ipaddress list"
	case vrrp.IgnoreVersion:
		return "give both nodes the same version (vrrp_version)"
	case vrrp.IgnoreTTL, vrrp.IgnoreDestination:
		return "both nodes must be on one segment and both multicast"
	default:
		return "compare the two nodes' vrrp_instance blocks; kaname status --json counts what is ignored"
	}
}
