package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// firstPreference is what keepalived gives the first rule without a preference;
// the next ones get one less each.
const firstPreference = 16384

// policy is Rule as a part of ruleLine.
type policy = Rule

type ruleLine struct {
	netLine
	*policy
	tableOnly syntax.Word // an option that goes with table only
}

// policyRules reads virtual_rules and static_rules, one rule a line.
func (b *builder) policyRules(l *line, dst *[]Rule, static bool) {
	l.values(func(l *line) {
		r := &ruleLine{netLine: netLine{line: l, what: "rule", static: static}, policy: &Rule{Where: l.st.Pos().Place()}}
		l.next = 0
		for l.left() > 0 && !r.drop {
			w, _ := l.word()
			if !r.selector(w) && !r.action(w) {
				r.option(w)
			}
		}
		if r.finish() {
			*dst = append(*dst, *r.policy)
		}
	})
}

// selector reads which packets a rule is for.
func (r *ruleLine) selector(w syntax.Word) bool {
	switch w.Text {
	case "inet", "inet6":
		r.joins(map[string]int{"inet": 4, "inet6": 6}[w.Text], w)
	case "from", "to":
		dst := &r.From
		if w.Text == "to" {
			dst = &r.To
		}
		v, ok := r.word()
		if !ok {
			r.drop = true
		} else if !r.net(v, dst) {
			r.reject(v, fmt.Sprintf("%s: %q is no address", w.Text, v.Text), "")
		}
	case "not":
		r.Not = true
	case "tos", "dsfield":
		r.named(w.Text, &r.TOS, 255, nil)
	case "fwmark":
		r.mark()
	case "dev", "iif":
		r.drop = !r.iface(&r.IIf) || r.drop
	case "oif":
		r.drop = !r.iface(&r.OIf) || r.drop
	default:
		return false
	}
	return true
}

func (r *ruleLine) mark() {
	w, ok := r.word()
	if !ok {
		r.drop = true
		return
	}
	mark, mask, hasMask := strings.Cut(w.Text, "/")
	_, err := strconv.ParseUint(mark, 0, 32)
	if err == nil && hasMask {
		_, err = strconv.ParseUint(mask, 0, 32)
	}
	if err != nil {
		r.reject(w, fmt.Sprintf("fwmark is MARK or MARK/MASK, not %q", w.Text), "")
		return
	}
	r.FWMark = w.Text
}

// action reads what a rule does, of which there is one.
func (r *ruleLine) action(w syntax.Word) bool {
	name := w.Text
	if name == "type" && r.left() > 0 {
		w, _ = r.word()
		if name = w.Text; !slices.Contains([]string{"blackhole", "prohibit", "unreachable", "goto", "nop"}, name) {
			r.reject(w, fmt.Sprintf("a rule has no action %q", name), "table, goto, nop, blackhole, prohibit or unreachable")
			return true
		}
	}
	switch name {
	case "table", "lookup":
		name = "table"
		r.table()
	case "goto":
		if v, ok := r.number("goto", 1<<32-1); ok {
			r.Goto = v
		}
	case "nop", "blackhole", "prohibit", "unreachable", "l3mdev":
	default:
		return false
	}
	if r.Action != "" {
		r.reject(w, fmt.Sprintf("a rule does one thing, and %s is the second after %s", name, r.Action), "one action a rule")
	}
	r.Action = name
	return true
}

func (r *ruleLine) table() {
	w := r.st.Words[min(r.next, len(r.st.Words)-1)]
	r.named("table", &r.Table, 1<<32-1, tableNames)
	if v, err := strconv.ParseUint(r.Table, 0, 32); !r.drop && err == nil && v == 0 {
		r.reject(w, "there is no table 0", "table 1 to 4294967295")
	}
}

// option reads the rest.
func (r *ruleLine) option(w syntax.Word) {
	switch w.Text {
	case "preference", "order", "priority":
		if v, ok := r.number(w.Text, 1<<32-1); ok {
			r.Preference = &v
		}
	case "realms", "suppress_prefixlength", "sup_pl", "suppress_ifgroup", "sup_group":
		r.tableOnly = w
		r.kept(w, ruleValues[w.Text])
	case "tunnel-id", "uidrange", "sport", "dport":
		r.kept(w, ruleValues[w.Text])
	case "ipproto":
		r.ipproto(w)
	case "protocol":
		v, ok := r.word()
		n, err := strconv.ParseUint(v.Text, 10, 8)
		switch {
		case !ok:
			r.drop = true
		case err != nil:
			r.ignore("invalid-value", v, fmt.Sprintf("protocol is a number from 0 to 255, not %q", v.Text), "")
		default:
			r.Protocol = strconv.FormatUint(n, 10)
		}
	case "no_track":
		r.NoTrack = true
	case "track_group":
		r.trackGroup(w, &r.TrackGroup)
	default:
		r.reject(w, fmt.Sprintf("a rule has no option %q", w.Text), r.b.missingBrace(w.Text))
	}
}

