package config

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// instance is a vrrp_instance while it is being built.
type instance struct {
	*Instance
	at  syntax.Pos
	pos map[string]syntax.Pos // of its keywords, the last of each
	v6  bool                  // the first address is IPv6
	// seen are the addresses so far.
	seen map[addressKey]Where
	// leftOut is set when the instance needs something that is not built; the
	// reason has been reported.
	leftOut bool
}

// addressKey tells two lines of virtual_ipaddress apart, or of
// virtual_ipaddress_excluded.
type addressKey struct {
	addr netip.Addr
	dev  string
	main bool
}

// given reports whether the block has the keyword.
func (in *instance) given(kw string) bool { return in.pos[kw].IsValid() }

// where returns the position of a keyword, or of the block.
func (in *instance) where(kw string) syntax.Pos {
	if p := in.pos[kw]; p.IsValid() {
		return p
	}
	return in.at
}

// instance builds a vrrp_instance. What depends on the order of its lines is
// settled in finishVRRP.
func (b *builder) instance(l *line) {
	name, ok := l.name()
	if !ok {
		return
	}
	d := b.cfg.Global.VRRP
	in := &instance{at: l.st.Pos(), pos: map[string]syntax.Pos{}, seen: map[addressKey]Where{}, Instance: &Instance{
		Where: l.st.Pos().Place(), Name: name, State: "BACKUP", Priority: 100, Version: d.Version,
		AdvertInterval: time.Second, GARPDelay: d.GARPDelay, GARPRepeat: d.GARPRepeat, GARPRefresh: d.GARPRefresh,
		GARPRefreshRep: d.GARPRefreshRep, GARPLowerDelay: d.GARPLowerDelay, GARPLowerRepeat: d.GARPLowerRepeat,
		LowerPrioNoAdvert: d.LowerPrioNoAdvert, HigherPrioSendAdvert: d.HigherPrioSendAdvert,
		SkipCheckAdvAddr: d.SkipCheckAdvAddr, DownTimerAdverts: d.DownTimerAdverts,
	}}
	if in.GARPLowerDelay < 0 {
		in.GARPLowerDelay = d.GARPDelay
	}
	if in.GARPLowerRepeat < 0 {
		in.GARPLowerRepeat = d.GARPRepeat
	}
	l.each(in.Instance, func(l *line) bool {
		hadVersion := in.given("version")
		in.pos[l.kw] = l.st.Pos()
		if l.kw == "version" {
			b.version(l, in, hadVersion)
			return true
		}
		return b.instanceMain(l, in) || b.instanceTimers(l, in) || b.instanceBlocks(l, in) ||
			b.instanceLeftOut(l, in) || l.instanceNotify(&in.Notify)
	})
	if first := b.byName[name]; first != nil {
		l.warn("duplicate-name", fmt.Sprintf("vrrp_instance %s is defined again; the first one, at %s, stays and this block is ignored", name, first.Where), "give it another name")
		return
	}
	b.byName[name] = in
	b.pending = append(b.pending, in)
}

// version reads the VRRP version; of two different ones the first stays.
func (b *builder) version(l *line, in *instance, again bool) {
	v := in.Version
	if !l.integer(&v, 2, 3, false) {
		return
	}
	if again && v != in.Version {
		l.warn("repeated-first", fmt.Sprintf("version is given again; %d stays", in.Version), "keep one")
		return
	}
	in.Version = v
}

func (b *builder) instanceMain(l *line, in *instance) bool {
	switch l.kw {
	case "state":
		b.state(l, in)
	case "interface":
		l.iface(&in.Interface)
		in.InterfaceAt = l.st.Pos().Place()
	case "virtual_router_id":
		l.integer(&in.VRID, 1, 255, false)
	case "priority":
		in.Priority = 100
		l.integer(&in.Priority, 1, 255, false)
	case "nopreempt":
		l.flag(&in.NoPreempt)
	case "preempt":
		in.NoPreempt = false
	case "dont_track_primary":
		l.flag(&in.DontTrackPrimary)
	case "skip_check_adv_addr":
		l.boolean(&in.SkipCheckAdvAddr)
	case "mcast_src_ip", "unicast_src_ip":
		l.address(&in.SourceAddr)
	case "accept":
	case "lower_prio_no_advert":
		l.boolean(&in.LowerPrioNoAdvert)
	case "higher_prio_send_advert":
		l.boolean(&in.HigherPrioSendAdvert)
	default:
		return false
	}
	return true
}

