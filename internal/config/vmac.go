package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// vmac reads use_vmac [[name] IFNAME] [MAC] [group GROUP] [netlink_notify_msg].
// Of two names or MAC addresses the first stays, also over two lines.
func (b *builder) vmac(l *line, in *instance) {
	if in.VMAC == nil {
		in.VMAC = &MACVLAN{Where: l.st.Pos().Place()}
	}
	v := in.VMAC
	for l.left() > 0 {
		w, _ := l.word()
		switch {
		case w.Text == "netlink_notify_msg":
			v.NetlinkNotifyMsg = true
		case w.Text == "group":
			l.linkOption(w, &v.Group)
		case strings.Contains(w.Text, ":"):
			l.macAddress(w, v)
		default:
			l.linkName(w, v)
		}
	}
}

// linkOption reads the word behind an option.
func (l *line) linkOption(w syntax.Word, dst *string) {
	if l.left() == 0 {
		l.b.warn("missing-value", w.Pos, fmt.Sprintf("%s: %s has no value; it is ignored", l.kw, w.Text), "")
		return
	}
	l.str(dst)
}

// linkName reads [name] IFNAME, of which w is the first word.
func (l *line) linkName(w syntax.Word, v *MACVLAN) {
	if w.Text == "name" && l.left() > 0 && !strings.Contains(l.st.Words[l.next].Text, ":") {
		w, _ = l.word()
	}
	switch {
	case v.Name != "":
		l.b.warn("repeated-keyword", w.Pos, fmt.Sprintf("%s: the interface is named already; %s stays and %q is ignored", l.kw, v.Name, w.Text), "one name")
	case !validInterface(w.Text):
		l.badValue(w, fmt.Sprintf("%s: %q cannot be an interface's name (1 to 15 bytes, no slash, no blank); it is ignored", l.kw, w.Text), "", "")
	default:
		v.Name = w.Text
	}
}

// macAddress reads 5 or 6 octets; with 5 the VRID is the sixth.
func (l *line) macAddress(w syntax.Word, v *MACVLAN) {
	octets := strings.Split(w.Text, ":")
	bad := len(octets) != 5 && len(octets) != 6
	var first uint64
	for i, o := range octets {
		n, err := strconv.ParseUint(o, 16, 8)
		bad = bad || err != nil
		if i == 0 {
			first = n
		}
	}
	switch {
	case bad:
		l.badValue(w, fmt.Sprintf("%s: %q is no MAC address (5 or 6 octets); it is ignored", l.kw, w.Text), l.kw+" 02:00:5e:00:01:33", "")
	case first&1 != 0:
		l.badValue(w, fmt.Sprintf("%s: %s is a multicast address; it is ignored", l.kw, w.Text), l.kw+" 02:00:5e:00:01:33", "")
	case v.MAC != "":
		l.b.warn("repeated-keyword", w.Pos, fmt.Sprintf("%s: the MAC address is given already; %s stays", l.kw, v.MAC), "one MAC address")
	default:
		v.MAC = w.Text
	}
}

// ipvlan reads use_ipvlan [[name] IFNAME] [ADDRESS] [bridge|private|vepa] [group
// GROUP]; a second line is ignored.
func (b *builder) ipvlan(l *line, in *instance) {
	if l.repeated() {
		return
	}
	v := &MACVLAN{Where: l.st.Pos().Place(), Mode: "bridge"}
	in.IPVLAN = v
	for l.left() > 0 {
		w, _ := l.word()
		addr, _, _ := strings.Cut(w.Text, "/")
		switch a, err := parseAddr(addr); {
		case w.Text == "bridge" || w.Text == "private" || w.Text == "vepa":
			v.Mode = w.Text
		case w.Text == "group":
			l.linkOption(w, &v.Group)
		case err == nil && !in.joins(a, w.Pos):
			b.warn("other-family", w.Pos, fmt.Sprintf("use_ipvlan: %s is IPv%d, and vrrp_instance %s is IPv%d; it is ignored", a, family(a), in.Name, in.family), "")
		case err == nil:
			v.Addr = a
		default:
			l.linkName(w, v)
		}
	}
}

// finishLink settles what depends on an interface of the instance's own.
func (b *builder) finishLink(in *instance) {
	if in.VMAC != nil && in.IPVLAN != nil {
		b.warn("vmac-and-ipvlan", in.where("use_vmac"), fmt.Sprintf("vrrp_instance %s: use_ipvlan takes the place of use_vmac, which is ignored", in.Name), "one of the two")
		in.VMAC = nil
	}
	if in.VMACXmitBase && in.VMAC == nil {
		b.warn("xmit-base-without-vmac", in.where("vmac_xmit_base"), fmt.Sprintf("vrrp_instance %s: vmac_xmit_base without use_vmac is ignored", in.Name), "use_vmac")
		in.VMACXmitBase = false
	}
	if in.PromoteSecondaries && (in.VMAC != nil || in.IPVLAN != nil) {
		b.warn("promote-ignored", in.where("promote_secondaries"), fmt.Sprintf("vrrp_instance %s: promote_secondaries is set for interfaces of its own anyhow; it is ignored", in.Name), "remove promote_secondaries")
		in.PromoteSecondaries = false
	}
	if in.IPVLAN != nil && !in.IPv6 && !in.IPVLAN.Addr.IsValid() && !in.SourceAddr.IsValid() {
		b.warn("ipvlan-without-address", in.where("use_ipvlan"), fmt.Sprintf("vrrp_instance %s: an IPv4 ipvlan interface needs an address of its own; the instance stays in FAULT, it does not run", in.Name), "use_ipvlan ADDRESS")
		in.NotRun = "its ipvlan interface has no address, which keeps it in FAULT"
	}
	if in.VRF != "" && in.Interface != "" {
		b.warn("vrf-ignored", in.where("vrf"), fmt.Sprintf("vrrp_instance %s: vrf is for unicast without an interface; it is ignored", in.Name), "remove vrf or interface")
		in.VRF = ""
	}
}
