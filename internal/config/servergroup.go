package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// serverGroup is a virtual_server_group.
type serverGroup struct {
	at        syntax.Pos
	endpoints []Endpoint
}

// maxGroupAddrs bounds what the ranges of all groups may expand to: each
// address is a service of its own.
const maxGroupAddrs = 65536

// maxServed bounds what all virtual servers may serve of the groups: several
// may serve the same.
const maxServed = 4 * maxGroupAddrs

// serverGroup builds a virtual_server_group. Of two with the same name the
// first is used.
func (b *builder) serverGroup(l *line) {
	name, ok := l.name()
	if !ok {
		return
	}
	g := &serverGroup{at: l.st.Pos()}
	l.values(func(l *line) {
		if l.accept("fwmark") {
			b.groupMark(l, g)
			return
		}
		b.groupEntry(l, g)
	})
	if first := b.groups[name]; first != nil {
		l.warn("duplicate-group", fmt.Sprintf("virtual_server_group %s is defined again; the first one, at %s, is used", name, first.at.Place()), "give it another name")
		l.b.exits(exitNone)
		return
	}
	if l.st.Block == nil || len(l.st.Block.Body) == 0 {
		l.warn("empty-group", fmt.Sprintf("virtual_server_group %s has no entry", name), "an address and a port")
	}
	b.groups[name] = g
}

// groupMark reads fwmark N [inet | inet6].
func (b *builder) groupMark(l *line, g *serverGroup) {
	at, mark := l.st.Pos(), -1
	l.kw = "fwmark"
	if !l.integer(&mark, 0, math.MaxUint32, false) {
		l.next = len(l.st.Words)
		return
	}
	e := Endpoint{Where: at.Place(), FWMark: uint32(mark), NotRun: "fwmark is not supported yet"}
	if w, ok := l.peek(); ok {
		l.next++
		if w.Text != "inet" && w.Text != "inet6" {
			l.badValue(w, fmt.Sprintf("fwmark %d: the family is inet or inet6, not %q", mark, w.Text), fmt.Sprintf("fwmark %d inet", mark), "nothing")
			l.next = len(l.st.Words)
			return
		}
		e.Family = w.Text
	}
	l.warn("not-supported", "not supported yet: fwmark in a virtual_server_group; the entry is left out", "")
	g.endpoints = append(g.endpoints, e)
}

// groupEntry reads IP[-LAST | -IP | /MASK] [PORT].
func (b *builder) groupEntry(l *line, g *serverGroup) {
	w, _ := l.word()
	first, last, err := addressRange(w.Text)
	if err != nil {
		l.badAs("group-entry", w, err.Error()+"; the entry is ignored", "IP PORT, IP-LAST PORT or IP/MASK PORT", "")
		l.next = len(l.st.Words)
		return
	}
	port, ok := l.port()
	if !ok {
		return
	}
	notRun := ""
	switch {
	case first.Is6():
		notRun = "IPv6 is not supported yet"
		b.warn("not-supported", w.Pos, fmt.Sprintf("not supported yet: IPv6 virtual server %s; the entry is left out", w.Text), "")
	case port == 0:
		notRun = "an address without port (all ports) is not supported yet"
		b.warn("not-supported", w.Pos, fmt.Sprintf("not supported yet: %s without port (all ports); the entry is left out", w.Text), "")
	}
	at := w.Pos.Place()
	for a := first; ; a = a.Next() {
		if b.nAddrs++; b.nAddrs > maxGroupAddrs {
			l.fail("group-too-large", fmt.Sprintf("virtual_server_groups hold more than %d addresses; the rest is left out", maxGroupAddrs), "a smaller range")
			return
		}
		g.endpoints = append(g.endpoints, Endpoint{Where: at, Addr: a, Port: port, NotRun: notRun})
		if a == last || !a.IsValid() {
			return
		}
	}
}

// addressRange parses an address, or a range in one of keepalived's three
// forms.
func addressRange(s string) (first, last netip.Addr, err error) {
	if ip, bits, ok := strings.Cut(s, "/"); ok {
		return maskRange(s, ip, bits)
	}
	from, to, ranged := strings.Cut(s, "-")
	if first, err = parseAddr(from); err != nil {
		return first, last, fmt.Errorf("%q is no IP address", s)
	}
	if !ranged {
		return first, first, nil
	}
	if last, err = parseAddr(to); err != nil {
		last, err = lastPart(first, to)
	}
	switch {
	case err != nil || last.Is4() != first.Is4():
		return first, last, fmt.Errorf("%q is no range of addresses", s)
	case !first.Less(last):
		return first, last, fmt.Errorf("the range %s does not end above its beginning", s)
	}
	return first, last, nil
}

// lastPart replaces the last octet (IPv4, decimal) or group (IPv6, hex).
func lastPart(a netip.Addr, s string) (netip.Addr, error) {
	if a.Is4() {
		v, err := strconv.ParseUint(s, 10, 8)
		b := a.As4()
		b[3] = byte(v)
		return netip.AddrFrom4(b), err
	}
	v, err := strconv.ParseUint(s, 16, 16)
	b := a.As16()
	b[14], b[15] = byte(v>>8), byte(v)
	return netip.AddrFrom16(b), err
}

func maskRange(s, ip, bits string) (first, last netip.Addr, err error) {
	first, err = parseAddr(ip)
	if err != nil {
		return first, last, fmt.Errorf("%q is no IP address", s)
	}
	n, err := strconv.Atoi(bits)
	p := netip.PrefixFrom(first, n)
	if err != nil || !p.IsValid() {
		return first, last, fmt.Errorf("%q has no valid mask", s)
	}
	if p.Masked().Addr() != first {
		return first, last, fmt.Errorf("%s is not the first address of the network %s", first, p.Masked())
	}
	b := first.AsSlice()
	for i := n; i < first.BitLen(); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ = netip.AddrFromSlice(b)
	return first, last, nil
}

// port reads an optional port; absent or all zeros is 0, any port.
func (l *line) port() (uint16, bool) {
	if l.left() == 0 {
		return 0, true
	}
	w, _ := l.word()
	v, err := strconv.ParseUint(w.Text, 10, 16)
	if err != nil || v == 0 && strings.Trim(w.Text, "0") != "" {
		l.badAs("invalid-port", w, fmt.Sprintf("%s: %q is no port (1 to 65535); %s", l.kw, w.Text, l.skipped()), "a number: names of services are not looked up", "")
		l.next = len(l.st.Words)
		return 0, false
	}
	return uint16(v), true
}

// addrPort reads IP [PORT].
func (l *line) addrPort() (a netip.Addr, port uint16, ok bool) {
	w, ok := l.word()
	if !ok {
		return a, 0, false
	}
	a, err := parseAddr(w.Text)
	if err != nil {
		fix := ""
		if ap, err := netip.ParseAddrPort(w.Text); err == nil {
			fix = fmt.Sprintf("%s %s %d", l.kw, ap.Addr(), ap.Port())
		}
		l.b.reportAddr(l, w, fix)
		l.next = len(l.st.Words)
		return a, 0, false
	}
	port, ok = l.port()
	return a, port, ok
}

func (b *builder) reportAddr(l *line, w syntax.Word, fix string) {
	b.warn("invalid-address", w.Pos, fmt.Sprintf("%s: %q is no IP address; %s", l.kw, w.Text, l.skipped()), fix)
}

// skipped says what a bad word in the statement's name leads to.
func (l *line) skipped() string {
	if l.st.Block != nil {
		return "the block is skipped"
	}
	return "the line is ignored"
}
