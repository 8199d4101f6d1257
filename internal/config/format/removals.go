package format

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// mixed are keywords of which each one sets a part, so that a later one does
// not replace an earlier one, or does so only for some values.
var mixed = []string{
	"global_defs/lvs_timeouts", "track_file/weight", "vrrp_track_file/weight", "vrrp_track_process/weight",
	"vrrp_instance/use_vmac", "vrrp_instance/use_ipvlan",
}

// plain are keywords with code of their own of which a later one replaces an
// earlier one wholly. Of others with such code that is not taken for granted.
var plain = []string{
	"virtual_server/lb_algo", "virtual_server/lvs_sched", "virtual_server/lb_kind", "virtual_server/lvs_method",
	"virtual_server/protocol", "virtual_server/real_server/lvs_method",
}

// harmlessRules are the rules of findings that a line may have whose setting
// counts.
var harmlessRules = []string{"not-supported", "no-effect-here", "repeated-keyword", "repeated-first", "deprecated"}

// removals finds lines that say nothing.
func (m *modernizer) removals(ls []loaded) []edit {
	r := &remover{m: m, lines: strings.Split(m.text, "\n"), items: map[int]syntax.Item{}, read: map[int]int{}, found: map[int]int{}, edits: map[int]edit{}}
	for _, it := range syntax.ParseSource(m.name, m.text).Items {
		if it.Kind == syntax.Text && !it.Opens {
			r.items[it.Line] = it
		}
	}
	for i := range ls {
		r.loaded, r.doubtful = &ls[i], map[int]bool{}
		for _, f := range ls[i].findings {
			if f.Rule == "too-many-findings" {
				return nil // nobody knows which lines are in order
			}
			if f.Where.File == ls[i].main.As && !slices.Contains(harmlessRules, f.Rule) {
				r.doubtful[f.Where.Line] = true
			}
		}
		each("", ls[i].tree.Body, syntax.Block, r.block)
	}
	var out []edit
	for line, e := range r.edits {
		// In every reading, or not at all.
		if r.found[line] == r.read[line] {
			out = append(out, e)
		}
	}
	return out
}

// remover looks for lines that say nothing. Lines count from 1.
type remover struct {
	m        *modernizer
	lines    []string
	items    map[int]syntax.Item // statements on lines of their own
	read     map[int]int         // how often a line was read
	found    map[int]int         // how often it said nothing
	edits    map[int]edit
	loaded   *loaded
	doubtful map[int]bool // lines with findings
}

// line returns the line of a statement that has one of its own, without mark
// or definition, in the file at hand.
func (r *remover) line(st *syntax.Statement) (int, bool) {
	at, ours := r.loaded.at(st.Words[0])
	it, ok := r.items[at.line]
	return at.line, ours && ok && it.Col == at.col && st.Block == nil
}

// block looks at the statements of one block.
func (r *remover) block(b block) {
	groups := map[string][]int{}
	var order []string
	for i, st := range b.body {
		if n, ok := r.line(st); ok {
			r.read[n]++
		}
		if b.kind != syntax.Block || st.Block != nil {
			continue
		}
		k := config.Lookup(b.path, st.Keyword())
		if k == nil {
			if why := config.Obsolete(st.Keyword()); why != "" {
				r.comment(st, why)
			}
			continue
		}
		if why := noEffect[k.Path()]; why != "" {
			r.remove(st, why)
			continue
		}
		if k.Shape != syntax.Plain || slices.Contains(mixed, k.Path()) || k.Args == config.ArgSpecial && !slices.Contains(plain, k.Path()) {
			continue
		}
		key := setting(k)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], i)
	}
	for _, key := range order {
		if g := groups[key]; len(g) > 1 {
			r.repeats(b, g)
		}
	}
}

// setting names what a keyword sets by the first of its spellings.
func setting(k *config.Keyword) string {
	if k.Same != "" && config.Lookup(k.Block, k.Same) != nil {
		return min(k.Name, k.Same)
	}
	return k.Name
}

// repeats looks at the statements of one setting.
func (r *remover) repeats(b block, group []int) {
	switch rule, _ := config.RepeatOf(b.path, b.body[group[0]].Keyword()); rule {
	case config.RepeatLast:
		r.overridden(b, group)
	case config.RepeatFirst:
		r.tooLate(b, group)
	case config.RepeatFlag:
		r.saidBefore(b, group)
	case config.RepeatAppend, config.RepeatReplace:
	}
}

// counts returns the line of a statement that can override others: it is read
// for every config id, and nothing is wrong with it.
func (r *remover) counts(st *syntax.Statement) (int, bool) {
	n, ok := r.line(st)
	return n, ok && !r.doubtful[n]
}

// overridden removes what the last statement of the group replaces. It must
// say as much as they do, since what it does not say may stay from before.
func (r *remover) overridden(b block, group []int) {
	last := group[len(group)-1]
	winner := b.body[last]
	n, ok := r.counts(winner)
	if !ok {
		return
	}
	for _, i := range group[:len(group)-1] {
		st := b.body[i]
		if len(st.Words) > len(winner.Words) || inherited(b, i, last) {
			continue
		}
		r.remove(st, fmt.Sprintf("%s in line %d overrides it", winner.Keyword(), r.m.from[n-1]))
	}
}

// inherited reports whether a block between two lines may take over what the
// first one says, as real servers do.
func inherited(b block, from, to int) bool {
	return strings.HasPrefix(b.path, "virtual_server") &&
		slices.ContainsFunc(b.body[from:to], func(st *syntax.Statement) bool { return st.Block != nil })
}

// tooLate removes what comes after the statement that stays.
func (r *remover) tooLate(b block, group []int) {
	for g, i := range group {
		n, ok := r.line(b.body[i])
		switch {
		case !ok:
			continue
		case r.doubtful[n]:
			return
		}
		for _, later := range group[g+1:] {
			r.remove(b.body[later], fmt.Sprintf("%s in line %d stays", b.body[i].Keyword(), r.m.from[n-1]))
		}
		return
	}
}

// saidBefore removes flags that are set already.
func (r *remover) saidBefore(b block, group []int) {
	for g, i := range group {
		n, ok := r.counts(b.body[i])
		if !ok || len(b.body[i].Words) > 1 {
			continue
		}
		for _, later := range group[g+1:] {
			if st := b.body[later]; len(st.Words) == 1 && st.Keyword() == b.body[i].Keyword() {
				r.remove(st, fmt.Sprintf("line %d says it already", r.m.from[n-1]))
			}
		}
		return
	}
}

// remove takes a line out; its comment stays.
func (r *remover) remove(st *syntax.Statement, why string) {
	n, ok := r.line(st)
	if !ok {
		return
	}
	it := r.items[n]
	indent := it.Col - 1
	r.found[n]++
	r.edits[n] = edit{
		line: n - 1, col: indent, n: len(r.lines[n-1]) - indent, text: it.Comment, whole: true,
		what: st.Keyword() + " removed: " + why, otherwise: st.Keyword() + " stays: without it ",
	}
}

// comment makes a line a comment.
func (r *remover) comment(st *syntax.Statement, why string) {
	n, ok := r.line(st)
	if !ok {
		return
	}
	r.found[n]++
	r.edits[n] = edit{
		line: n - 1, col: r.items[n].Col - 1, text: "# ",
		what: st.Keyword() + " made a comment: " + why, otherwise: st.Keyword() + " stays: as a comment ",
	}
}