func (b *builder) instanceTimers(l *line, in *instance) bool {
	switch l.kw {
	case "advert_int":
		l.seconds(&in.AdvertInterval, 10*time.Millisecond, 255*time.Second)
	case "preempt_delay":
		l.seconds(&in.PreemptDelay, 0, 1000*time.Second)
	case "garp_master_delay":
		l.wholeSeconds(&in.GARPDelay, maxDelay)
	case "garp_master_repeat":
		l.count(&in.GARPRepeat)
	case "garp_master_refresh":
		l.wholeSeconds(&in.GARPRefresh, math.MaxInt32)
	case "garp_master_refresh_repeat":
		l.count(&in.GARPRefreshRep)
	case "garp_lower_prio_delay":
		l.wholeSeconds(&in.GARPLowerDelay, maxDelay)
	case "garp_lower_prio_repeat":
		l.integer(&in.GARPLowerRepeat, 0, math.MaxInt32, true)
	case "down_timer_adverts":
		l.integer(&in.DownTimerAdverts, 1, 100, true)
	default:
		return false
	}
	return true
}

func (b *builder) instanceBlocks(l *line, in *instance) bool {
	switch l.kw {
	case "authentication":
		l.each(nil, func(l *line) bool { return b.authentication(l, in) })
	case "virtual_ipaddress":
		b.addresses(l, in, &in.Addresses, true)
	case "virtual_ipaddress_excluded":
		b.addresses(l, in, &in.Excluded, false)
	case "track_interface":
		b.trackInterfaces(l, &in.TrackInterfaces)
	case "track_script":
		b.trackScripts(l, &in.TrackScripts)
	case "lvs_sync_daemon_interface":
		b.syncInterface(l, in)
	default:
		return false
	}
	return true
}

// instanceLeftOut handles what an instance cannot run without, since on the
// wire the peers would take no notice of it and both would be MASTER.
func (b *builder) instanceLeftOut(l *line, in *instance) bool {
	switch l.kw {
	case "unicast_peer":
		if l.st.Block == nil || len(l.st.Block.Body) == 0 {
			return true
		}
	case "mcast_dst_ip":
		if l.left() > 0 && l.st.Words[1].Text == "224.0.0.18" {
			l.next++
			return true
		}
	case "auth_hmac", "native_ipv6", "vrf":
	default:
		return false
	}
	l.unsupported("vrrp_instance " + in.Name + " is left out and does not run")
	in.leftOut = true
	return true
}

func (l *line) instanceNotify(n *Notify) bool {
	switch l.kw {
	case "notify_master_rx_lower_pri":
		l.command(&n.MasterRxLowerPri, true)
	case "notify_deleted":
		n.Deleted = true
		if l.left() > 0 {
			l.unsupported("the command; the state DELETED is given to the other notify scripts")
		}
	default:
		return l.notify(n)
	}
	return true
}

// state reads MASTER or BACKUP; MASTER sticks.
func (b *builder) state(l *line, in *instance) {
	w, ok := l.word()
	if !ok {
		return
	}
	switch {
	case w.Text == "MASTER":
		in.State = "MASTER"
	case w.Text == "BACKUP" && in.State == "MASTER":
		l.warn("repeated-first", "state BACKUP after state MASTER is ignored", "keep one")
	case w.Text != "BACKUP":
		fix := "state BACKUP"
		if nearest(map[string]bool{"MASTER": true}, w.Text) != "" {
			fix = "state MASTER"
		}
		l.badAs("unknown-state", w, fmt.Sprintf("state is MASTER or BACKUP, in capitals, not %q", w.Text), fix, in.State)
	}
}