// ruleValue checks the value of an option that is kept as it is written.
type ruleValue struct {
	valid func(string) bool
	is    string // what it should be
}

var ruleValues = map[string]ruleValue{
	"realms":                {validRealms, "[FROM/]TO"},
	"suppress_prefixlength": {decimalUpTo(32), "a number"},
	"sup_pl":                {decimalUpTo(32), "a number"},
	"suppress_ifgroup":      {validGroup, "the number of a group of interfaces, or default"},
	"sup_group":             {validGroup, "the number of a group of interfaces, or default"},
	"tunnel-id":             {decimalUpTo(64), "a number"},
	"uidrange":              {rangeOf(32), "FROM-TO, both ends"},
	"sport":                 {rangeOf(16), "FROM-TO, also for a single port: 80-80"},
	"dport":                 {rangeOf(16), "FROM-TO, also for a single port: 80-80"},
}

func decimalUpTo(bits int) func(string) bool {
	return func(s string) bool {
		_, err := strconv.ParseUint(s, 0, bits)
		return err == nil
	}
}

func rangeOf(bits int) func(string) bool {
	number := decimalUpTo(bits)
	return func(s string) bool {
		from, to, ok := strings.Cut(s, "-")
		return ok && number(from) && number(to)
	}
}

func validGroup(s string) bool { return s == "default" || decimalUpTo(32)(s) }

func (r *ruleLine) kept(opt syntax.Word, v ruleValue) {
	w, ok := r.word()
	if !ok {
		r.drop = true
		return
	}
	single := (opt.Text == "sport" || opt.Text == "dport") && decimalUpTo(16)(w.Text)
	switch {
	case single:
		r.drop, r.next = true, len(r.st.Words)
		r.badAs("rule-port-range", w, fmt.Sprintf("%s takes a range, and %s is none; the rule is ignored", opt.Text, w.Text), opt.Text+" "+w.Text+"-"+w.Text, "")
		return
	case !v.valid(w.Text):
		r.reject(w, fmt.Sprintf("%s is %s, not %q", opt.Text, v.is, w.Text), "")
		return
	}
	r.Options = append(r.Options, opt.Text, w.Text)
}

var ipProtocols = []string{"icmp", "igmp", "ipip", "tcp", "egp", "udp", "dccp", "ipv6", "rsvp", "gre", "esp", "ah", "ipv6-icmp", "ospf", "pim", "vrrp", "l2tp", "sctp", "udplite"}

func (r *ruleLine) ipproto(opt syntax.Word) {
	w, ok := r.word()
	switch {
	case !ok:
		r.drop = true
	case slices.Contains(ipProtocols, w.Text) || decimalUpTo(8)(w.Text):
		r.Options = append(r.Options, opt.Text, w.Text)
	default:
		r.ignore("invalid-value", w, fmt.Sprintf("ipproto is a protocol's name or a number up to 255, not %q", w.Text), "")
	}
}

// finish checks the rule as a whole.
func (r *ruleLine) finish() bool {
	at := r.st.Words[0]
	switch {
	case r.drop:
		return false
	case r.Action == "":
		r.reject(at, "a rule needs an action", "table N, goto N, nop, blackhole, prohibit or unreachable")
	case r.tableOnly.Text != "" && r.Action != "table":
		r.reject(r.tableOnly, r.tableOnly.Text+" goes with table only", "remove "+r.tableOnly.Text)
	case r.Action == "goto" && r.Preference != nil && *r.Preference >= r.Goto:
		r.reject(at, fmt.Sprintf("a rule can only go to a later one, and %d is not behind preference %d", r.Goto, *r.Preference), "a preference below the goto")
	}
	if r.drop {
		return false
	}
	r.Inet6 = r.family == 6
	if r.Preference == nil {
		p := uint32(firstPreference - r.b.nRules)
		r.b.nRules++
		r.Preference = &p
		r.warn("rule-without-preference", fmt.Sprintf("the rule has no preference; it gets %d, and the next one without gets one less, so that the last is looked at first", p), "preference 1000, or where it belongs")
	}
	r.finishProtocol(&r.Protocol, r.NoTrack)
	return true
}
