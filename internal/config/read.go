package config

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// set reads the line as the keyword table says, into the field of the struct
// behind dst that is tagged with its keyword, kw:"…"; without such a field the
// line is read and checked all the same. It returns false when the table leaves
// the keyword to code of its own.
func (l *line) set(dst any) bool {
	k := l.key
	if k == nil || k.Shape != syntax.Plain || k.Args == ArgSpecial {
		return false
	}
	if l.repeated() {
		return true
	}
	f := field(dst, k)
	if k.Optional && l.left() == 0 {
		setBare(f, k)
		return true
	}
	switch k.Args {
	case ArgNone:
		l.setFlag(f)
	case ArgBool:
		l.setBool(f)
	case ArgUint, ArgInt, ArgPort:
		l.setNumber(f, k)
	case ArgDecimal:
		l.setDecimal(f, k)
	case ArgWord, ArgPath:
		l.setWord(f, k)
	case ArgIface:
		var s string
		if l.iface(&s) {
			store(f, s)
		}
	case ArgAddr:
		var a netip.Addr
		if l.address(&a) {
			store(f, a)
		}
	case ArgChoice:
		l.setChoice(f, k)
	default:
		l.setCommand(f, k)
	}
	return true
}

// into is set if dst has a field for the keyword, else it does nothing and
// returns false.
func (l *line) into(dst any) bool {
	return l.key != nil && field(dst, l.key).IsValid() && l.set(dst)
}

// repeated reports a keyword of which the first stays, and that it is there
// already. Commands tell by themselves.
func (l *line) repeated() bool {
	if l.key.Repeat != RepeatFirst || !l.first.IsValid() || l.key.Args == ArgCommand {
		return false
	}
	l.next = len(l.st.Words)
	l.warn("repeated-first", fmt.Sprintf("%s is given again; the first one, at %s, stays", l.kw, l.first.Place()), "keep one")
	return true
}

// store assigns v to a field, through a pointer if it is one.
func store(f reflect.Value, v any) {
	if !f.IsValid() {
		return
	}
	r := reflect.ValueOf(v)
	if f.Kind() == reflect.Pointer {
		p := reflect.New(f.Type().Elem())
		p.Elem().Set(r.Convert(f.Type().Elem()))
		f.Set(p)
		return
	}
	f.Set(r.Convert(f.Type()))
}

// bare is what an optional value is when it is missing, by the keyword's path.
var bare = map[string]any{
	"net_namespace_ipvs":                 "/",
	"global_defs/max_auto_priority":      maxRealtime,
	"global_defs/nftables":               "keepalived",
	"global_defs/nftables_ipvs":          "keepalived_ipvs",
	"global_defs/reload_check_config":    "/dev/null",
	"global_defs/reload_file":            "/run/keepalived.reload",
	"virtual_server/persistence_timeout": defaultPersistence,
}

// setBare stores what an optional value means when it is missing; without an
// entry in bare the word "yes" where a word could stand, so that the keyword is
// known to be there.
func setBare(f reflect.Value, k *Keyword) {
	if v, ok := bare[k.Path()]; ok {
		store(f, v)
		return
	}
	if k.Args == ArgWord || k.Args == ArgPath || k.Args == ArgChoice {
		store(f, "yes")
	}
}

func (l *line) setFlag(f reflect.Value) {
	var on bool
	l.flag(&on)
	store(f, on)
}

func (l *line) setBool(f reflect.Value) {
	n := l.refused
	var on bool
	if l.boolean(&on); l.refused == n {
		store(f, on)
	}
}

// bounds are the limits of a keyword's number, without LO or HI those of its
// kind.
func (k *Keyword) bounds() (lo, hi int64) {
	lo, hi = 0, math.MaxUint32
	if k.Args == ArgInt {
		lo, hi = math.MinInt32, math.MaxInt32
	}
	if k.Args == ArgPort {
		return 1, math.MaxUint16
	}
	a, b, ok := strings.Cut(k.Range, "..")
	if v, err := strconv.ParseInt(a, 10, 64); ok && err == nil {
		lo = v
	}
	if v, err := strconv.ParseInt(b, 10, 64); ok && err == nil {
		hi = v
	}
	return lo, hi
}

var units = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond}

// setNumber reads a whole number; in a field that is a duration it counts the
// keyword's unit.
func (l *line) setNumber(f reflect.Value, k *Keyword) {
	lo, hi := k.bounds()
	unit := time.Duration(1)
	if f.IsValid() && (f.Type() == reflect.TypeFor[time.Duration]() || f.Type() == reflect.TypeFor[*time.Duration]()) {
		unit = units[k.Unit]
	}
	v := int(lo) - 1
	if f.IsValid() {
		if g := reflect.Indirect(f); g.IsValid() {
			switch {
			case g.CanInt():
				v = int(g.Int() / int64(unit))
			case g.CanUint():
				v = int(g.Uint())
			}
		}
	}
	if l.integer(&v, int(lo), int(hi), !k.Strict) {
		store(f, int64(v)*int64(unit))
	}
}

