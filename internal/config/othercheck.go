package config

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// otherKeyword reads what the table leaves to code in DNS_CHECK, UDP_CHECK,
// FILE_CHECK and BFD_CHECK.
func (b *builder) otherKeyword(l *line, c *checker) bool {
	switch l.kw {
	case "type":
		b.dnsType(l, c)
	case "name":
		if c.Kind == BFDCheck {
			b.bfdName(l, c)
			return true
		}
		return b.dnsName(l)
	case "payload":
		if l.left() == 0 {
			l.word()
			return true
		}
		if s, ok := l.hex("0123456789abcdef"); ok {
			c.Payload = s
		}
	case "require_reply":
		c.RequireReply = true
		if s, ok := l.hex("0123456789abcdefx"); ok {
			c.Reply = s
		}
	case "track_file":
		b.fileName(l, c)
	case "weight":
		b.fileWeight(l, c)
	default:
		return false
	}
	return true
}

// dnsTypes are the queries that DNS_CHECK can make.
var dnsTypes = []string{"A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"}

func (b *builder) dnsType(l *line, c *checker) {
	w, ok := l.word()
	switch t := upper(w.Text); {
	case !ok:
	case slices.Contains(dnsTypes, t):
		c.DNSType = t
	default:
		l.badAs("unknown-choice", w, fmt.Sprintf("DNS_CHECK has no type %q", w.Text), "type "+strings.Join(dnsTypes, " | "), cmp.Or(c.DNSType, "SOA"))
	}
}

// dnsName refuses a name with an empty label; any other is the table's.
func (b *builder) dnsName(l *line) bool {
	w, ok := l.peek()
	if !ok || l.first.IsValid() {
		return false
	}
	if s := strings.TrimSuffix(w.Text, "."); strings.HasPrefix(s, ".") || strings.Contains(s, "..") {
		l.next++
		l.badValue(w, fmt.Sprintf("name: %q has an empty label", w.Text), "", "nothing")
		return true
	}
	return false
}

// hex reads digits, with blanks anywhere, as lower case without them.
func (l *line) hex(digits string) (string, bool) {
	var s strings.Builder
	for l.left() > 0 {
		w, _ := l.word()
		t := strings.ToLower(w.Text)
		if strings.Trim(t, digits) != "" {
			l.badValue(w, fmt.Sprintf("%s: %q is not made of hex digits", l.kw, w.Text), "", "nothing")
			l.next = len(l.st.Words)
			return "", false
		}
		if len(t)%2 != 0 {
			t = "0" + t
		}
		s.WriteString(t)
	}
	return s.String(), true
}

// fileName is the track_file of a FILE_CHECK, which has to stand before it.
func (b *builder) fileName(l *line, c *checker) {
	w, ok := l.word()
	switch {
	case !ok:
	case !b.defined["track_file "+w.Text] && !b.defined["vrrp_track_file "+w.Text]:
		b.unfound(l, w, "track_file")
	default:
		c.Track.Where, c.Track.Name = l.st.Pos().Place(), w.Text
	}
}

func (b *builder) bfdName(l *line, c *checker) {
	w, ok := l.word()
	switch {
	case !ok:
	case c.Track.Name != "":
		l.warn("repeated-first", fmt.Sprintf("name is given again; the first one, %s, stays", c.Track.Name), "keep one")
	case !b.defined["bfd_instance "+w.Text]:
		b.unfound(l, w, "bfd_instance")
	default:
		c.Track.Where, c.Track.Name = l.st.Pos().Place(), w.Text
	}
}

// fileWeight reads what the file's number is multiplied with.
func (b *builder) fileWeight(l *line, c *checker) {
	v := c.Track.Weight
	if !c.Track.HasWeight {
		v = math.MinInt32
	}
	if !l.integer(&v, -math.MaxInt32, math.MaxInt32, false) {
		return
	}
	c.Track.Weight, c.Track.HasWeight = v, true
	switch w, ok := l.peek(); {
	case !ok:
	case l.accept("reverse"):
		c.Track.Reverse = true
	case l.accept("noreverse"):
		c.Track.Reverse = false
	default:
		l.next++
		b.warn("unknown-weight-option", w.Pos, fmt.Sprintf("weight knows no %q; it is ignored", w.Text), "weight N reverse | noreverse")
	}
}

// unfound reports that what is to be tracked does not stand before here.
func (b *builder) unfound(l *line, w syntax.Word, kind string) {
	what := fmt.Sprintf("there is no %s %s before this line; the line is ignored", kind, w.Text)
	set := map[string]bool{}
	for k := range b.defined {
		if n, ok := strings.CutPrefix(k, kind+" "); ok {
			set[n] = true
		}
	}
	if s := nearest(set, w.Text); s != "" {
		what += "; did you mean " + s + "?"
	}
	l.refused++
	b.warn("unknown-tracked", w.Pos, what, fmt.Sprintf("%s %s { ... } before the virtual_server", kind, w.Text))
}
