package config

import (
	"fmt"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// object is something that instances can track, of which there is one by a
// name: the first.
type object struct {
	at      Where
	weight  int
	reverse bool
}

// objects are what can be tracked: by the keyword that defines it, then by name.
type objects struct {
	defined map[string]map[string]object
	ahead   map[string]map[string]syntax.Pos // names anywhere in the file
}

func newObjects() objects {
	return objects{map[string]map[string]object{}, map[string]map[string]syntax.Pos{}}
}

// kindOf is the keyword under which objects of a defining block are kept.
func kindOf(kw string) string {
	switch kw {
	case "vrrp_script", "vrrp_track_process", "track_file", "bfd_instance":
		return kw
	case "vrrp_track_file":
		return "track_file"
	}
	return ""
}

// announce remembers that a name is defined somewhere in the file.
func (o *objects) announce(l *line) {
	kind := kindOf(l.kw)
	if kind == "" || len(l.st.Words) < 2 {
		return
	}
	if o.ahead[kind] == nil {
		o.ahead[kind] = map[string]syntax.Pos{}
	}
	o.ahead[kind][l.st.Words[1].Text] = l.st.Pos()
}

// define adds an object; of two by one name the first is used, and false is
// returned for the second, which has been reported.
func (b *builder) define(l *line, name string, o object) bool {
	kind := kindOf(l.kw)
	m := b.objects.defined[kind]
	if m == nil {
		m = map[string]object{}
		b.objects.defined[kind] = m
	}
	if first, ok := m[name]; ok {
		rule := "duplicate-script" // of which keepalived takes no notice
		if kind == "bfd_instance" {
			rule = "duplicate-name"
		}
		l.warn(rule, fmt.Sprintf("%s %s is defined again; the first one, at %s, is used", l.kw, name, first.at), "give it another name")
		return false
	}
	m[name] = o
	return true
}

// object builds the blocks that define something to track.
func (b *builder) object(l *line) bool {
	switch l.kw {
	case "vrrp_script":
		b.script(l)
	case "track_file", "vrrp_track_file":
		b.trackFile(l)
	case "vrrp_track_process":
		b.trackProcess(l)
	case "bfd_instance":
		b.bfd(l)
	default:
		return false
	}
	return true
}

// tracker is a kind of track_* block.
type tracker struct {
	kind string // keyword that defines what it tracks, "" for interfaces
	most int    // largest weight, that of keepalived's message
	read int    // largest weight that is read at all, cut to most
}

var trackers = map[string]tracker{
	"track_interface": {"", 253, 254},
	"track_script":    {"vrrp_script", 253, 254},
	"track_file":      {"track_file", 254, 254},
	"track_process":   {"vrrp_track_process", 254, 254},
	"track_bfd":       {"bfd_instance", 253, 253},
}

// tracking reads the track_* blocks of an instance or a sync group.
func (b *builder) tracking(l *line, t *Tracking, owner string) bool {
	dst := t.lists()[l.kw]
	if dst == nil {
		return false
	}
	seen := map[string]Where{}
	for _, t := range *dst {
		seen[t.Name] = t.Where
	}
	l.values(func(l *line) { b.track(l, dst, seen, owner) })
	return true
}

// track reads NAME [weight N [reverse|noreverse]]; seen are those before.
func (b *builder) track(l *line, dst *[]Track, seen map[string]Where, owner string) {
	kind := trackers[l.kw]
	t := Track{Where: l.st.Pos().Place()}
	if kind.kind == "" && !l.iface(&t.Name) {
		l.next = len(l.st.Words)
		return
	} else if kind.kind != "" {
		l.str(&t.Name)
	}
	if kind.kind != "" {
		if _, ok := b.objects.defined[kind.kind][t.Name]; !ok {
			b.missingObject(l, kind.kind, t.Name)
			l.next = len(l.st.Words)
			return
		}
	}
	if first, twice := seen[t.Name]; twice {
		l.warn("duplicate-track", fmt.Sprintf("%s is tracked already, at %s; this line is ignored", t.Name, first), "remove one")
		l.next = len(l.st.Words)
		return
	}
	if l.trackWeight(&t, kind, owner) {
		seen[t.Name] = t.Where
		*dst = append(*dst, t)
	}
}

// missingObject says why something cannot be tracked.
func (b *builder) missingObject(l *line, kind, name string) {
	if at, ok := b.objects.ahead[kind][name]; ok && at.IsValid() {
		l.warn("script-not-before", fmt.Sprintf("%s %s is not usable here and is not tracked: it must be complete and stand before this line (it is at %s)", kind, name, at.Place()), "move the "+kind+" up")
		return
	}
	what, fix := fmt.Sprintf("there is no %s %s; it is not tracked", kind, name), "the name of a "+kind+" above this line, or no such line"
	if s := nearestName(b, b.objects.ahead[kind], name); s != "" {
		what += "; did you mean " + s + "?"
		fix = s
	}
	l.warn("unknown-script", what, fix)
}

// trackWeight reads [weight N [reverse|noreverse]]. A number that cannot be used
// leaves the tracked object's own weight; another word in the weight's place, or
// no number, makes keepalived ignore the line, and false is returned.
func (l *line) trackWeight(t *Track, kind tracker, owner string) bool {
	if l.left() == 0 {
		return true
	}
	w := l.st.Words[l.next]
	switch {
	case w.Text != "weight":
		fix := "weight N, or nothing"
		if w.Text == "reverse" || w.Text == "noreverse" {
			fix = "weight N " + w.Text
		} else if nearestOf([]string{"weight"}, w.Text) != "" {
			fix = "weight N; did you mean weight?"
		}
		l.b.warn("unknown-option", w.Pos, fmt.Sprintf("%s has no option %q here; the line is ignored and %s does not track %s", l.kw, w.Text, owner, t.Name), fix)
		l.next = len(l.st.Words)
		return false
	case l.left() == 1:
		l.b.warn("missing-value", w.Pos, fmt.Sprintf("weight has no number; the line is ignored and %s does not track %s", owner, t.Name), "weight 10")
		l.next = len(l.st.Words)
		return false
	}
	l.next++
	t.Weight = l.b.objects.defined[kind.kind][t.Name].weight // what counts if this one cannot
	block := l.kw
	l.kw = "weight"
	t.HasWeight = l.weight(&t.Weight, kind.most, kind.read)
	l.kw = block
	if !t.HasWeight {
		t.Weight = 0
		l.next = len(l.st.Words)
		return true
	}
	l.reverse(&t.Reverse)
	if l.left() > 0 {
		w := l.st.Words[l.next]
		l.b.warn("unknown-option", w.Pos, fmt.Sprintf("behind a weight stands reverse, noreverse or nothing, not %q; it is ignored", w.Text), "remove "+w.Text)
		l.next = len(l.st.Words)
	}
	return true
}

// weight reads a weight of at most read either way, and cuts it to most. What
// cannot be read is reported and leaves dst.
func (l *line) weight(dst *int, most, read int) bool {
	w := l.st.Words[min(l.next, len(l.st.Words)-1)]
	v := *dst
	if !l.integer(&v, -read, read, true) {
		return false
	}
	if v > most || v < -most {
		cut := max(-most, min(most, v))
		l.badValue(w, fmt.Sprintf("%s must be between %d and %d, not %d", l.kw, -most, most, v), "", fmt.Sprint(cut))
		v = cut
	}
	*dst = v
	return true
}

// reverse reads the word that swaps a weight's sign.
func (l *line) reverse(dst *bool) {
	switch {
	case l.accept("reverse"):
		*dst = true
	case l.accept("noreverse"):
		*dst = false
	}
}

// trackedWeight is the weight that counts for a line of a track_* block.
func (b *builder) trackedWeight(kw string, t Track) int {
	if t.HasWeight {
		return t.Weight
	}
	return b.objects.defined[trackers[kw].kind][t.Name].weight
}
