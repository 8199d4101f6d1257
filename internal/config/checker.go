package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// checker is a checker while it is being built.
type checker struct {
	*Checker
	at          syntax.Pos
	inherit     inherit
	connectIP   netip.Addr
	connectPort int
	miscTimeout *time.Duration
}

// connectKeyword reads what all checkers that connect have in common.
func (b *builder) connectKeyword(l *line, c *checker) bool {
	switch l.kw {
	case "connect_ip":
		l.address(&c.connectIP)
	case "connect_port":
		l.integer(&c.connectPort, 1, 65535, false)
	case "bindto":
		a := c.BindTo
		if l.address(&a) {
			if c.connectIP.IsValid() && c.connectIP.Is4() != a.Is4() {
				l.warn("other-family", "bindto is of another family than connect_ip and is ignored", "")
				return true
			}
			c.BindTo = a
		}
	case "bind_port":
		v := 0
		if l.integer(&v, 1, 65535, false) {
			c.BindPort = uint16(v)
		}
	case "bind_if":
		l.iface(&c.BindIf)
	case "connect_timeout":
		return c.inherit.keyword(l, 0)
	default:
		return false
	}
	return true
}

func (b *builder) miscKeyword(l *line, c *checker, user *User) bool {
	switch l.kw {
	case "misc_path":
		l.command(&c.Misc, false)
	case "misc_timeout":
		var d time.Duration
		if l.wholeSeconds(&d, maxDelay) {
			c.miscTimeout = &d
		}
	case "misc_dynamic":
		l.flag(&c.MiscDynamic)
	case "user":
		l.user(user)
	default:
		return false
	}
	return true
}

func (b *builder) httpKeyword(l *line, c *checker) bool {
	switch l.kw {
	case "url":
		b.url(l, c)
	case "virtualhost":
		l.str(&c.VirtualHost)
	case "fast_recovery":
		l.boolean(&c.FastRecovery)
	case "nb_get_retry":
		l.note("deprecated", "nb_get_retry is an old name of retry", "retry "+words(l))
		c.inherit.keyword(&line{b: b, st: l.st, path: l.path, kw: "retry", next: l.next}, 0)
		l.next = min(2, len(l.st.Words))
	case "http_protocol":
		v := c.HTTPVersion
		if l.left() > 0 && l.st.Words[1].Text == "1.0c" {
			l.next++
			c.HTTPVersion = "1.0C"
			return true
		}
		if b.choice(l, &v, "1.0", "1.1", "1.0C") {
			c.HTTPVersion = v
		}
	case "enable_sni", "sni_name":
		l.note("no-effect", l.kw+" has no effect in HTTP_GET, which uses no TLS", "")
		l.next = len(l.st.Words)
	default:
		return false
	}
	return true
}

func (b *builder) url(l *line, c *checker) {
	u := URL{Where: l.st.Pos().Place()}
	l.each(&u, func(l *line) bool {
		switch l.kw {
		case "path":
			l.str(&u.Path)
		case "digest":
			b.digest(l, &u)
		case "status_code":
			b.statusCodes(l, &u)
		case "virtualhost":
			l.str(&u.VirtualHost)
		default:
			return false
		}
		return true
	})
	if u.Path == "" {
		l.warn("checker-dropped", "url without path is dropped", "path /")
		return
	}
	c.URLs = append(c.URLs, u)
}

func (b *builder) digest(l *line, u *URL) {
	w, ok := l.word()
	switch {
	case !ok:
	case u.Digest != "":
		l.warn("repeated-keyword", "digest is given again; the first one stays", "keep one")
	case len(w.Text) != 32 || strings.Trim(strings.ToLower(w.Text), "0123456789abcdef") != "":
		l.badValue(w, fmt.Sprintf("digest is an MD5 of 32 hex digits, not %q; the body is not compared", w.Text), "", "")
	default:
		u.Digest = strings.ToLower(w.Text)
	}
}

// statusCodes reads N or N-M, any number of them.
func (b *builder) statusCodes(l *line, u *URL) {
	if l.left() == 0 {
		l.word()
		return
	}
	for l.left() > 0 {
		w, _ := l.word()
		from, to, ranged := cutByte(w.Text, '-')
		if !ranged {
			to = from
		}
		lo, junk1, ok1 := leadingInt(from)
		hi, junk2, ok2 := leadingInt(to)
		if !ok1 || !ok2 || junk1+junk2 != "" || lo < 100 || hi > 599 || lo > hi {
			l.badValue(w, fmt.Sprintf("status_code is a number or range from 100 to 599, not %q; it is ignored", w.Text), "status_code 200-299", "")
			continue
		}
		u.Statuses = append(u.Statuses, StatusRange{int(lo), int(hi)})
	}
}
