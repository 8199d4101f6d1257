package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

var noAddr netip.Addr

// addressKey tells two lines of virtual_ipaddress apart, or of
// virtual_ipaddress_excluded.
type addressKey struct {
	addr netip.Addr
	dev  string
	main bool
}

// addresses reads a block of virtual addresses, one a line.
func (b *builder) addresses(l *line, in *instance, dst *[]Address, main bool) {
	l.values(func(l *line) {
		at := l.st.Pos()
		a, ok := b.vip(l, &Address{Dev: in.Interface}, false)
		if !ok {
			return
		}
		ip := a.Prefix.Addr()
		if main && !in.joins(ip, at) {
			l.warn("other-family", fmt.Sprintf("%s is IPv%d, and vrrp_instance %s is IPv%d because of %s; the line is ignored", ip, family(ip), in.Name, in.family, in.familyAt.Place()), "put it in virtual_ipaddress_excluded or another instance")
			return
		}
		k := addressKey{ip, a.Dev, main}
		if first, ok := in.seen[k]; ok {
			l.warn("duplicate-address", fmt.Sprintf("%s is there already, at %s; this line is ignored", k.addr, first), "remove one")
			return
		}
		in.seen[k] = a.Where
		*dst = append(*dst, a)
	})
}

// missingBrace is the advice when a word of the language stands where a value
// should.
func (b *builder) missingBrace(word string) string {
	if vocabulary().Kind("vrrp_instance", word) != syntax.Unknown || vocabulary().Kind("", word) != syntax.Unknown {
		return "is a } missing before this line?"
	}
	return ""
}

// prefix reads ADDRESS[/LENGTH]; a bad length is that of one host.
func (l *line) prefix(w syntax.Word) (netip.Prefix, bool) {
	ip, bits, hasBits := strings.Cut(w.Text, "/")
	addr, err := parseAddr(ip)
	if err != nil {
		return netip.Prefix{}, false
	}
	n := addr.BitLen()
	if hasBits {
		v, junk, ok := leadingInt(bits)
		if !ok || junk != "" || v < 0 || v > int64(n) {
			l.badValue(w, fmt.Sprintf("%q is no prefix length", bits), "", fmt.Sprintf("/%d", n))
		} else {
			n = int(v)
		}
	}
	return netip.PrefixFrom(addr, n), true
}

// addressLine is an address and its options while they are read.
type addressLine struct {
	*line
	*Address
	static bool
	brd    syntax.Pos
	hasLen bool
	drop   bool // keepalived ignores the whole line; that has been reported
}

// vip reads ADDRESS[/PREFIX] and its options; def holds the defaults.
func (b *builder) vip(l *line, def *Address, static bool) (Address, bool) {
	a := *def
	a.Where = l.st.Pos().Place()
	w, _ := l.word()
	p, ok := l.prefix(w)
	if !ok {
		l.badValue(w, fmt.Sprintf("%q is no IP address; the line is ignored", w.Text), b.missingBrace(w.Text), "")
		l.next = len(l.st.Words)
		return a, false
	}
	a.Prefix = p
	a.Dev = ""
	o := &addressLine{line: l, Address: &a, static: static}
	_, _, o.hasLen = strings.Cut(w.Text, "/")
	for l.left() > 0 && !o.drop {
		o.option()
	}
	if o.drop {
		l.next = len(l.st.Words)
		return a, false
	}
	o.finish()
	if a.Dev == "" {
		a.Dev = def.Dev
	}
	return a, true
}

// finish settles what the options do to each other.
func (o *addressLine) finish() {
	if o.Peer.IsValid() {
		if o.brd.IsValid() {
			o.b.warn("broadcast-ignored", o.brd, "an address with a peer has no broadcast address; it is ignored", "remove one of the two")
			o.Broadcast = ""
		}
		if o.hasLen {
			o.warn("prefix-ignored", fmt.Sprintf("%s has a peer, whose prefix counts; /%d is ignored", o.Prefix.Addr(), o.Prefix.Bits()), "peer ADDRESS/LENGTH")
			o.Prefix = netip.PrefixFrom(o.Prefix.Addr(), o.Prefix.Addr().BitLen())
		}
	}
	if o.Prefix.Addr().Is6() {
		for _, f := range []struct {
			name string
			dst  *string
		}{{"scope", &o.Scope}, {"label", &o.Label}} {
			if *f.dst != "" {
				o.warn("invalid-value", fmt.Sprintf("an IPv6 address has no %s; %s is ignored", f.name, *f.dst), "remove "+f.name)
				*f.dst = ""
			}
		}
	}
}

var addressFlags = map[string]func(*Address) *bool{
	"home": func(a *Address) *bool { return &a.Home }, "-nodad": func(a *Address) *bool { return &a.DAD },
	"mngtmpaddr": func(a *Address) *bool { return &a.MngTmpAddr }, "noprefixroute": func(a *Address) *bool { return &a.NoPrefixRoute },
	"autojoin": func(a *Address) *bool { return &a.AutoJoin }, "no_track": func(a *Address) *bool { return &a.NoTrack },
	"use_vmac": func(a *Address) *bool { return &a.UseVMAC },
}

// notCarried are the options of an address that kaname does not carry out.
var notCarried = []string{"brd", "broadcast", "peer", "preferred_lft", "home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac"}

