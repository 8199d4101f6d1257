package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// line is one statement being built: its words, read one after the other.
type line struct {
	b     *builder
	st    *syntax.Statement
	path  string // of the block it stands in
	block Where  // where that begins
	kw    string
	key   *Keyword // kw in the table, nil for a line of a block of values
	next  int      // index of the next word to read
	// first is an earlier keyword of the same name in this block, for those of
	// which the first stays.
	first syntax.Pos
	// refused counts the words that have been refused.
	refused int
	told    bool // what kaname does not do with this line has been said
}

func (l *line) warn(rule, what, fix string) { l.b.report(finding.Warning, rule, l.st.Pos(), what, fix) }

func (l *line) note(rule, what, fix string) { l.b.report(finding.Note, rule, l.st.Pos(), what, fix) }

func (l *line) fail(rule, what, fix string) { l.b.report(finding.Error, rule, l.st.Pos(), what, fix) }

// left returns how many words have not been read.
func (l *line) left() int { return len(l.st.Words) - l.next }

// word reads the next word; a missing one is an Error, because keepalived ends
// at once over it, unless the table says that it goes on.
func (l *line) word() (syntax.Word, bool) {
	if l.left() == 0 {
		l.missing("")
		return syntax.Word{}, false
	}
	w := l.st.Words[l.next]
	l.next++
	return w, true
}

// missing reports that there is no further word.
func (l *line) missing(fix string) {
	l.refused++
	if fix == "" {
		fix = l.usage()
	}
	if l.key != nil && l.key.Ignored {
		l.warn("missing-value", l.kw+" needs a value; the line is ignored", fix)
		return
	}
	l.fail("missing-parameter", l.kw+" needs a parameter", fix)
}

// usage is the keyword with its range, or the word VALUE.
func (l *line) usage() string {
	if l.key != nil && l.key.Range != "" && !strings.HasPrefix(l.key.Range, "<=") {
		return l.kw + " " + l.key.Range
	}
	return l.kw + " VALUE"
}

// accept reads the next word if it is w.
func (l *line) accept(w string) bool {
	if l.left() > 0 && l.st.Words[l.next].Text == w {
		l.next++
		return true
	}
	return false
}

// end reports the words that nobody has read.
func (l *line) end() {
	if l.left() <= 0 {
		return
	}
	rule := "extra-words"
	if l.key != nil && l.key.Shape == syntax.ValueBlock {
		rule = "block-extra-words" // of which keepalived takes notice
	}
	var extra []string
	for _, w := range l.st.Words[l.next:] {
		extra = append(extra, w.Text)
	}
	l.b.report(finding.Warning, rule, l.st.Words[l.next].Pos,
		fmt.Sprintf("%s takes nothing more; %q is ignored", l.kw, strings.Join(extra, " ")), "one statement per line")
	l.next = len(l.st.Words)
}

// str reads a word into dst.
func (l *line) str(dst *string) {
	if w, ok := l.word(); ok {
		*dst = w.Text
	}
}

// integer reads a number between lo and hi. Where keepalived takes the digits
// of a word with junk behind them, lenient does so too and says it; otherwise
// a bad word leaves dst as it is.
func (l *line) integer(dst *int, lo, hi int, lenient bool) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	v, junk, ok := leadingInt(strings.TrimLeft(w.Text, " \t"))
	kept := strconv.Itoa(*dst)
	if *dst < lo {
		kept = "nothing"
	}
	switch {
	case !ok || junk != "" && !lenient:
		l.badValue(w, fmt.Sprintf("%s: %q is no number", l.kw, w.Text), fmt.Sprintf("a number from %d to %d", lo, hi), kept)
		return false
	case v < int64(lo) || v > int64(hi):
		l.badValue(w, fmt.Sprintf("%s must be between %d and %d, not %s", l.kw, lo, hi, w.Text), fmt.Sprintf("a number from %d to %d", lo, hi), kept)
		return false
	case junk != "":
		l.b.report(finding.Warning, "invalid-number", w.Pos, fmt.Sprintf("%s: %q is no number; %d is used", l.kw, w.Text, v), fmt.Sprintf("%s %d", l.kw, v))
	}
	*dst = int(v)
	return true
}

// badValue reports a word that is not used, and what is used instead.
func (l *line) badValue(w syntax.Word, what, fix, kept string) {
	l.badAs("invalid-value", w, what, fix, kept)
}

// badAs is badValue with a rule of its own.
func (l *line) badAs(rule string, w syntax.Word, what, fix, kept string) {
	l.refused++
	switch kept {
	case "":
	case "nothing":
		what += "; the line is ignored"
	default:
		what += "; " + kept + " is used"
	}
	l.b.report(finding.Warning, rule, w.Pos, what, fix)
}

