package config

import "fmt"

// trackProcess builds a vrrp_track_process. Of two with the same name the first
// is used.
func (b *builder) trackProcess(l *line) {
	name, ok := l.objectName()
	if !ok {
		return
	}
	p := &TrackProcess{Where: l.st.Pos().Place(), Name: name, Quorum: 1, QuorumMax: -1}
	l.each(p, func(l *line) bool {
		switch l.kw {
		case "process":
			l.process(p)
		case "param_match":
			l.paramMatch(p)
		case "weight":
			l.onceWeight(&p.Weight, &p.Reverse, 0)
		case "quorum", "quorum_max":
			l.processQuorum(p)
		case "delay":
			d := p.TerminateDelay
			if l.setDecimalOf(&d) {
				p.TerminateDelay, p.ForkDelay = d, d
			}
		default:
			return false
		}
		return true
	})
	if len(p.Process) == 0 {
		l.warn("process-missing", fmt.Sprintf("vrrp_track_process %s has no process and is dropped", name), "process NAME")
		return
	}
	if p.ParamMatch == "" && len(p.Process) > 1 {
		p.ParamMatch = "exact"
	}
	if b.define(l, name, object{p.Where, p.Weight, p.Reverse}) {
		b.cfg.TrackProcesses = append(b.cfg.TrackProcesses, p)
	}
}

// process reads NAME_OR_PATH [ARGS].
func (l *line) process(p *TrackProcess) {
	if l.repeated() {
		return
	}
	w, ok := l.word()
	if !ok {
		return
	}
	p.Process = []string{w.Text}
	for l.left() > 0 {
		w, _ = l.word()
		p.Process = append(p.Process, w.Text)
	}
}

// paramMatch reads [initial|partial].
func (l *line) paramMatch(p *TrackProcess) {
	if l.left() == 0 {
		p.ParamMatch = "exact"
		return
	}
	w, _ := l.word()
	if w.Text != "initial" && w.Text != "partial" {
		l.badValue(w, fmt.Sprintf("param_match knows no %q; the line is ignored", w.Text), "param_match initial or param_match partial", "")
		return
	}
	p.ParamMatch = w.Text
}

// processQuorum reads quorum and quorum_max, of which the second must not be
// below the first.
func (l *line) processQuorum(p *TrackProcess) {
	q, most := p.Quorum, p.QuorumMax
	ok := false
	w := l.st.Words[min(1, len(l.st.Words)-1)]
	if l.kw == "quorum" {
		ok = l.integer(&q, 1, 65535, true)
	} else {
		ok = l.integer(&most, 0, 65535, true)
	}
	switch {
	case !ok:
	case l.kw == "quorum" && most >= 0 && q > most:
		l.badValue(w, fmt.Sprintf("quorum %d is above quorum_max %d; the line is ignored", q, most), "quorum_max 0 alone, when no such process may run", "")
	case l.kw == "quorum_max" && most > 0 && most < q:
		l.badValue(w, fmt.Sprintf("quorum_max %d is below quorum %d; the line is ignored", most, q), "", "")
	default:
		p.Quorum, p.QuorumMax = q, most
	}
}
