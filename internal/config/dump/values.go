package dump

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// values prints a block of values, or one of keywords that a field points to.
func (p *printer) values(n *Node, k *config.Keyword, at config.Where, v reflect.Value) {
	switch x := v.Interface().(type) {
	case *config.AuthHMAC:
		if x != nil {
			p.block(n, k.Name, nil, x.Where, x)
		}
		return
	case []config.HMACKey: // lines, not a block
		return
	}
	lines := p.lines(v)
	if len(lines) == 0 {
		return
	}
	c := n.add(&Node{Keyword: k.Name, Block: true})
	if p.opt.Origin {
		c.Note = p.origin(k, at)
	}
	for _, l := range lines {
		c.add(&Node{Keyword: l[0], Words: l[1:]})
	}
}

// valueBlock reports whether a block holds values rather than keywords.
func valueBlock(n *Node) bool {
	for k := range config.Keywords() {
		if k.Name == n.Keyword {
			return k.Shape == syntax.ValueBlock
		}
	}
	return false
}

func (p *printer) lines(v reflect.Value) [][]string {
	var out [][]string
	switch x := v.Interface().(type) {
	case []string:
		for _, s := range x {
			out = append(out, []string{word(s)})
		}
	case []config.Track:
		for _, t := range x {
			out = append(out, track(t))
		}
	case []config.Address:
		for i := range x {
			out = append(out, address(&x[i]))
		}
	case []config.Route:
		for i := range x {
			out = append(out, route(&x[i]))
		}
	case []config.Rule:
		for i := range x {
			out = append(out, rule(&x[i]))
		}
	case []config.Peer:
		for _, a := range x {
			out = append(out, peer(a))
		}
	default:
		panic(fmt.Sprintf("dump: no way to print %T", x))
	}
	return out
}

func track(t config.Track) []string {
	w := []string{word(t.Name)}
	if t.HasWeight || t.Weight != 0 {
		w = append(append(w, "weight"), reverse(t.Weight, t.Reverse)...)
	}
	return w
}

func peer(a config.Peer) []string {
	w := []string{a.Addr.String()}
	if a.MinTTL != 0 {
		w = append(w, "min_ttl", strconv.Itoa(a.MinTTL))
	}
	if a.MaxTTL != 0 && a.MaxTTL != 255 {
		w = append(w, "max_ttl", strconv.Itoa(a.MaxTTL))
	}
	return w
}

// pairs appends the options that have a value.
func pairs(w []string, kv ...string) []string {
	for i := 0; i+1 < len(kv); i += 2 {
		if kv[i+1] != "" {
			w = append(w, kv[i], word(kv[i+1]))
		}
	}
	return w
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func numberText(v *uint32) string {
	if v == nil {
		return ""
	}
	return strconv.FormatUint(uint64(*v), 10)
}

func address(a *config.Address) []string {
	w := pairs([]string{a.Prefix.String()}, "peer", prefixText(a.Peer), "brd", a.Broadcast, "dev", a.Dev, "scope", a.Scope, "label", a.Label,
		"preferred_lft", numberText(a.PreferredLft), "track_group", a.TrackGroup)
	w = when(when(when(w, a.Home, "home"), a.DAD, "-nodad"), a.MngTmpAddr, "mngtmpaddr")
	w = when(when(when(w, a.NoPrefixRoute, "noprefixroute"), a.AutoJoin, "autojoin"), a.NoTrack, "no_track")
	return when(w, a.UseVMAC, "use_vmac")
}

func route(r *config.Route) []string {
	var w []string
	w = when(when(w, r.Inet6, "inet6"), r.Type != "", r.Type)
	w = when(w, r.Dest.IsValid(), prefixText(r.Dest))
	w = pairs(w, "src", addrText(r.Src), "via", addrText(r.Via), "or", addrText(r.Or), "from", prefixText(r.From), "table", r.Table,
		"protocol", r.Protocol, "scope", r.Scope, "tos", r.TOS, "metric", numberText(r.Metric), "dev", r.Dev, "vrf", r.VRF)
	w = append(when(w, r.OnLink, "onlink"), r.Options...)
	w = when(w, r.Mode == "add" || r.Mode == "append", r.Mode)
	w = pairs(when(w, r.NoTrack, "no_track"), "track_group", r.TrackGroup)
	for _, h := range r.NextHops {
		w = pairs(append(w, "nexthop"), "via", addrText(h.Via), "dev", h.Dev)
		if h.Weight > 1 {
			w = append(w, "weight", strconv.Itoa(h.Weight))
		}
		w = append(when(w, h.OnLink, "onlink"), h.Options...)
	}
	return w
}

func rule(r *config.Rule) []string {
	var w []string
	w = when(when(w, r.Inet6, "inet6"), r.Not, "not")
	w = pairs(w, "from", prefixText(r.From), "to", prefixText(r.To), "preference", numberText(r.Preference), "iif", r.IIf, "oif", r.OIf,
		"fwmark", r.FWMark, "tos", r.TOS)
	w = append(w, r.Options...)
	switch r.Action {
	case "":
	case "table":
		w = append(w, "table", r.Table)
	case "goto":
		w = append(w, "goto", strconv.FormatUint(uint64(r.Goto), 10))
	default:
		w = append(w, r.Action)
	}
	return pairs(when(pairs(w, "protocol", r.Protocol), r.NoTrack, "no_track"), "track_group", r.TrackGroup)
}

func seconds(d time.Duration) string { return decimal(d, time.Second) }
