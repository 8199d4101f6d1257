package config

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// defaultPersistence holds where persistence is on and no time is given.
const defaultPersistence = 360 * time.Second

// persistence reads what keeps a client on one server.
func (b *builder) persistence(l *line, vs *virtualServer) bool {
	switch l.kw {
	case "persistence_timeout":
		w, ok := l.peek()
		if !ok || w.Text != "0" {
			return l.set(vs.VirtualServer)
		}
		l.next++
		l.badAs("persistence-zero", w, "persistence_timeout 0 is out of range and ignored, by keepalived too: there is no persistence", "remove the line", "")
	case "persistence_granularity":
		b.granularity(l, vs)
	default:
		return false
	}
	return true
}

// granularity reads a mask of IPv4 or a length of IPv6, by the family of the
// virtual server as far as it is known here.
func (b *builder) granularity(l *line, vs *virtualServer) {
	w, ok := l.word()
	if !ok {
		return
	}
	if vs.family() == 6 {
		n, err := strconv.Atoi(w.Text)
		if err != nil || n < 1 || n > 128 {
			l.badValue(w, fmt.Sprintf("persistence_granularity is a prefix length from 1 to 128 for IPv6, not %q", w.Text), "persistence_granularity 64", "nothing")
			return
		}
		vs.PersistenceGranularity = n
	} else {
		n, bad := maskBits(w.Text)
		if bad != "" {
			rule := "invalid-value"
			if _, err := strconv.ParseUint(w.Text, 10, 16); err == nil || isAddr(w.Text) && !strings.Contains(w.Text, ":") {
				rule = "mask-with-holes" // of which keepalived makes a mask all the same
			}
			l.badAs(rule, w, "persistence_granularity: "+bad, "persistence_granularity 255.255.255.0", "nothing")
			return
		}
		vs.PersistenceGranularity = n
	}
	if vs.PersistenceTimeout == 0 {
		vs.PersistenceTimeout = defaultPersistence
	}
}

// maskBits is the length of an IPv4 mask; bad says what is wrong with it.
func maskBits(s string) (n int, bad string) {
	a, err := netip.ParseAddr(s)
	if v, e := strconv.ParseUint(s, 10, 32); e == nil {
		return 0, fmt.Sprintf("%q is no mask (keepalived would read it as %s)", s, netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}))
	}
	if err != nil || !a.Is4() {
		return 0, fmt.Sprintf("%q is no mask", s)
	}
	b := a.As4()
	m := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	n = bits.LeadingZeros32(^m)
	if n < 32 && m<<n != 0 {
		return 0, fmt.Sprintf("%s has holes (keepalived would mask clients with it as it stands)", s)
	}
	return n, ""
}
