package config

// ssl builds the block SSL; of several the last counts, as of its lines.
func (b *builder) ssl(l *line) {
	b.cfg.SSL = &SSL{Where: l.st.Pos().Place()}
	l.each(b.cfg.SSL, func(*line) bool { return false })
}
