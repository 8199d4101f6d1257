package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// netLine is one route or policy rule while it is read. One family a line: it is
// that of the first address, or of inet and inet6. Most of what is wrong makes
// keepalived ignore the whole line.
type netLine struct {
	*line
	what   string // "route" or "rule"
	static bool
	family int
	drop   bool
}

// reject reports w, over which the whole line is ignored.
func (n *netLine) reject(w syntax.Word, what, fix string) {
	if !n.drop {
		n.badValue(w, what+"; the "+n.what+" is ignored", fix, "")
	}
	n.drop, n.next = true, len(n.st.Words)
}

// ignore reports w, which alone is ignored.
func (n *netLine) ignore(rule string, w syntax.Word, what, fix string) {
	n.b.warn(rule, w.Pos, what+"; it is ignored", fix)
}

// joins sets the line's family, or refuses the line when it has the other.
func (n *netLine) joins(family int, w syntax.Word) bool {
	if n.family != 0 && n.family != family {
		n.reject(w, fmt.Sprintf("%q is IPv%d in a %s of IPv%d", w.Text, family, n.what, n.family), "one family a line")
		return false
	}
	n.family = family
	return true
}

// addr reads an address behind the option opt.
func (n *netLine) addr(opt string, dst *netip.Addr) {
	w, ok := n.word()
	if !ok {
		n.drop = true
		return
	}
	a, err := parseAddr(w.Text)
	if err != nil {
		n.reject(w, fmt.Sprintf("%s: %q is no IP address", opt, w.Text), "")
		return
	}
	if n.joins(family(a), w) {
		*dst = a
	}
}

