package config

import (
	"fmt"
	"strings"
)

// trackFile builds a track_file, or vrrp_track_file of old. Of two with the
// same name the first is used.
func (b *builder) trackFile(l *line) {
	name, ok := l.objectName()
	if !ok {
		return
	}
	f := &TrackFile{Where: l.st.Pos().Place(), Name: name, Weight: 1}
	l.each(f, func(l *line) bool {
		switch l.kw {
		case "file":
			if l.left() == 0 {
				l.refused++
				l.warn("missing-value", "file has no path; the line is ignored", "file /path/to/file")
				return true
			}
			return false
		case "weight":
			l.onceWeight(&f.Weight, &f.Reverse, 1)
		case "init_file":
			l.initFile(f)
		default:
			return false
		}
		return true
	})
	if f.File == "" {
		l.warn("file-missing", fmt.Sprintf("%s %s has no file and is dropped", l.kw, name), "file /path/to/file")
		return
	}
	if b.define(l, name, object{f.Where, f.Weight, f.Reverse}) {
		b.cfg.TrackFiles = append(b.cfg.TrackFiles, f)
	}
}

// onceWeight reads a weight up to 254 of which the first that is not def stays.
func (l *line) onceWeight(dst *int, reverse *bool, def int) {
	switch {
	case l.left() == 0:
		l.refused++
		l.warn("missing-value", "weight has no number; the line is ignored", "weight 10")
	case *dst != def:
		l.refused++
		l.next = len(l.st.Words)
		l.warn("repeated-first", fmt.Sprintf("weight is given again; the first one, %d, stays", *dst), "keep one")
	default:
		l.objectWeight(dst, reverse, 254)
	}
}

// initFile reads [VALUE] [overwrite].
func (l *line) initFile(f *TrackFile) {
	v := 0
	f.InitValue = &v
	for l.left() > 0 {
		w := l.st.Words[l.next]
		switch {
		case l.accept("overwrite"):
			f.InitOverwrite = true
		case strings.ContainsAny(w.Text[:min(1, len(w.Text))], "0123456789-+"):
			if !l.integer(&v, -1<<31, 1<<31-1, true) {
				return
			}
			if v < -254 || v > 254 {
				l.b.warn("invalid-value", w.Pos, fmt.Sprintf("init_file: %d is outside -254 to 254, which is all that a weight can use; it is written all the same", v), "a number from -254 to 254")
			}
		default:
			l.next++
			l.badValue(w, fmt.Sprintf("init_file knows no %q; it is ignored", w.Text), "init_file [VALUE] [overwrite]", "")
		}
	}
}
