package format

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// preferred are spellings of which neither is old, and one is what the others
// of its kind look like. lvs_sched and lvs_method are not among them: both
// words of each pair are in use everywhere.
var preferred = map[string]string{
	"bfd_instance/neighbour_ip": "neighbor_ip",
	"bfd_instance/hoplimit":     "ttl",
}

// byHand are old spellings for which there is no other word, and what to do.
var byHand = map[string]string{
	"vrrp_instance/lvs_sync_daemon_interface":    "lvs_sync_daemon in global_defs replaces it, but means another syncid: the VRID of the instance unless it says id 0",
	"vrrp_instance/linkbeat_use_polling":         "a block linkbeat_interfaces at the root replaces it",
	"virtual_server/real_server/SMTP_CHECK/host": "an SMTP_CHECK of its own for each host replaces it",
	"vrrp_instance/virtual_routes or":            "nexthop via … nexthop via … replaces it",
	"static_routes or":                           "nexthop via … nexthop via … replaces it",
}

// routes are the blocks in which `gw` is the old word for `via`.
var routes = []string{"vrrp_instance/virtual_routes", "static_routes"}

// valued are the words of a route that take the next word for their value.
var valued = []string{"dev", "oif", "table", "to", "from", "via", "gw", "src", "scope", "realm", "realms", "protocol", "proto", "as", "congctl", "features"}

// place is where a word stands in the file at hand; line and col count from 1.
type place struct{ line, col int }

// vote is what the readings of one word make of it: a line of a definition, or
// a file that is included twice, is read more than once.
type vote struct {
	old, new  string
	disagreed bool
}

// spellings finds the old spellings that stand in the text as they are read.
func (m *modernizer) spellings(ls []loaded) []edit {
	votes := map[place]vote{}
	hints := map[place]string{}
	for _, l := range ls {
		each("", l.tree.Body, syntax.Block, func(b block) {
			for _, st := range b.body {
				for i, w := range st.Words {
					at, ours := l.at(w)
					word, hint := modernWord(b, st, i)
					if !ours || i > 0 && word == "" && hint == "" && w.Text != "gw" {
						continue
					}
					v, again := votes[at]
					votes[at] = vote{w.Text, word, again && (v.disagreed || v.old != w.Text || v.new != word)}
					if hint != "" {
						hints[at] = w.Text + " stays: " + hint
					}
				}
			}
		})
	}
	lines := strings.Split(m.text, "\n")
	var out []edit
	for at, v := range votes {
		if v.new != "" && !v.disagreed && standsAt(lines[at.line-1], at.col-1, v.old) {
			out = append(out, edit{
				line: at.line - 1, col: at.col - 1, n: len(v.old), text: v.new,
				what: fmt.Sprintf("%s is now written %s", v.old, v.new), otherwise: fmt.Sprintf("%s stays: as %s ", v.old, v.new),
			})
		}
	}
	for at, hint := range hints {
		m.report(finding.Note, at.line-1, hint)
	}
	return out
}

// modernWord returns the word to write for word i of a statement, "" for the
// same, or what to do instead.
func modernWord(b block, st *syntax.Statement, i int) (word, hint string) {
	w := st.Words[i]
	if b.kind == syntax.ValueBlock {
		return routeWord(b, st, i)
	}
	k := config.Lookup(b.path, w.Text)
	if i > 0 || b.kind != syntax.Block || k == nil {
		return "", ""
	}
	if word := preferred[k.Path()]; word != "" {
		return word, ""
	}
	if !k.Old {
		return "", ""
	}
	now := config.Lookup(b.path, k.Same)
	if now == nil || now.Shape != k.Shape || k.In227 && !now.In227 {
		return "", byHand[k.Path()]
	}
	return now.Name, ""
}

// routeWord is modernWord for a route.
func routeWord(b block, st *syntax.Statement, i int) (word, hint string) {
	w := st.Words[i]
	if !slices.Contains(routes, b.path) || w.Quoted || w.Text != "gw" && w.Text != "or" {
		return "", ""
	}
	if i == 0 || slices.Contains(valued, st.Words[i-1].Text) || i+1 >= len(st.Words) {
		return "", ""
	}
	if _, err := netip.ParseAddr(st.Words[i+1].Text); err != nil {
		return "", ""
	}
	if w.Text == "or" {
		return "", byHand[b.path+" or"]
	}
	return "via", ""
}

// standsAt reports whether the word is written at byte col, on its own.
func standsAt(line string, col int, word string) bool {
	const edges = blanks + "{}\""
	if !strings.HasPrefix(line[min(col, len(line)):], word) {
		return false
	}
	end := col + len(word)
	return (col == 0 || strings.IndexByte(edges, line[col-1]) >= 0) &&
		(end == len(line) || strings.IndexByte(edges+"#!", line[end]) >= 0)
}

// block is the inside of a block, or the root.
type block struct {
	path string
	kind syntax.Kind
	body []*syntax.Statement
}

// each calls f for a block and those within it.
func each(path string, body []*syntax.Statement, kind syntax.Kind, f func(block)) {
	f(block{path, kind, body})
	for _, st := range body {
		if st.Block == nil {
			continue
		}
		inner := strings.TrimPrefix(path+"/"+st.Keyword(), "/")
		k := syntax.Unknown
		if kind == syntax.Block {
			if k = config.Grammar().Kind(path, st.Keyword()); k == syntax.Plain {
				k = syntax.Unknown
			}
		}
		each(inner, st.Block.Body, k, f)
	}
}

// at returns where a word stands in the file at hand, false when it is in
// another.
func (l *loaded) at(w syntax.Word) (place, bool) {
	p := w.Place()
	return place{p.Line, p.Col}, p.File == l.main.As
}
