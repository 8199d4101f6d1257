package format

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Options are what Modern depends on besides the file.
type Options struct {
	// Load is how configurations are loaded for the proof.
	Load config.Options
	// Mains are the files that include the one at hand; without any it is a
	// main file itself.
	Mains []Main
}

// Main is a file, and the name by which it includes the one at hand.
type Main struct{ File, As string }

// Result is a file with today's spellings.
type Result struct {
	Text string
	// Changes say what was changed (Note) and what was not, and why (Warning),
	// by the lines of the file as it was.
	Changes []finding.Finding
}

// Modern formats the content of the named file, puts today's keywords for old
// spellings, and takes out lines that say nothing: overridden ones, repeats of
// which the first counts, keywords without effect. Their comments stay. What a
// keyword of keepalived's past says becomes a comment. New words are those that
// 2.2.7 knows, if it knows the old ones.
//
// No change alters the typed configuration: every main file is loaded with the
// old and the new text, for each config id that occurs, and what would make a
// difference, or a new finding, is left and reported. Only words that stand in
// this file as they are read change, and only statements on lines of their own
// without mark or definition are taken out.
func Modern(files syntax.Files, name, content string, o Options) Result {
	if tooLong(content) {
		return Result{Text: content}
	}
	bare, marked := strings.CutPrefix(content, BOM)
	text, from := layout(name, bare)
	m := &modernizer{name: name, proof: newProof(files, name, content, o), text: text, from: from}
	if marked {
		m.report(finding.Note, 0, "byte order mark removed: keepalived loses the first block over it")
	}
	m.settle(m.spellings(m.proof.load(m.text)))
	// A line that is gone may have been what was wrong with another.
	for range maxRounds {
		if !m.settle(m.removals(m.proof.load(m.text))) {
			break
		}
	}
	text, _ = layout(name, m.text)
	if d := m.proof.difference(text); d != "" { // no known text comes here
		m.changes = nil
		m.report(finding.Warning, 0, "only the layout is changed: "+d)
		text = Format(name, content)
	}
	slices.SortFunc(m.changes, func(a, b finding.Finding) int {
		return cmp.Or(cmp.Compare(a.Where.Line, b.Where.Line), cmp.Compare(a.What, b.What))
	})
	return Result{Text: text, Changes: slices.CompactFunc(m.changes, func(a, b finding.Finding) bool { return a == b })}
}

const maxRounds = 8

// modernizer is one call of Modern.
type modernizer struct {
	name    string
	proof   *proof
	text    string // in canonical layout, as far as it has come
	from    []int  // the line of the original by that of text
	changes []finding.Finding
}

// report adds a finding about a line of text, counted from 0.
func (m *modernizer) report(s finding.Severity, line int, what string) {
	at := finding.Place{File: m.name, Line: 1}
	if line < len(m.from) {
		at.Line = m.from[line]
	}
	m.changes = append(m.changes, finding.Finding{Severity: s, Rule: "modern", Where: at, What: what})
}

// edit replaces n bytes of a line by text; with whole the line goes when
// nothing is left.
type edit struct {
	line, col, n int // counted from 0
	text         string
	whole        bool
	what         string // is told when the change is made
	otherwise    string // is told with the difference when it is not
}

// settle makes the changes that alter nothing, reports all, and says whether
// there was one to make.
func (m *modernizer) settle(edits []edit) bool {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col)) })
	good := m.harmless(nil, edits)
	for _, e := range good {
		m.report(finding.Note, e.line, e.what)
	}
	m.text, m.from = apply(m.text, m.from, good)
	return len(good) > 0
}

// harmless returns those of the edits that can be made, on top of base,
// without altering the configuration: all at once if they can, else half by
// half.
func (m *modernizer) harmless(base, edits []edit) []edit {
	if len(edits) == 0 {
		return base
	}
	all := slices.Concat(base, edits)
	text, _ := apply(m.text, m.from, all)
	d := m.proof.difference(text)
	if d == "" {
		return all
	}
	if len(edits) == 1 {
		m.report(finding.Warning, edits[0].line, edits[0].otherwise+d)
		return base
	}
	half := len(edits) / 2
	return m.harmless(m.harmless(base, edits[:half]), edits[half:])
}

// apply makes the edits, which are in the order of the text.
func apply(text string, from []int, edits []edit) (string, []int) {
	var b strings.Builder
	var left []int
	n := 0
	for l := range strings.Lines(text) {
		gone := false
		first := 0
		for first < len(edits) && edits[first].line == n {
			first++
		}
		for _, e := range slices.Backward(edits[:first]) {
			l = l[:e.col] + e.text + l[e.col+e.n:]
			gone = gone || e.whole
		}
		edits = edits[first:]
		if !gone || strings.Trim(l, blanks+"\n") != "" {
			b.WriteString(l)
			left = append(left, from[n])
		}
		n++
	}
	return b.String(), left
}
