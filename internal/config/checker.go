package config

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// checker is a checker while it is being built.
type checker struct {
	*Checker
	inherit
	ConnectIP   netip.Addr     `kw:"connect_ip"`
	ConnectPort int            `kw:"connect_port"`
	MiscTimeout *time.Duration `kw:"misc_timeout"`
	LogAll      *bool          `kw:"log_all_failures"`
	User        User           `kw:"user"`

	at     syntax.Pos
	server netip.Addr // what is checked without connect_ip
	hosts  []*checker // of SMTP_CHECK
}

// checker builds one checker of a real server.
func (b *builder) checker(l *line, rs *realServer) bool {
	kind := CheckerKind(l.kw)
	switch kind {
	case TCPCheck, HTTPGet, SSLGet, SMTPCheck, DNSCheck, MiscCheck, UDPCheck, PingCheck, FileCheck, BFDCheck:
	default:
		return false
	}
	c := &checker{at: l.st.Pos(), server: rs.Addr, Checker: &Checker{Where: l.st.Pos().Place(), Kind: kind}}
	if l.key.Standing == Later {
		c.NotRun = l.kw + " is not supported yet: the server is not checked by it"
	}
	if kind == UDPCheck {
		c.MaxReply = 255
	}
	l.each(c.Checker, func(l *line) bool { return b.checkerKeyword(l, c) })
	if what, fix := c.useless(rs); what != "" {
		l.told = true
		l.warn("checker-dropped", what+"; the server counts as up without it", fix)
		return true
	}
	rs.checkers = append(rs.checkers, c)
	for _, h := range c.hosts {
		own := h.inherit.ConnectTimeout
		h.inherit, h.LogAll, h.HELOName = c.inherit, c.LogAll, c.HELOName
		h.inherit.ConnectTimeout = own
		rs.checkers = append(rs.checkers, h)
	}
	return true
}

// checkerKeyword reads what the table leaves to code, and what waits for the
// outer blocks' settings.
func (b *builder) checkerKeyword(l *line, c *checker) bool {
	switch l.kw {
	case "bindto", "connect_ip":
		return b.ends(l, c)
	case "bind_if", "bind_port", "fwmark":
		return false
	case "misc_path":
		l.command(&c.Misc, false)
		return true
	case "host":
		b.smtpHost(l, c)
		return true
	}
	switch c.Kind {
	case HTTPGet, SSLGet:
		if b.httpKeyword(l, c) {
			return true
		}
	case DNSCheck, UDPCheck, FileCheck, BFDCheck:
		if b.otherKeyword(l, c) {
			return true
		}
	}
	return l.into(c)
}

// ends reads an address of the check's connection, which has to be of the
// family of the other end as far as that is known.
func (b *builder) ends(l *line, c *checker) bool {
	dst, other, end := &c.BindTo, c.ConnectIP, "connect_ip"
	switch {
	case l.kw == "connect_ip":
		dst, other, end = &c.ConnectIP, c.BindTo, "bindto"
	case !other.IsValid():
		other, end = c.server, "the real server"
	}
	a := *dst
	if !l.address(&a) {
		return true
	}
	if other.IsValid() && family(other) != family(a) {
		l.refused++
		b.warn("bind-family", l.st.Words[1].Pos, fmt.Sprintf("%s %s is of another family than %s, %s, and is ignored", l.kw, a, end, other), fmt.Sprintf("%s with an IPv%d address", l.kw, family(other)))
		return true
	}
	*dst = a
	return true
}

// target is the address that a checker asks.
func (c *checker) target() netip.Addr {
	if c.ConnectIP.IsValid() {
		return c.ConnectIP
	}
	return c.server
}

// useless says why a checker cannot check anything, if so.
func (c *checker) useless(rs *realServer) (what, fix string) {
	if c.connects() && c.target().IsLinkLocalUnicast() && c.target().Is6() && c.BindIf == "" {
		return fmt.Sprintf("%s to the link-local address %s without bind_if is dropped", c.Kind, c.target()), "bind_if eth0"
	}
	switch {
	case c.Kind == MiscCheck && !c.Misc.Set():
		return "MISC_CHECK without misc_path is dropped", `misc_path "/path/to/check argument"`
	case (c.Kind == HTTPGet || c.Kind == SSLGet) && len(c.URLs) == 0:
		return string(c.Kind) + " without a url that has a path is dropped", "url { path / }"
	case c.Kind == FileCheck && c.Track.Name == "":
		return "FILE_CHECK without a track_file that is defined before it is dropped", "track_file NAME"
	case c.Kind == BFDCheck && c.Track.Name == "":
		return "BFD_CHECK without the name of a bfd_instance that is defined before it is dropped", "name NAME"
	case c.Kind == BFDCheck:
		for _, o := range rs.checkers {
			if o.Kind == BFDCheck && o.Track.Name == c.Track.Name {
				return fmt.Sprintf("BFD_CHECK of %s stands already at %s: this one is dropped", o.Track.Name, o.Where), "remove one"
			}
		}
	}
	return "", ""
}

// connects reports whether the check goes over the network.
func (c *checker) connects() bool {
	return c.Kind != MiscCheck && c.Kind != FileCheck && c.Kind != BFDCheck
}

// smtpHost is a further target of an SMTP_CHECK: a checker of its own that
// starts from the connection settings given so far. The other settings belong
// to all of them, as in keepalived.
func (b *builder) smtpHost(l *line, c *checker) {
	l.note("deprecated", "host blocks are an old way; each is a checker of its own, beside the one for the SMTP_CHECK itself", "one SMTP_CHECK per target")
	own := *c.Checker
	own.Where = l.st.Pos().Place()
	h := &checker{Checker: &own, at: l.st.Pos(), server: c.server, ConnectIP: c.ConnectIP, ConnectPort: c.ConnectPort}
	h.inherit.ConnectTimeout = c.inherit.ConnectTimeout
	l.each(h.Checker, func(l *line) bool {
		switch l.kw {
		case "connect_port", "connect_timeout":
			return l.into(h)
		case "bindto", "connect_ip":
			return b.ends(l, h)
		}
		return l.into(c)
	})
	c.hosts = append(c.hosts, h)
}
