package config

import "fmt"

// ssl builds the block SSL; of several the last counts, as of its lines.
func (b *builder) ssl(l *line) {
	if b.cfg.SSL != nil {
		l.warn("repeated-keyword", fmt.Sprintf("SSL is given again; it replaces the block at %s", b.cfg.SSL.Where), "keep one")
	}
	b.cfg.SSL = &SSL{Where: l.st.Pos().Place()}
	seen := map[string]Where{}
	l.each(b.cfg.SSL, func(l *line) bool {
		if first, ok := seen[l.kw]; ok {
			l.warn("repeated-keyword", fmt.Sprintf("%s is given again; it replaces the one at %s", l.kw, first), "keep one")
		}
		seen[l.kw] = l.st.Pos().Place()
		return false
	})
}
