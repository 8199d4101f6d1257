package observe

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// answer is whether a rule matches a packet of which not everything is known.
type answer uint8

const (
	yes answer = iota
	no
	maybe
)

// matches is whether all matches of a rule are true of an advert.
func (r rule) matches(a advert) answer {
	all := yes
	for _, e := range r {
		for kind, raw := range e {
			switch kind {
			case "match":
				m, ok := parseMatch(raw)
				if !ok {
					all = maybe
					continue
				}
				switch m.of(a) {
				case no:
					return no
				case maybe:
					all = maybe
				case yes:
				}
			case "limit":
				all = maybe
			}
		}
	}
	return all
}

// match is one comparison: what, and with which values.
type match struct {
	left   string // "meta iifname", "ip protocol", "ct state", …
	negate bool
	right  []string
	known  bool // right is a list of plain values
}

func (m match) String() string {
	op := " "
	if m.negate {
		op = " != "
	}
	right := strings.Join(m.right, ", ")
	if len(m.right) > 1 {
		right = "{ " + right + " }"
	}
	return m.left + op + right
}

func parseMatch(raw json.RawMessage) (match, bool) {
	var j struct {
		Op   string
		Left struct {
			Meta, CT *struct{ Key string }
			Payload  *struct{ Protocol, Field string }
		}
		Right json.RawMessage
	}
	if json.Unmarshal(raw, &j) != nil {
		return match{}, false
	}
	m := match{negate: j.Op == "!="}
	switch {
	case j.Op != "==" && j.Op != "!=" && j.Op != "in":
		return m, false
	case j.Left.Meta != nil:
		m.left = "meta " + j.Left.Meta.Key
	case j.Left.CT != nil:
		m.left = "ct " + j.Left.CT.Key
	case j.Left.Payload != nil:
		m.left = j.Left.Payload.Protocol + " " + j.Left.Payload.Field
	default:
		return m, false
	}
	m.right, m.known = values(j.Right)
	return m, true
}

// values reads the right side of a match: a word, a number, a prefix, or a set
// or list of those. It is false for what is none of them, such as @NAME.
func values(raw json.RawMessage) ([]string, bool) {
	var s string
	var n float64
	var list []json.RawMessage
	var object struct {
		Set    []json.RawMessage
		Prefix *struct {
			Addr string
			Len  int
		}
	}
	switch {
	case json.Unmarshal(raw, &s) == nil:
		return []string{s}, !strings.HasPrefix(s, "@")
	case json.Unmarshal(raw, &n) == nil:
		return []string{strconv.FormatFloat(n, 'f', -1, 64)}, true
	case json.Unmarshal(raw, &list) == nil:
	case json.Unmarshal(raw, &object) != nil:
		return nil, false
	case object.Prefix != nil:
		return []string{fmt.Sprintf("%s/%d", object.Prefix.Addr, object.Prefix.Len)}, true
	default:
		list = object.Set
	}
	var all []string
	for _, r := range list {
		v, ok := values(r)
		if !ok {
			return nil, false
		}
		all = append(all, v...)
	}
	return all, len(all) > 0
}

// of says whether the comparison is true of an advert.
func (m match) of(a advert) answer {
	var have []string
	switch m.left {
	case "meta iifname", "meta iif":
		have = []string{a.dev}
	case "meta l4proto", "ip protocol":
		have = []string{a.proto, protocolNumbers[a.proto]}
	case "meta nfproto":
		have = []string{"ipv4"}
	case "meta protocol":
		have = []string{"ip"}
	case "meta pkttype":
		have = []string{"multicast"}
	case "ct state": // adverts are answered by nobody
		have = []string{"new", "untracked"}
	case "ip daddr":
		return m.group()
	default:
		if other := strings.Fields(m.left)[0]; otherProtocols[other] {
			return no // only a packet of that protocol has the field
		}
		return maybe
	}
	if !m.known {
		return maybe
	}
	return m.answer(m.has(have))
}

var protocolNumbers = map[string]string{"vrrp": "112", "ah": "51"}

var otherProtocols = map[string]bool{"tcp": true, "udp": true, "icmp": true, "icmpv6": true, "ip6": true, "sctp": true, "arp": true}

func (m match) has(have []string) bool {
	for _, r := range m.right {
		for _, h := range have {
			prefix, wild := strings.CutSuffix(r, "*")
			if r == h || wild && strings.HasPrefix(h, prefix) {
				return true
			}
		}
	}
	return false
}

func (m match) answer(equal bool) answer {
	if equal != m.negate {
		return yes
	}
	return no
}

// group compares the destination, the group of VRRP.
func (m match) group() answer {
	if !m.known {
		return maybe
	}
	group, in := netip.AddrFrom4([4]byte{224, 0, 0, 18}), false
	for _, r := range m.right {
		p, err := netip.ParsePrefix(r)
		in = in || r == group.String() || err == nil && p.Contains(group)
	}
	return m.answer(in)
}