// option reads one option of an address.
func (o *addressLine) option() {
	w, _ := o.word()
	refused := o.refused
	needs := slices.Contains([]string{"dev", "label", "scope", "brd", "broadcast", "peer", "preferred_lft", "track_group"}, w.Text)
	switch {
	case w.Text == "track_group" && !o.static, w.Text == "use_vmac" && o.static:
		o.b.warn("unknown-option", w.Pos, fmt.Sprintf("%s is nothing for an address in this block; it is ignored", w.Text), "remove "+w.Text)
		if w.Text == "track_group" && o.left() > 0 {
			o.next++
		}
		return
	case needs && o.left() == 0:
		o.dropLine(w, fmt.Sprintf("%s has no value; the line is ignored", w.Text))
		return
	case addressFlags[w.Text] != nil:
		*addressFlags[w.Text](o.Address) = true
	case needs:
		o.valued(w)
	default:
		o.unknownOption(w)
	}
	if slices.Contains(notCarried, w.Text) && !o.drop && o.refused == refused && o.b.quiet == 0 && !o.static {
		o.b.warn("not-supported", w.Pos, fmt.Sprintf("not supported yet: option %s of an address; it is ignored", w.Text), "")
	}
}

func (o *addressLine) unknownOption(w syntax.Word) {
	rule, what, fix := "unknown-option", fmt.Sprintf("an address has no option %q; it is ignored", w.Text), "remove it"
	if ip, _, _ := strings.Cut(w.Text, "/"); isAddr(ip) {
		rule, what, fix = "second-address", fmt.Sprintf("one address per line; %s is ignored", w.Text), "put "+w.Text+" on a line of its own"
	}
	o.b.warn(rule, w.Pos, what, fix)
}

// dropLine reports why the whole line is ignored.
func (o *addressLine) dropLine(w syntax.Word, what string) {
	o.drop = true
	o.badValue(w, what, "", "")
}

// valued reads an option that has a value.
func (o *addressLine) valued(opt syntax.Word) {
	v := o.st.Words[o.next]
	switch opt.Text {
	case "dev":
		if o.Dev != "" {
			o.dropLine(opt, fmt.Sprintf("dev is given twice for %s; the line is ignored", o.Prefix.Addr()))
			return
		}
		o.drop = !o.iface(&o.Dev)
		return
	case "preferred_lft":
		o.preferred(v)
	case "peer":
		o.peer(opt, v)
	case "brd", "broadcast":
		o.broadcast(opt, v)
	case "label":
		o.Label = v.Text
		if len(v.Text) > 15 {
			o.dropLine(v, fmt.Sprintf("label %s is longer than 15 bytes; the line is ignored", v.Text))
		}
	case "scope":
		if !knownScope(v.Text) {
			o.badValue(v, fmt.Sprintf("scope %q is neither a name nor a number from 0 to 255; it is ignored", v.Text), "scope global, site, link, host or nowhere", "")
		} else {
			o.Scope = v.Text
		}
	case "track_group":
		if o.TrackGroup == "" {
			o.TrackGroup = v.Text
		}
	}
	o.next++
}

var scopeNames = []string{"global", "universe", "site", "link", "host", "nowhere"}

// knownScope reports whether s is a scope of routes and addresses.
func knownScope(s string) bool {
	if slices.Contains(scopeNames, s) {
		return true
	}
	_, err := strconv.ParseUint(s, 0, 8)
	return err == nil
}

func (o *addressLine) preferred(v syntax.Word) {
	if v.Text == "forever" || v.Text == "infinity" {
		forever := ^uint32(0)
		o.PreferredLft = &forever
		return
	}
	n, err := strconv.ParseUint(v.Text, 10, 32)
	if err != nil {
		o.badValue(v, fmt.Sprintf("preferred_lft is forever or a number of seconds, not %q; it is ignored", v.Text), "", "")
		return
	}
	s := uint32(n)
	o.PreferredLft = &s
}

func (o *addressLine) peer(opt, v syntax.Word) {
	switch p, ok := o.prefix(v); {
	case o.Peer.IsValid():
		o.b.warn("repeated-keyword", opt.Pos, fmt.Sprintf("peer is given again; %s stays", o.Peer), "one peer")
	case !ok:
		o.badValue(v, fmt.Sprintf("peer: %q is no IP address; it is ignored", v.Text), "", "")
	case p.Addr().Is4() != o.Prefix.Addr().Is4():
		o.b.warn("other-family", v.Pos, fmt.Sprintf("peer %s is of another family than %s; it is ignored", p.Addr(), o.Prefix.Addr()), "")
	default:
		o.Peer = p
	}
}

func (o *addressLine) broadcast(opt, v syntax.Word) {
	a, err := parseAddr(v.Text)
	auto := v.Text == "+" || v.Text == "-"
	switch {
	case o.Prefix.Addr().Is6():
		o.dropLine(opt, "an IPv6 address has no broadcast address; the line is ignored")
	case auto && o.Prefix.Bits() > 30:
		o.badValue(v, fmt.Sprintf("a prefix of %d leaves no broadcast address; it is ignored", o.Prefix.Bits()), "", "")
	case !auto && (err != nil || a.Is6()):
		o.dropLine(v, fmt.Sprintf("%s: %q is no IPv4 address; the line is ignored", opt.Text, v.Text))
	default:
		o.Broadcast, o.brd = v.Text, opt.Pos
	}
}
