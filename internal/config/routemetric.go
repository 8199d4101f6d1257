package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// metric is an option of a route that is kept as it is written: [lock] VALUE.
type metric struct {
	lock  bool
	most  uint64   // of a number; 0: no number
	time  bool     // a number with s, ms, us or nothing behind it
	words []string // allowed instead of a number; none: any word
}

var metrics = map[string]metric{
	"mtu": {lock: true, most: 1<<32 - 1}, "hoplimit": {most: 255}, "advmss": {lock: true, most: 1<<32 - 1},
	"rtt": {lock: true, time: true}, "rttvar": {lock: true, time: true}, "rto_min": {lock: true, time: true},
	"reordering": {lock: true, most: 1<<32 - 1}, "window": {most: 1<<32 - 1}, "cwnd": {lock: true, most: 1<<32 - 1},
	"ssthresh": {lock: true, most: 1<<32 - 1}, "initcwnd": {most: 1<<32 - 1}, "initrwnd": {most: 1<<32 - 1},
	"quickack": {most: 1}, "fastopen_no_cookie": {most: 1}, "expires": {most: 1<<32 - 1}, "congctl": {lock: true},
	"pref": {most: 255, words: []string{"low", "medium", "high"}}, "ttl-propagate": {words: []string{"enabled", "disabled"}},
	"realms": {}, "features": {words: []string{"ecn"}},
}

// metric reads the value of an option of the table.
func (r *routeLine) metric(opt syntax.Word, m metric) {
	words := []string{opt.Text}
	if m.lock && r.left() > 1 && r.accept("lock") {
		words = append(words, "lock")
	}
	w, ok := r.word()
	if !ok {
		r.drop = true
		return
	}
	v := strings.TrimLeft(w.Text, " ")
	n, err := strconv.ParseUint(v, 10, 32)
	number := m.most > 0 && err == nil && n <= m.most
	switch {
	case opt.Text == "features" && !slices.Contains(m.words, v):
		r.ignore("unknown-option", w, fmt.Sprintf("there is no feature %q", v), "features ecn")
		return
	case opt.Text == "realms" && !validRealms(v), m.time && !validTime(v), !number && !slices.Contains(m.words, v) && (m.most > 0 || len(m.words) > 0):
		r.reject(w, fmt.Sprintf("%s %q is %s", opt.Text, v, m.wanted()), "")
		return
	}
	r.Route.Options = append(r.Route.Options, append(words, v)...)
}

// wanted says what a value is not.
func (m metric) wanted() string {
	switch {
	case m.time:
		return "no time: a number with s, ms, us or nothing behind it"
	case m.most > 0 && len(m.words) > 0:
		return fmt.Sprintf("neither %s nor a number up to %d", strings.Join(m.words, ", "), m.most)
	case m.most > 0:
		return fmt.Sprintf("no number from 0 to %d", m.most)
	case len(m.words) > 0:
		return "none of " + strings.Join(m.words, ", ")
	}
	return "no realm: [FROM/]TO"
}

func validTime(s string) bool {
	s = strings.TrimRight(s, "musecn")
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// validRealms reports whether s is [FROM/]TO, each a number or a name.
func validRealms(s string) bool {
	from, to, two := strings.Cut(s, "/")
	for _, r := range []string{from, to} {
		if _, err := strconv.ParseUint(r, 0, 16); err != nil && (r != "" || r == from) && (two || r != "") {
			return false
		}
	}
	return from != ""
}

// encapWords are the words that can stand in encap TYPE ….
var encapWords = map[string][]string{
	"ip":   {"id", "dst", "src", "tos", "ttl", "flags"},
	"ip6":  {"id", "dst", "src", "tc", "hoplimit", "flags"},
	"mpls": {"ttl"},
	"ila":  {"csum-mode", "ident-type", "hook-type"},
}

// encap reads encap TYPE and its parameters, as written.
func (r *routeLine) encap(dst *[]string) {
	w, ok := r.word()
	if !ok {
		r.drop = true
		return
	}
	words, known := encapWords[w.Text]
	if !known {
		r.reject(w, fmt.Sprintf("encap knows no %q", w.Text), "encap ip, ip6, mpls or ila")
		return
	}
	*dst = append(*dst, "encap", w.Text)
	if w.Text == "mpls" || w.Text == "ila" { // the label or locator
		v, ok := r.word()
		r.drop = r.drop || !ok
		*dst = append(*dst, v.Text)
	}
	for r.left() > 1 && slices.Contains(words, r.st.Words[r.next].Text) {
		*dst = append(*dst, r.st.Words[r.next].Text, r.st.Words[r.next+1].Text)
		r.next += 2
	}
}