func (b *builder) authentication(l *line, in *instance) bool {
	switch l.kw {
	case "auth_type":
		t := string(in.Auth)
		w, ok := l.word()
		switch {
		case !ok:
		case w.Text == "PASS" || w.Text == "AH":
			t = w.Text
		default:
			t = ""
			l.badAs("unknown-auth-type", w, fmt.Sprintf("auth_type is PASS or AH, in capitals, not %q; there is no authentication", w.Text), "auth_type PASS", "")
		}
		in.Auth, in.pos["auth_type"] = AuthType(t), l.st.Pos()
	case "auth_pass":
		w, ok := l.word()
		in.pos["auth_pass"] = l.st.Pos()
		if ok && len(w.Text) > 8 {
			b.warn("auth-pass-cut", w.Pos, fmt.Sprintf("auth_pass has %d bytes; only the first 8 count", len(w.Text)), "a password of 8 bytes")
			w.Text = w.Text[:8]
		}
		in.AuthPass = Secret(w.Text)
	default:
		return false
	}
	return true
}

// addresses reads a block of virtual addresses, one a line.
func (b *builder) addresses(l *line, in *instance, dst *[]Address, deciding bool) {
	l.values(func(l *line) {
		a, ok := b.vip(l)
		if !ok {
			return
		}
		v6 := a.Prefix.Addr().Is6()
		switch {
		case deciding && len(in.Addresses) == 0 && !in.v6 && v6:
			in.v6 = true
			in.leftOut = true
			l.warn("not-supported", "not supported yet: IPv6: vrrp_instance "+in.Name+" is left out and does not run", "")
		case deciding && v6 != in.v6:
			l.warn("other-family", fmt.Sprintf("%s is of another family than the first address and is ignored", a.Prefix.Addr()), "put it in virtual_ipaddress_excluded or another instance")
			return
		case !deciding && v6:
			l.warn("not-supported", fmt.Sprintf("not supported yet: IPv6 address %s; it is left out", a.Prefix.Addr()), "")
			return
		}
		k := addressKey{a.Prefix.Addr(), a.Dev, deciding}
		if first, ok := in.seen[k]; ok {
			l.warn("duplicate-address", fmt.Sprintf("%s is there already, at %s; this line is ignored", k.addr, first), "remove one")
			return
		}
		in.seen[k] = a.Where
		*dst = append(*dst, a)
	})
}

// vip reads ADDRESS[/PREFIX] and its options.
func (b *builder) vip(l *line) (Address, bool) {
	a := Address{Where: l.st.Pos().Place()}
	w, _ := l.word()
	ip, bits, hasBits := cutByte(w.Text, '/')
	addr, err := parseAddr(ip)
	if err != nil {
		fix := ""
		if vocabulary().Kind("vrrp_instance", w.Text) != syntax.Unknown || vocabulary().Kind("", w.Text) != syntax.Unknown {
			fix = "is a } missing before this line?"
		}
		l.badValue(w, fmt.Sprintf("%q is no IP address; the line is ignored", w.Text), fix, "")
		l.next = len(l.st.Words)
		return a, false
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
	a.Prefix = netip.PrefixFrom(addr, n)
	for l.left() > 0 {
		if !b.vipOption(l, &a) {
			return a, false
		}
	}
	return a, true
}

// vipOption reads one option of an address.
func (b *builder) vipOption(l *line, a *Address) bool {
	w, _ := l.word()
	switch w.Text {
	case "dev":
		return l.iface(&a.Dev)
	case "label":
		l.str(&a.Label)
		if len(a.Label) > 15 {
			l.warn("invalid-value", fmt.Sprintf("label %s is longer than 15 bytes; the line is ignored", a.Label), "")
			l.next = len(l.st.Words)
			return false
		}
	case "scope":
		l.str(&a.Scope)
	case "brd", "broadcast", "peer", "preferred_lft", "track_group":
		l.word()
		b.warn("not-supported", w.Pos, fmt.Sprintf("not supported yet: option %s of an address; it is ignored", w.Text), "")
	case "home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac":
		b.warn("not-supported", w.Pos, fmt.Sprintf("not supported yet: option %s of an address; it is ignored", w.Text), "")
	default:
		rule, what, fix := "unknown-option", fmt.Sprintf("an address has no option %q; it is ignored", w.Text), "remove it"
		if ip, _, _ := cutByte(w.Text, '/'); isAddr(ip) {
			rule, what, fix = "second-address", fmt.Sprintf("one address per line; %s is ignored", w.Text), "put "+w.Text+" on a line of its own"
		}
		b.report(finding.Warning, rule, w.Pos, what, fix)
	}
	return true
}

func cutByte(s string, c byte) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == c {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
