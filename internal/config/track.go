package config

import (
	"fmt"
)

// trackInterfaces reads a track_interface block.
func (b *builder) trackInterfaces(l *line, dst *[]Track) {
	l.values(func(l *line) {
		t := Track{Where: l.st.Pos().Place()}
		if !l.iface(&t.Name) {
			return
		}
		l.trackWeight(&t)
		if !b.tracked(l, *dst, t.Name) {
			*dst = append(*dst, t)
		}
	})
}

// trackScripts reads a track_script block. A script has to be defined before.
func (b *builder) trackScripts(l *line, dst *[]Track) {
	l.values(func(l *line) {
		t := Track{Where: l.st.Pos().Place()}
		l.str(&t.Name)
		l.trackWeight(&t)
		if b.scripts[t.Name] == nil {
			b.missingScript(l, t.Name)
			return
		}
		if !b.tracked(l, *dst, t.Name) {
			*dst = append(*dst, t)
		}
	})
}

// missingScript says why a script cannot be tracked.
func (b *builder) missingScript(l *line, name string) {
	if at, ok := b.later[name]; ok && at.IsValid() {
		l.warn("script-not-before", fmt.Sprintf("vrrp_script %s is not usable here and is not tracked: it must be complete and stand before this line (it is at %s)", name, at.Place()), "move the vrrp_script up")
		return
	}
	what, fix := fmt.Sprintf("there is no vrrp_script %s; it is not tracked", name), "the name of a vrrp_script above this line, or no such line"
	if s := nearest(b.later, name); s != "" {
		what += "; did you mean " + s + "?"
		fix = s
	}
	l.warn("unknown-script", what, fix)
}

// tracked reports a second entry for the same thing.
func (b *builder) tracked(l *line, ts []Track, name string) bool {
	for _, t := range ts {
		if t.Name == name {
			l.warn("duplicate-track", fmt.Sprintf("%s is tracked already, at %s; this line is ignored", name, t.Where), "remove one")
			return true
		}
	}
	return false
}

// trackWeight reads [weight N [reverse|noreverse]].
func (l *line) trackWeight(t *Track) {
	// One that cannot be read is reported; the tracked thing's own counts then.
	t.HasWeight = l.accept("weight") && l.weight(&t.Weight, &t.Reverse, 253)
}
