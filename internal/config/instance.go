package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// instance is a vrrp_instance while it is being built.
type instance struct {
	*Instance
	at  syntax.Pos
	pos map[string]syntax.Pos // of its keywords, the last of each
	// family is 4 or 6 once an address or native_ipv6 has set it, at familyAt.
	family   int
	familyAt syntax.Pos
	// seen are the addresses so far.
	seen map[addressKey]Where
	// peers are those so far.
	peers map[netip.Addr]Where
	// refused is set when an Error has been reported: keepalived would not start.
	refused bool
	// lacks is what kaname does not run yet and what the instance is invisible to
	// its peers without; lacksAt is where the first of them is asked for.
	lacks   []string
	lacksAt syntax.Pos
}

// lack notes that the instance needs what, which is not built.
func (in *instance) lack(what string, at syntax.Pos) {
	if len(in.lacks) == 0 {
		in.lacksAt = at
	}
	in.lacks = append(in.lacks, what)
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

// newInstance returns an instance with the defaults that global_defs give it.
func (b *builder) newInstance(name string, at syntax.Pos) *instance {
	d := b.cfg.Global.VRRP
	in := &instance{at: at, pos: map[string]syntax.Pos{}, seen: map[addressKey]Where{}, Instance: &Instance{
		Where: at.Place(), Name: name, State: "BACKUP", Priority: 100, AdvertInterval: time.Second,
		GARPDelay: d.GARPDelay, GARPRepeat: d.GARPRepeat, GARPRefresh: d.GARPRefresh,
		GARPRefreshRep: d.GARPRefreshRep, GARPLowerDelay: d.GARPLowerDelay, GARPLowerRepeat: d.GARPLowerRepeat,
		GARPExtraIf: d.GARPExtraIf, LowerPrioNoAdvert: d.LowerPrioNoAdvert, HigherPrioSendAdvert: d.HigherPrioSendAdvert,
		OwnerIgnoreAdverts: d.OwnerIgnoreAdverts, SkipCheckAdvAddr: d.SkipCheckAdvAddr, DownTimerAdverts: d.DownTimerAdverts,
		CheckUnicastSrc: d.CheckUnicastSrc, UnicastTTL: 255, OldUnicastChecksum: "auto", V3ChecksumAsV2: d.V3ChecksumAsV2,
		Strict: d.Strict, SMTPAlert: b.mailAlert(), PriorityChanges: b.cfg.Global.FIFO.PriorityChanges,
	}}
	if in.GARPLowerDelay < 0 {
		in.GARPLowerDelay = d.GARPDelay
	}
	if in.GARPLowerRepeat < 0 {
		in.GARPLowerRepeat = d.GARPRepeat
	}
	return in
}

// mailAlert is smtp_alert of an instance or sync group that says nothing.
func (b *builder) mailAlert() bool {
	m := b.cfg.Global.Mail
	return get(cmp.Or(m.AlertVRRP, m.Alert), false)
}

// instance builds a vrrp_instance. What depends on the order of its lines is
// settled in finishVRRP.
func (b *builder) instance(l *line) {
	name, ok := l.name()
	if !ok {
		return
	}
	in := b.newInstance(name, l.st.Pos())
	l.each(in.Instance, func(l *line) bool {
		again := in.given(l.kw)
		in.pos[l.kw] = l.st.Pos()
		if l.kw == "version" {
			b.version(l, in, again)
			return true
		}
		return b.instanceMain(l, in) || b.instanceNumbers(l, in) || b.instanceBlocks(l, in) || b.instanceLink(l, in)
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
	if v == 2 && in.family == 6 && in.Version == 0 {
		l.refused++
		l.warn("repeated-first", fmt.Sprintf("vrrp_instance %s is IPv6 because of %s, which makes it version 3; version 2 is ignored (above the addresses keepalived would take it)", in.Name, in.familyAt.Place()), "version 3")
		return
	}
	if again && in.Version != 0 && v != in.Version {
		l.warn("repeated-first", fmt.Sprintf("version is given again; %d stays", in.Version), "keep one")
		return
	}
	in.Version = v
}

// instanceMain reads the words that the table leaves to code.
func (b *builder) instanceMain(l *line, in *instance) bool {
	switch l.kw {
	case "state":
		b.state(l, in)
	case "interface":
		in.InterfaceAt = l.st.Pos().Place()
		return false
	case "preempt":
		in.NoPreempt = false
		l.flag(new(bool))
	case "accept":
		in.NoAccept = false
		l.flag(new(bool))
	case "mcast_src_ip", "unicast_src_ip":
		b.sourceAddress(l, in)
	case "mcast_dst_ip":
		b.mcastGroup(l, in)
	case "native_ipv6":
		b.nativeIPv6(l, in)
	case "old_unicast_checksum":
		b.oldChecksum(l, in)
	case "notify_deleted":
		b.notifyDeleted(l, in)
	default:
		return false
	}
	return true
}

// instanceNumbers reads numbers with a rule of their own.
func (b *builder) instanceNumbers(l *line, in *instance) bool {
	switch l.kw {
	case "priority":
		in.Priority = 100 // what a bad one means, also behind a good one
		return false
	case "garp_master_repeat":
		l.count(&in.GARPRepeat)
	case "garp_master_refresh_repeat":
		l.count(&in.GARPRefreshRep)
	case "timer_expired_backup", "thread_timer_expired":
		if l.left() == 0 {
			in.TimerExpiredBackup = 254
			return true
		}
		return false
	case "garp_extra_if", "vmac_garp_intvl":
		b.extraGARP(l, &in.GARPExtraIf, 0)
	default:
		return false
	}
	return true
}

func (b *builder) instanceBlocks(l *line, in *instance) bool {
	switch l.kw {
	case "authentication":
		l.each(nil, func(l *line) bool { return b.authentication(l, in) })
	case "auth_hmac":
		b.authHMAC(l, in)
	case "unicast_peer":
		b.peers(l, in)
	case "virtual_ipaddress":
		b.addresses(l, in, &in.Addresses, true)
	case "virtual_ipaddress_excluded":
		b.addresses(l, in, &in.Excluded, false)
	case "virtual_routes":
		b.routes(l, &in.Routes, false)
	case "virtual_rules":
		b.policyRules(l, &in.Rules, false)
	default:
		return b.tracking(l, &in.Tracking, in.Name)
	}
	return true
}

// instanceLink reads what changes or adds interfaces.
func (b *builder) instanceLink(l *line, in *instance) bool {
	switch l.kw {
	case "use_vmac":
		b.vmac(l, in)
	case "use_ipvlan":
		b.ipvlan(l, in)
	case "lvs_sync_daemon_interface":
		b.syncInterface(l, in)
	default:
		return false
	}
	return true
}

// extraGARP reads [all] SECS; least is 1 where 0 cannot be written for off.
func (b *builder) extraGARP(l *line, dst *ExtraGARP, least int) {
	all := l.accept("all")
	if l.left() == 0 {
		l.refused++
		l.warn("missing-value", l.kw+" has no seconds; the line is ignored", l.kw+" 60")
		return
	}
	v := int(dst.Every / time.Second)
	if l.integer(&v, least, 86400, true) {
		dst.Every, dst.All = time.Duration(v)*time.Second, all
	}
}

// notifyDeleted reads [COMMAND [USER [GROUP]]].
func (b *builder) notifyDeleted(l *line, in *instance) {
	in.Notify.Deleted = true
	if l.left() == 0 {
		return
	}
	had := in.Notify.DeletedCommand.Set()
	l.command(&in.Notify.DeletedCommand, true)
	if !had && in.Notify.DeletedCommand.Set() {
		l.unsupported("its command is not run; the other notify scripts are told DELETED")
	}
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
		if nearestOf([]string{"MASTER"}, w.Text) != "" {
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