// setDecimal reads a decimal number of the keyword's unit.
func (l *line) setDecimal(f reflect.Value, k *Keyword) {
	unit := units[k.Unit]
	a, b, _ := strings.Cut(k.Range, "..")
	lo, hi := scaled(a, unit, 0), scaled(b, unit, math.MaxInt32*time.Second)
	d := time.Duration(-1)
	if g := reflect.Indirect(f); f.IsValid() && g.IsValid() {
		if v, ok := reflect.TypeAssert[time.Duration](g); ok {
			d = v
		}
	}
	read := l.seconds
	if k.Unit == "ms" {
		read = l.milliseconds
	}
	if read(&d, lo, hi) {
		store(f, d)
	}
}

func scaled(s string, unit, missing time.Duration) time.Duration {
	d, ok := parseSeconds(s)
	if !ok {
		return missing
	}
	return time.Duration(float64(d) / float64(time.Second) * float64(unit))
}

// milliseconds reads decimal milliseconds between lo and hi.
func (l *line) milliseconds(dst *time.Duration, lo, hi time.Duration) bool {
	w, ok := l.word()
	if !ok {
		return false
	}
	d, ok := parseSeconds(w.Text)
	d /= 1000
	if !ok || d < lo || d > hi {
		l.badValue(w, fmt.Sprintf("%s must be between %v and %v, in milliseconds without a unit, not %q", l.kw, lo, hi, w.Text), "", fmt.Sprint(*dst))
		return false
	}
	l.rounded(w, 3, d.String())
	*dst = d
	return true
}

func (l *line) setWord(f reflect.Value, k *Keyword) {
	w, ok := l.word()
	if !ok {
		return
	}
	if k.Strict && l.left() > 0 {
		l.badValue(w, fmt.Sprintf("%s takes one word; the line is ignored", l.kw), fmt.Sprintf("%s %q", l.kw, words(l)), "")
		l.next = len(l.st.Words)
		return
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(k.Range, "<=")); err == nil && strings.HasPrefix(k.Range, "<=") && len(w.Text) > n {
		l.b.report(finding.Warning, "word-cut", w.Pos, fmt.Sprintf("%s has %d bytes; only the first %d count", l.kw, len(w.Text), n), fmt.Sprintf("a name of at most %d bytes", n))
		w.Text = w.Text[:n]
	}
	store(f, w.Text)
}

func (l *line) setChoice(f reflect.Value, k *Keyword) {
	kept := "nothing"
	if f.IsValid() && f.Kind() == reflect.String && f.String() != "" {
		kept = f.String()
	}
	if w, ok := l.oneOf(k.choices(), "", kept); ok {
		store(f, w)
	}
}

// oneOf reads one of the allowed words. Of another one it tells what happens
// instead: otherwise, and what is kept (see badValue).
func (l *line) oneOf(allowed []string, otherwise, kept string) (string, bool) {
	w, ok := l.word()
	if !ok || slices.Contains(allowed, w.Text) {
		return w.Text, ok
	}
	what := fmt.Sprintf("%s knows no %q", l.kw, w.Text)
	if s := nearestOf(slices.Sorted(slices.Values(allowed)), w.Text); s != "" {
		what += "; did you mean " + s + "?"
	}
	l.badAs("unknown-choice", w, what+otherwise, l.kw+" "+strings.Join(allowed, " | "), kept)
	return "", false
}

// setCommand reads commands, FIFOs and users.
func (l *line) setCommand(f reflect.Value, k *Keyword) {
	switch k.Args {
	case ArgCommand, ArgCommand1:
		var c Command
		if f.IsValid() {
			if old, ok := reflect.TypeAssert[Command](f); ok {
				c = old
			}
		}
		l.command(&c, k.Args == ArgCommand)
		store(f, c)
	case ArgFIFO:
		p := FIFO{Where: l.st.Pos().Place()}
		if w, ok := l.word(); ok {
			p.Path = w.Text
			if l.left() > 0 {
				l.user(&p.User)
			}
			store(f, p)
		}
	case ArgUser:
		var u User
		if l.user(&u); u.Name != "" {
			store(f, u)
		}
	}
}

// tagged are the fields of a struct type by their keyword.
type tagged map[string][]int

var fieldCache sync.Map // reflect.Type -> tagged

// field returns the field of *dst that is tagged with the keyword or, for an old
// spelling, with the new one; invalid when there is none.
func field(dst any, k *Keyword) reflect.Value {
	if dst == nil {
		return reflect.Value{}
	}
	v := reflect.ValueOf(dst).Elem()
	t, ok := fieldCache.Load(v.Type())
	if !ok {
		m := tagged{}
		m.add(v.Type(), nil)
		t, _ = fieldCache.LoadOrStore(v.Type(), m)
	}
	index, ok := t.(tagged)[k.Name]
	if !ok && k.Same != "" {
		index, ok = t.(tagged)[k.Same]
	}
	if !ok {
		return reflect.Value{}
	}
	return v.FieldByIndex(index)
}

// add collects the tags of a struct and of the untagged structs inside it.
func (m tagged) add(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(at), i)
		switch kw := f.Tag.Get("kw"); {
		case kw != "":
			m[kw] = index
		case f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == t.PkgPath():
			m.add(f.Type, index)
		}
	}
}

// setDecimalOf reads a decimal number as the table has it into dst.
func (l *line) setDecimalOf(dst *time.Duration) bool {
	n := l.refused
	l.setDecimal(reflect.ValueOf(dst).Elem(), l.key)
	return l.refused == n
}