// net reads a prefix, or default, which w is.
func (n *netLine) net(w syntax.Word, dst *netip.Prefix) bool {
	switch w.Text {
	case "default", "any", "all", "default6":
		if w.Text == "default6" && !n.joins(6, w) {
			return true
		}
		any4 := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if n.family == 6 {
			any4 = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		*dst = any4
		return true
	}
	p, ok := n.prefix(w)
	if !ok {
		return false
	}
	if n.joins(family(p.Addr()), w) {
		*dst = p
	}
	return true
}

// text reads a word behind an option.
func (n *netLine) text(dst *string) {
	w, ok := n.word()
	n.drop = n.drop || !ok
	*dst = w.Text
}

// number reads a number of at most most behind the option opt.
func (n *netLine) number(opt string, most uint64) (uint32, bool) {
	w, ok := n.word()
	if !ok {
		n.drop = true
		return 0, false
	}
	v, err := strconv.ParseUint(w.Text, 0, 32)
	if err != nil || v > most {
		n.reject(w, fmt.Sprintf("%s is a number from 0 to %d, not %q", opt, most, w.Text), "")
		return 0, false
	}
	return uint32(v), true
}

// Names that iproute2 has of old for tables, protocols and scopes; a host may
// have more of them in its rt_tables.
var (
	tableNames    = []string{"local", "main", "default"}
	protocolNames = []string{"redirect", "kernel", "boot", "static", "gated", "ra", "mrt", "zebra", "bird", "dnrouted", "xorp", "ntk", "dhcp", "keepalived", "babel", "bgp", "isis", "ospf", "rip", "eigrp"}
	routeTypes    = []string{"unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat", "xresolve"}
)

// named reads a word that is a number of at most most or one of names.
func (n *netLine) named(opt string, dst *string, most uint64, names []string) {
	w, ok := n.word()
	if !ok {
		n.drop = true
		return
	}
	v, err := strconv.ParseUint(w.Text, 0, 32)
	if err == nil && v <= most || slices.Contains(names, w.Text) {
		*dst = w.Text
		return
	}
	if len(names) == 0 || err == nil || strings.Trim(w.Text, "-0123456789") == "" {
		n.reject(w, fmt.Sprintf("%s is a number up to %d, not %q", opt, most, w.Text), "")
		return
	}
	n.b.report(finding.Note, "name-of-the-host", w.Pos, fmt.Sprintf("%s %s is no usual name: it has to be in the host's iproute2 files, else keepalived ignores the %s", opt, w.Text, n.what), "a number")
	*dst = w.Text
}

// protocol reads the protocol, which is keepalived's own unless the line is not
// watched.
func (n *netLine) protocol(dst *string, names []string) {
	n.named("protocol", dst, 255, names)
}

// finishProtocol settles that.
func (n *netLine) finishProtocol(dst *string, noTrack bool) {
	if *dst == "" || noTrack || *dst == "keepalived" || *dst == "18" {
		return
	}
	n.warn("protocol-reset", fmt.Sprintf("a %s of another protocol than keepalived (18) cannot be watched; protocol %s is ignored", n.what, *dst), "no_track, or no protocol")
	*dst = ""
}

// trackGroup reads track_group NAME, which is for static lines.
func (n *netLine) trackGroup(w syntax.Word, dst *string) {
	if !n.static {
		n.reject(w, "track_group is for static_ipaddress, static_routes and static_rules", "remove track_group")
		return
	}
	n.text(dst)
	if !slices.ContainsFunc(n.b.cfg.TrackGroups, func(g *TrackGroup) bool { return g.Name == *dst }) {
		n.ignore("unknown-group-name", w, fmt.Sprintf("there is no track_group %s above this line", *dst), "track_group "+*dst+" { group { … } } above")
		*dst = ""
	}
}

// routes reads virtual_routes and static_routes, one route a line.
func (b *builder) routes(l *line, dst *[]Route, static bool) {
	l.values(func(l *line) {
		r := &routeLine{netLine: netLine{line: l, what: "route", static: static}, Route: &Route{Where: l.st.Pos().Place(), Mode: "prepend"}}
		l.next = 0
		for l.left() > 0 && !r.drop {
			w, _ := l.word()
			r.option(w)
		}
		if r.finish() {
			*dst = append(*dst, *r.Route)
		}
	})
}

type routeLine struct {
	netLine
	*Route
}

// option reads one option of a route, or its destination.
func (r *routeLine) option(w syntax.Word) {
	switch w.Text {
	case "inet", "inet6":
		r.joins(map[string]int{"inet": 4, "inet6": 6}[w.Text], w)
	case "src":
		r.addr("src", &r.Src)
	case "via", "gw":
		r.gateway(w, &r.Via)
	case "or":
		r.old(w, "nexthop")
		r.addr("or", &r.Or)
	case "from":
		v, ok := r.word()
		if !ok || !r.net(v, &r.From) {
			r.reject(v, fmt.Sprintf("from: %q is no address", v.Text), "")
		}
	case "tos", "dsfield":
		r.named(w.Text, &r.TOS, 255, nil)
	case "table":
		r.named("table", &r.Table, 1<<32-1, tableNames)
	case "protocol":
		r.protocol(&r.Protocol, protocolNames)
	case "scope":
		r.named("scope", &r.Route.Scope, 255, scopeNames)
	case "metric", "priority", "preference":
		if v, ok := r.number(w.Text, 1<<32-1); ok {
			r.Metric = &v
		}
	case "dev", "oif":
		r.drop = !r.iface(&r.Dev) || r.drop
	default:
		r.moreOption(w)
	}
}

func (r *routeLine) moreOption(w syntax.Word) {
	switch w.Text {
	case "vrf":
		r.drop = !r.iface(&r.VRF) || r.drop
	case "onlink":
		r.OnLink = true
	case "no_track":
		r.NoTrack = true
	case "track_group":
		r.trackGroup(w, &r.TrackGroup)
	case "add", "prepend", "append":
		r.Mode = w.Text
	case "as":
		r.ignore("unknown-option", w, `"as to" is for MPLS only`, "remove it")
		r.next = min(len(r.st.Words), r.next+2)
	case "nexthop":
		r.nextHops()
	case "encap":
		r.encap(&r.Route.Options)
	default:
		if m, ok := metrics[w.Text]; ok {
			r.metric(w, m)
			return
		}
		r.destination(w)
	}
}

// old notes a word of old, over which keepalived complains.
func (r *routeLine) old(w syntax.Word, instead string) {
	r.b.report(finding.Note, "deprecated", w.Pos, w.Text+" is an old word for routes", instead)
	r.b.exits(exitConfig)
}

// gateway reads [inet|inet6] ADDRESS.
func (r *routeLine) gateway(w syntax.Word, dst *netip.Addr) {
	if w.Text == "gw" {
		r.old(w, "via")
	}
	if r.left() > 1 && (r.st.Words[r.next].Text == "inet" || r.st.Words[r.next].Text == "inet6") {
		r.next++
	}
	r.addr(w.Text, dst)
}

// destination reads [to] [TYPE] PREFIX; of two destinations the last counts.
func (r *routeLine) destination(w syntax.Word) {
	var ok bool
	if w.Text == "to" {
		if w, ok = r.word(); !ok {
			r.drop = true
			return
		}
	}
	if slices.Contains(routeTypes, w.Text) {
		r.Type = w.Text
		if w, ok = r.word(); !ok {
			r.drop = true
			return
		}
	}
	if !r.net(w, &r.Dest) {
		r.reject(w, fmt.Sprintf("a route has no option %q, and it is no destination either", w.Text), r.b.missingBrace(w.Text))
	}
}

// finish checks the route as a whole.
func (r *routeLine) finish() bool {
	at := r.st.Words[0]
	switch {
	case r.drop:
		return false
	case !r.Dest.IsValid():
		r.reject(at, "a route needs a destination", "PREFIX or default")
	case r.From.IsValid() && r.family != 6:
		r.reject(at, "from is for IPv6 routes", "remove from")
	case r.sixOnly() != "" && r.family != 6:
		r.reject(at, r.sixOnly()+" is for IPv6 routes", "remove "+r.sixOnly())
	}
	if r.drop {
		return false
	}
	if r.family == 6 && r.Dest.Bits() == 0 && r.Dest.Addr().Is4() {
		r.Dest = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	r.Inet6 = r.family == 6
	r.finishProtocol(&r.Protocol, r.NoTrack)
	if r.Dev == "" && !r.NoTrack {
		r.note("route-without-dev", "a route without dev is not watched: it is not restored when it goes, and when its interface is down the instance stays MASTER without it", "dev eth0, or no_track")
		r.b.exits(exitConfig)
		r.NoTrack = true
	}
	return true
}

// sixOnly names an option of the route that is for IPv6 only, "" for none.
func (r *routeLine) sixOnly() string {
	for _, o := range []string{"pref", "expires"} {
		if slices.Contains(r.Route.Options, o) {
			return o
		}
	}
	return ""
}

// nextHops reads { nexthop via ADDRESS dev IF weight N onlink … } to the end of
// the line. What is wrong ends the list; the route stays.
func (r *routeLine) nextHops() {
	for r.next--; r.accept("nexthop"); {
		h := NextHop{Weight: 1}
		for r.left() > 0 && r.st.Words[r.next].Text != "nexthop" {
			if !r.hopOption(&h) {
				r.next = len(r.st.Words)
				if h.Via.IsValid() || h.Dev != "" {
					r.NextHops = append(r.NextHops, h)
				}
				return
			}
		}
		r.NextHops = append(r.NextHops, h)
	}
}

// hopOption reads one option of a nexthop, or reports what is none.
func (r *routeLine) hopOption(h *NextHop) bool {
	w, _ := r.word()
	switch w.Text {
	case "via":
		r.gateway(w, &h.Via)
	case "dev", "oif":
		return r.iface(&h.Dev)
	case "onlink":
		h.OnLink = true
	case "weight":
		v, ok := r.word()
		n, err := strconv.ParseUint(v.Text, 10, 16)
		if ok && (err != nil || n < 1 || n > 256) {
			r.badValue(v, fmt.Sprintf("weight is a number from 1 to 256, not %q; the nexthops from here on are ignored", v.Text), "", "")
		}
		if r.refused > 0 {
			h.Via, h.Dev = noAddr, ""
			return false
		}
		h.Weight = int(n)
	case "encap":
		r.encap(&h.Options)
	case "realms":
		v, ok := r.word()
		h.Options = append(h.Options, "realms", v.Text)
		return ok
	default:
		r.ignore("unknown-option", w, fmt.Sprintf("a nexthop has no option %q", w.Text), "via, dev, weight, onlink, encap or realms")
		return false
	}
	return !r.drop
}
