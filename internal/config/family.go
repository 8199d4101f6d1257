package config

import (
	"fmt"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// An instance speaks one family: that of the first address in it, whichever
// keyword that stands behind, virtual_ipaddress_excluded excepted.

// family is 4 or 6.
func family(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// joins sets the instance's family to that of a, or tells whether it is that.
func (in *instance) joins(a netip.Addr, at syntax.Pos) bool {
	if in.family == 0 {
		in.family, in.familyAt = family(a), at
	}
	return in.family == family(a)
}

// ownFamily reads an address of the instance's family.
func (l *line) ownFamily(in *instance) (netip.Addr, bool) {
	var a netip.Addr
	at := l.st.Pos()
	if l.left() > 0 {
		at = l.st.Words[l.next].Pos
	}
	if !l.address(&a) {
		return a, false
	}
	if !in.joins(a, at) {
		l.foreign(in, a, at)
		return a, false
	}
	return a, true
}

// foreign reports an address of the family that the instance does not have.
func (l *line) foreign(in *instance, a netip.Addr, at syntax.Pos) {
	l.refused++
	l.next = len(l.st.Words)
	l.b.warn("other-family", at, fmt.Sprintf("%s is IPv%d, and vrrp_instance %s is IPv%d because of %s; the line is ignored", a, family(a), in.Name, in.family, in.familyAt.Place()),
		fmt.Sprintf("an IPv%d address", in.family))
}

// sourceAddress reads mcast_src_ip and unicast_src_ip, which are one setting.
func (b *builder) sourceAddress(l *line, in *instance) {
	if a, ok := l.ownFamily(in); ok {
		in.SourceAddr = a
	}
}

func (b *builder) mcastGroup(l *line, in *instance) {
	w := l.st.Words[min(1, len(l.st.Words)-1)]
	a, ok := l.ownFamily(in)
	switch {
	case !ok:
	case !a.IsMulticast() || a.Is6() && !a.IsLinkLocalMulticast():
		what := "no multicast address"
		if a.IsMulticast() {
			what = "no link-local multicast address, which IPv6 adverts need"
		}
		l.badValue(w, fmt.Sprintf("mcast_dst_ip: %s is %s; the line is ignored", a, what), "224.0.0.18 or ff02::12", "")
	default:
		in.McastGroup = a
	}
	l.told = true // finishWire says what it means
}

// nativeIPv6 makes the instance IPv6 before any address is seen.
func (b *builder) nativeIPv6(l *line, in *instance) {
	l.flag(new(bool))
	l.told = true
	if in.family == 4 {
		l.refused++
		l.warn("other-family", fmt.Sprintf("vrrp_instance %s is IPv4 because of %s; native_ipv6 is ignored", in.Name, in.familyAt.Place()), "native_ipv6 above the addresses, and IPv6 addresses")
		return
	}
	if in.family == 0 {
		in.family, in.familyAt = 6, l.st.Pos()
	}
}