// leadingInt reads the digits at the beginning of s.
func leadingInt(s string) (v int64, junk string, ok bool) {
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	from := i
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == from {
		return 0, s, false
	}
	v, err := strconv.ParseInt(s[:i], 10, 64)
	return v, s[i:], err == nil
}

// seconds reads decimal seconds between lo and hi. There are no units, so a
// word with one is refused.
func (l *line) seconds(dst *time.Duration, lo, hi time.Duration) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	d, ok := parseSeconds(strings.TrimLeft(w.Text, " \t"))
	if !ok {
		rule, fix := "invalid-value", "seconds without a unit, as 1.5"
		if v, _, ok := leadingInt(w.Text); ok && v >= 0 {
			rule, fix = "number-with-unit", fmt.Sprintf("%s %d", l.kw, v)
		}
		l.badAs(rule, w, fmt.Sprintf("%s: %q is no number of seconds", l.kw, w.Text), fix, keptSeconds(*dst))
		return false
	}
	if d < lo || d > hi {
		l.badValue(w, fmt.Sprintf("%s must be between %s and %s, not %s", l.kw, formatSeconds(lo), formatSeconds(hi), w.Text), fmt.Sprintf("from %s to %s", formatSeconds(lo), formatSeconds(hi)), keptSeconds(*dst))
		return false
	}
	l.rounded(w, 6, formatSeconds(d))
	*dst = d
	return true
}

// rounded reports a number with more decimal places than are kept.
func (l *line) rounded(w syntax.Word, places int, kept string) {
	if _, frac, _ := strings.Cut(w.Text, "."); len(frac) > places {
		l.b.report(finding.Warning, "rounded", w.Pos, fmt.Sprintf("%s: keepalived counts %d decimal places; %s is used", l.kw, places, kept), fmt.Sprintf("at most %d decimal places", places))
	}
}

// wholeSeconds reads seconds without a fraction, at most hi.
func (l *line) wholeSeconds(dst *time.Duration, hi int) {
	v := int(*dst / time.Second)
	l.integer(&v, 0, hi, true)
	*dst = time.Duration(v) * time.Second
}

// parseSeconds parses digits with an optional fraction; digits beyond
// microseconds are rounded.
func parseSeconds(s string) (time.Duration, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	if whole == "" && frac == "" || len(whole) > 10 {
		return 0, false
	}
	for _, c := range whole + frac {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	sec, _ := strconv.ParseInt("0"+whole, 10, 64)
	digits := (frac + "0000000")[:7]
	usec, _ := strconv.ParseInt(digits, 10, 64)
	return time.Duration(sec)*time.Second + time.Duration((usec+5)/10)*time.Microsecond, true
}

// keptSeconds is what stays when a line is refused; negative is nothing.
func keptSeconds(d time.Duration) string {
	if d < 0 {
		return "nothing"
	}
	return formatSeconds(d)
}

func formatSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

var trueWords = []string{"true", "on", "yes"}

// boolean reads an optional true/on/yes or false/off/no; none is true.
func (l *line) boolean(dst *bool) {
	if l.left() == 0 {
		*dst = true
		return
	}
	w, _ := l.word()
	switch w.Text {
	case "true", "on", "yes":
		*dst = true
	case "false", "off", "no":
		*dst = false
	default:
		l.badValue(w, fmt.Sprintf("%s: %q is neither true nor false; the line is ignored", l.kw, w.Text), l.kw+" true", "")
	}
}

// flag reads a keyword without parameter. `flag off` switches it on all the
// same, as in keepalived.
func (l *line) flag(dst *bool) {
	*dst = true
	if l.left() > 0 {
		w, _ := l.word()
		switch w.Text {
		case "false", "off", "no", "0":
			l.b.report(finding.Warning, "flag-with-value", w.Pos, fmt.Sprintf("%s takes no value and is switched ON by this line", l.kw), "remove the line to leave it off")
		default:
			l.next--
		}
	}
}

// address reads an IP address.
func (l *line) address(dst *netip.Addr) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	a, err := parseAddr(w.Text)
	if err != nil {
		l.badValue(w, fmt.Sprintf("%s: %q is no IP address; the line is ignored", l.kw, w.Text), "", "")
		return false
	}
	*dst = a
	return true
}

func isAddr(s string) bool {
	_, err := parseAddr(s)
	return err == nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && a.Zone() != "" {
		err = fmt.Errorf("%s: an address has no zone here", s)
	}
	return a, err
}

// iface reads an interface's name.
func (l *line) iface(dst *string) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	if !validInterface(w.Text) {
		l.badValue(w, fmt.Sprintf("%s: %q cannot be an interface's name (1 to 15 bytes, no slash, no blank)", l.kw, w.Text), "", "nothing")
		return false
	}
	*dst = w.Text
	return true
}

func validInterface(s string) bool {
	if s == "" || len(s) > 15 || s == "." || s == ".." {
		return false
	}
	return !strings.ContainsAny(s, "/ \t\n:")
}
