package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// peers reads unicast_peer: ADDRESS [min_ttl N] [max_ttl N] a line.
func (b *builder) peers(l *line, in *instance) {
	l.told = true // finishWire says what it means
	l.values(func(l *line) { b.peer(l, in) })
}

func (b *builder) peer(l *line, in *instance) {
	p := Peer{Where: l.st.Pos().Place(), MaxTTL: 255}
	w := l.st.Words[0]
	// Compat: a prefix length behind a peer's address is dropped in silence.
	addr, _, _ := strings.Cut(w.Text, "/")
	l.next++
	a, err := parseAddr(addr)
	switch {
	case err != nil:
		l.badValue(w, fmt.Sprintf("%q is no IP address; the line is ignored, and the instance neither speaks to that peer nor, with check_unicast_src, hears it", w.Text), b.missingBrace(w.Text), "")
		l.next = len(l.st.Words)
		return
	case !in.joins(a, w.Pos):
		l.foreign(in, a, w.Pos)
		return
	}
	p.Addr = a
	for l.left() > 0 {
		in.CheckUnicastSrc = l.peerOption(&p) || in.CheckUnicastSrc
	}
	if first, twice := in.peers[a]; twice {
		b.quietly("duplicate-peer", w.Place(), fmt.Sprintf("%s is a peer already, at %s; this line is ignored (keepalived up to 2.2 would send to it twice)", a, first), "remove one")
		return
	}
	if in.peers == nil {
		in.peers = map[netip.Addr]Where{}
	}
	in.peers[a] = p.Where
	in.Peers = append(in.Peers, p)
}

// peerOption reads one option of a peer and reports whether it bounds the TTL.
func (l *line) peerOption(p *Peer) bool {
	w := l.st.Words[l.next]
	l.next++
	dst := map[string]*int{"min_ttl": &p.MinTTL, "max_ttl": &p.MaxTTL}[w.Text]
	switch {
	case dst == nil:
		what, fix := fmt.Sprintf("a peer has no option %q; it is ignored", w.Text), "min_ttl or max_ttl"
		if _, err := parseAddr(w.Text); err == nil {
			what, fix = fmt.Sprintf("one peer per line; %s is ignored", w.Text), "put "+w.Text+" on a line of its own"
		}
		l.b.warn("unknown-option", w.Pos, what, fix)
		return false
	case l.left() == 0:
		l.b.warn("missing-value", w.Pos, w.Text+" has no number; it is ignored", w.Text+" 254")
		return false
	}
	l.optionNumber(w.Text, dst, 0, 255)
	return true
}

// optionNumber reads the number of an option, which has to be one throughout;
// otherwise dst stays.
func (l *line) optionNumber(option string, dst *int, lo, hi int) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	v, junk, ok := leadingInt(w.Text)
	if !ok || junk != "" || v < int64(lo) || v > int64(hi) {
		kept := "nothing"
		if *dst >= lo {
			kept = fmt.Sprint(*dst)
		}
		l.badValue(w, fmt.Sprintf("%s is a number from %d to %d, not %q", option, lo, hi, w.Text), "", kept)
		return false
	}
	*dst = int(v)
	return true
}

// oldChecksum reads old_unicast_checksum [never].
func (b *builder) oldChecksum(l *line, in *instance) {
	switch {
	case l.left() == 0:
		in.OldUnicastChecksum = "yes"
	case l.accept("never"):
		in.OldUnicastChecksum = "never"
	default:
		w, _ := l.word()
		l.badValue(w, fmt.Sprintf("old_unicast_checksum knows no %q", w.Text), "old_unicast_checksum never", in.OldUnicastChecksum)
	}
}

// finishUnicast settles what the unicast keywords mean with peers and without.
func (b *builder) finishUnicast(in *instance) {
	if len(in.Peers) > 0 {
		if in.McastGroup.IsValid() {
			b.warn("unicast-group-ignored", in.where("mcast_dst_ip"), fmt.Sprintf("vrrp_instance %s has unicast peers; mcast_dst_ip is ignored", in.Name), "remove one of the two")
			in.McastGroup = noAddr
		}
		if in.VMAC != nil && !in.VMACXmitBase {
			b.warn("vmac-without-xmit-base", in.where("use_vmac"), fmt.Sprintf("vrrp_instance %s: use_vmac with unicast peers needs vmac_xmit_base, which is set", in.Name), "vmac_xmit_base")
			in.VMACXmitBase = true
		}
		return
	}
	if in.given("unicast_ttl") {
		b.warn("unicast-ttl-ignored", in.where("unicast_ttl"), fmt.Sprintf("vrrp_instance %s has no unicast peers; unicast_ttl is ignored and adverts have TTL 255", in.Name), "remove unicast_ttl")
		in.UnicastTTL = 255
	}
	for _, kw := range []string{"unicast_peer", "unicast_src_ip", "check_unicast_src", "old_unicast_checksum"} {
		if !in.given(kw) {
			continue
		}
		if in.FaultNoPeer {
			in.NotRun = "it has no unicast peers and stays in FAULT (unicast_fault_no_peer)"
			b.quietly("unicast-source-without-peers", in.where(kw).Place(), fmt.Sprintf("vrrp_instance %s has no unicast peers: unicast_fault_no_peer keeps it in FAULT, it does not run", in.Name), "unicast_peer { ADDRESS }")
		} else {
			why, fix := kw+" is no reason to use unicast", "unicast_peer { ADDRESS }"
			switch kw {
			case "unicast_peer":
				why = "none that unicast_peer names can be used"
			case "unicast_src_ip":
				fix += ", or mcast_src_ip"
			}
			b.report(finding.Note, "unicast-source-without-peers", in.where(kw), fmt.Sprintf("vrrp_instance %s has no unicast peers: %s, and adverts are multicast", in.Name, why), fix)
			b.exits(exitConfig)
		}
		return
	}
}
