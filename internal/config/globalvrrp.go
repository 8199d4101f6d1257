package config

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// globalVRRP reads those defaults of the instances that the table leaves to
// code.
func (b *builder) globalVRRP(l *line, d *GlobalVRRP) bool {
	switch l.kw {
	case "vrrp_startup_delay":
		b.largest(l, &b.cfg.Global.StartupDelay)
	case "vrrp_delay_after_boot":
		b.largest(l, &b.cfg.Global.DelayAfterBoot)
	case "vrrp_garp_master_repeat":
		l.count(&d.GARPRepeat)
	case "vrrp_garp_master_refresh_repeat":
		l.count(&d.GARPRefreshRep)
	case "vrrp_garp_interval", "vrrp_gna_interval":
		return b.noInterval(l)
	case "vrrp_garp_extra_if", "vrrp_vmac_garp_intvl":
		if l.kw == "vrrp_vmac_garp_intvl" {
			l.note("deprecated", "vrrp_vmac_garp_intvl is an old name of vrrp_garp_extra_if", "vrrp_garp_extra_if "+words(l))
		}
		b.extraGARP(l, &d.GARPExtraIf, 1)
	case "vrrp_min_garp":
		b.minGARP(l, d)
	case "vrrp_mcast_group4":
		b.multicast(l, &d.McastGroup4, 4)
		l.told = l.told || d.McastGroup4.String() == "224.0.0.18"
	case "vrrp_mcast_group6":
		b.multicast(l, &d.McastGroup6, 6)
		l.told = l.told || d.McastGroup6.String() == "ff02::12"
	case "vrrp_rx_bufs_policy":
		b.rxBufs(l, d)
	default:
		return false
	}
	return true
}

// largest reads a delay of which the largest counts.
func (b *builder) largest(l *line, dst *time.Duration) {
	before := *dst
	l.setDecimal(reflect.ValueOf(dst).Elem(), l.key)
	*dst = max(before, *dst)
}

// count reads how often something is sent; 0 becomes 1.
func (l *line) count(dst *int) {
	w, _ := l.peek()
	if l.integer(dst, 0, math.MaxUint32, true) && *dst == 0 {
		l.b.warn("invalid-value", w.Pos, l.kw+" 0 sends one", l.kw+" 1")
		*dst = 1
	}
}

// noInterval takes 0, which old sample files have, as no limit; any other value
// is the table's.
func (b *builder) noInterval(l *line) bool {
	w, ok := l.peek()
	if d, number := parseSeconds(w.Text); !ok || !number || d != 0 {
		return false
	}
	l.next++
	l.badAs("zero-interval", w, l.kw+" 0 is out of range and ignored, by keepalived too: there is no limit", "remove the line", "")
	return true
}

// minGARP turns everything down to one announcement that still is at its
// default here.
func (b *builder) minGARP(l *line, d *GlobalVRRP) {
	if l.set(&b.cfg.Global); !d.MinGARP {
		return
	}
	if d.GARPRepeat == defaultGARPRepeat {
		d.GARPRepeat = 1
	}
	if d.GARPDelay == defaultGARPDelay {
		d.GARPDelay = 0
	}
}

// multicast reads a multicast address of a family.
func (b *builder) multicast(l *line, dst *netip.Addr, fam int) {
	a := *dst
	n := l.refused
	if l.address(&a); l.refused > n {
		return
	}
	w := l.st.Words[1]
	switch {
	case family(a) != fam:
		l.badValue(w, fmt.Sprintf("%s: %s is no IPv%d address", l.kw, a, fam), "", b.kept(*dst))
		return
	case !a.IsMulticast():
		l.badValue(w, fmt.Sprintf("%s: %s is no multicast address", l.kw, a), "", b.kept(*dst))
		return
	case fam == 6 && !a.IsLinkLocalMulticast():
		b.warn("not-link-local", w.Pos, fmt.Sprintf("%s %s is not link-local: adverts could leave the network", l.kw, a), l.kw+" ff02::12")
	}
	*dst = a
}

func (b *builder) kept(a netip.Addr) string {
	if !a.IsValid() {
		return "nothing"
	}
	return a.String()
}

// rxBufs reads MTU, ADVERT or a number of bytes: a number beats the words, MTU
// beats ADVERT.
func (b *builder) rxBufs(l *line, d *GlobalVRRP) {
	if l.left() == 0 {
		l.word()
	}
	for l.left() > 0 {
		w, _ := l.word()
		p := upper(w.Text)
		v, junk, number := leadingInt(w.Text)
		switch {
		case p == "MTU" || p == "ADVERT":
		case !number || junk != "" || v < 0 || v > math.MaxInt32:
			l.badValue(w, fmt.Sprintf("vrrp_rx_bufs_policy is MTU, ADVERT or a number of bytes, not %q", w.Text), "vrrp_rx_bufs_policy MTU", "nothing")
			if w.Text == "0" {
				b.exits(exitNone)
			}
			continue
		}
		d.RxBufsPolicy = b.stronger(w, d.RxBufsPolicy, p)
	}
}

// stronger returns which of two policies counts.
func (b *builder) stronger(w syntax.Word, have, next string) string {
	rank := func(s string) int {
		switch s {
		case "":
			return 0
		case "ADVERT":
			return 1
		case "MTU":
			return 2
		}
		return 3
	}
	if have == "" || have == next {
		return next
	}
	best := next
	if rank(have) > rank(next) {
		best = have
	}
	if rank(have) != rank(next) {
		b.warn("conflicting-values", w.Pos, fmt.Sprintf("vrrp_rx_bufs_policy %s and %s exclude each other; %s is used", have, next, best), "vrrp_rx_bufs_policy "+best)
	}
	return best
}
