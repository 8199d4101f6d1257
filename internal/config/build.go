package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Build turns a tree into the typed configuration. See Load.
func Build(tree *syntax.Tree) (*Config, []finding.Finding) { return build(tree, false) }

func build(tree *syntax.Tree, origins bool) (*Config, []finding.Finding) {
	b := &builder{
		tree:         tree,
		cfg:          defaultConfig(tree.Files),
		first:        map[string]map[string]syntax.Pos{},
		objects:      newObjects(),
		byName:       map[string]*instance{},
		groups:       map[string]*serverGroup{},
		syncGroups:   map[string]*SyncGroup{},
		members:      map[*SyncGroup]map[string]Where{},
		groupMembers: map[*TrackGroup]map[string]Where{},
		saidChanges:  map[*SyncGroup]bool{},
		defined:      map[string]bool{},
	}
	if origins {
		b.cfg.Origins = map[Where]map[string]Where{}
	}
	// keepalived reads global_defs of the whole file before anything else.
	for _, st := range tree.Body {
		b.rootFirst(&line{b: b, st: st, kw: st.Keyword(), key: Lookup("", st.Keyword()), next: 1})
	}
	b.each("", Where{}, tree.Body, &b.cfg.Process, b.rootSecond)
	b.finishVRRP()
	b.finishSync()
	b.finishServers()
	if len(tree.Files) > 0 && !b.cfg.runs() && finding.Worst(b.findings) < finding.Error {
		b.add(finding.Finding{
			Severity: finding.Warning, Rule: "nothing-to-run",
			Where: finding.Place{File: tree.Files[0]}, What: "the configuration holds no vrrp_instance and no virtual_server that can run",
			Fix: "another file, or what it is to run",
		})
	}
	return b.cfg, b.findings
}

// maxFindings bounds the builder's findings as Limits.Findings does the
// parser's.
const maxFindings = 2000

type builder struct {
	tree     *syntax.Tree
	cfg      *Config
	findings []finding.Finding
	first    map[string]map[string]syntax.Pos // see firsts
	quiet    int                              // how many blocks around are not carried out

	objects      objects
	pending      []*instance
	byName       map[string]*instance
	syncGroups   map[string]*SyncGroup
	saidChanges  map[*SyncGroup]bool              // those with notify_priority_changes
	members      map[*SyncGroup]map[string]Where  // where they are named
	groupMembers map[*TrackGroup]map[string]Where // the same of track_groups
	groups       map[string]*serverGroup
	servers      []*virtualServer
	syncIDZero   bool // the sync daemon is one of lvs_sync_daemon_interface
	// defined are the track_files and bfd_instances above the line that is being
	// read, as "KEYWORD NAME".
	defined map[string]bool
	nAddrs  int // addresses that group ranges have been expanded to
	nServed int // addresses of groups that virtual servers serve
	nRules  int // policy rules without a preference
}

func (b *builder) add(f finding.Finding) {
	switch {
	case len(b.findings) > maxFindings:
		return
	case len(b.findings) == maxFindings:
		f = finding.Finding{
			Severity: finding.Error, Rule: "too-many-findings", Where: f.Where,
			What: fmt.Sprintf("more than %d problems; the rest is not shown", maxFindings),
			Fix:  "repair the first ones and check again", Source: f.Source,
		}
	}
	b.findings = append(b.findings, f)
}

func (b *builder) report(sev finding.Severity, rule string, at syntax.Pos, what, fix string) {
	b.add(finding.Finding{
		Severity: sev, Rule: rule, Where: at.Place(), What: what, Evidence: at.Chain(), Fix: fix, Source: at.Source(),
	})
}

// warnAt warns about something that has been built, by its place.
func (b *builder) warnAt(rule string, at Where, what, fix string) {
	b.add(finding.Finding{Severity: finding.Warning, Rule: rule, Where: at, What: what, Fix: fix, Source: b.tree.SourceLine(at)})
}

// exits sets what keepalived -t would end with for the last finding, where its
// rule alone does not tell.
func (b *builder) exits(code int) {
	if n := len(b.findings); n > 0 {
		b.findings[n-1].Exit = code
	}
}

func (b *builder) warn(rule string, at syntax.Pos, what, fix string) {
	b.report(finding.Warning, rule, at, what, fix)
}

// each calls handle for the statements of a block. What handle does not know
// the table may read; the rest is no keyword at all.
func (b *builder) each(path string, at Where, body []*syntax.Statement, dst any, handle func(*line) bool) {
	firsts := b.firsts(path)
	l := new(line) // of one statement after the other; nobody keeps it
	for _, st := range body {
		*l = line{b: b, st: st, path: path, kw: st.Keyword(), block: at, next: 1}
		l.key = Lookup(path, l.kw)
		if l.key == nil {
			b.unknown(l)
			continue
		}
		if l.key.Shape == syntax.Plain && st.Block != nil {
			b.warn("unexpected-block", st.Pos(), l.kw+" takes no { }; the block is skipped (keepalived would read it as part of the enclosing one, and end that at the })", "remove the braces and what stands between them")
		}
		if l.key.Repeat == RepeatFirst {
			l.first = firsts[l.kw]
		}
		told := len(b.findings)
		if !handle(l) && !l.set(dst) {
			l.unsupported("")
			continue
		}
		firsts = l.remember(firsts)
		l.end()
		l.unheard(told)
		l.discouraged()
		l.standing()
		l.origin()
	}
}

// remember adds the line to firsts where a second one is told of the first, and
// tells of one that it replaces. A line that was refused does not count.
func (l *line) remember(firsts map[string]syntax.Pos) map[string]syntax.Pos {
	replaces := l.key.Repeat == RepeatReplace
	if old := firsts[l.kw]; replaces && old.IsValid() {
		l.warn("repeated-keyword", fmt.Sprintf("%s is given again; it replaces the one at %s", l.kw, old.Place()), "keep one")
	}
	if l.refused > 0 || !replaces && (l.key.Repeat != RepeatFirst || l.first.IsValid()) {
		return firsts
	}
	if firsts == nil {
		firsts = map[string]syntax.Pos{}
	}
	firsts[l.kw] = l.st.Pos()
	return firsts
}

// origin remembers where a setting was written, unless it has been refused.
func (l *line) origin() {
	o := l.b.cfg.Origins
	if o == nil || l.refused > 0 || l.first.IsValid() {
		return
	}
	if o[l.block] == nil {
		o[l.block] = map[string]Where{}
	}
	o[l.block][l.kw] = l.st.Pos().Place()
}

// firsts are the places of keywords of which the first stays: nil until there
// is one. global_defs may stand in several blocks, which are one.
func (b *builder) firsts(path string) map[string]syntax.Pos {
	if path != "global_defs" && path != "" {
		return nil
	}
	if b.first[path] == nil {
		b.first[path] = map[string]syntax.Pos{}
	}
	return b.first[path]
}

// each is builder.each for a statement's block.
func (l *line) each(dst any, handle func(*line) bool) {
	if l.st.Block == nil {
		return
	}
	// What stands in a block that is not carried out needs no word of its own.
	if l.key.Standing != Runs {
		l.b.quiet++
		defer func() { l.b.quiet-- }()
	}
	at := l.st.Pos().Place()
	switch { // several blocks are one, which begins with the first
	case l.path != "":
	case l.kw == "global_defs":
		at = l.b.cfg.Global.Where
	case l.kw == "kaname":
		at = l.b.cfg.Kaname.Where
	}
	l.b.each(join(l.path, l.kw), at, l.st.Block.Body, dst, handle)
}

// values calls handle for the lines of a block of values.
func (l *line) values(handle func(*line)) {
	if l.st.Block == nil {
		return
	}
	for _, st := range l.st.Block.Body {
		if st.Block != nil {
			l.b.warn("block-among-values", st.Pos(), "no block can stand in "+l.kw+"; it is skipped", "is a } missing before this line?")
			continue
		}
		v := &line{b: l.b, st: st, path: join(l.path, l.kw), kw: l.kw}
		handle(v)
		v.end()
	}
}

func join(path, word string) string {
	if path == "" {
		return word
	}
	return path + "/" + word
}

// standing reports a keyword that has been read and is not carried out.
func (l *line) standing() {
	k := l.key
	switch {
	case l.told || l.b.quiet > 0 || l.refused > 0 || l.first.IsValid() || l.plainDefault():
	case k.Standing == Later:
		l.unsupported("")
	case k.Standing == Never:
		rule := "no-effect-here"
		if strings.HasPrefix(k.Effect, "it has no effect in keepalived either") {
			rule = "no-effect-anywhere"
		}
		l.note(rule, fmt.Sprintf("%s: accepted, has no effect here: %s", l.kw, k.Effect), "")
	}
}

// plainDefault reports whether the line says only what holds without it, so that
// nothing is lost when it is not carried out.
func (l *line) plainDefault() bool {
	if len(l.st.Words) != 2 {
		return false
	}
	w, k := l.st.Words[1].Text, l.key
	if k.Args == ArgBool && !strings.HasPrefix(k.Default, "true") {
		return !slices.Contains(trueWords, w)
	}
	return k.Default != "" && w == strings.Fields(k.Default)[0]
}

// unsupported reports a known keyword that is not carried out yet: one warning,
// and for a block those keywords in it that nobody knows.
func (l *line) unsupported(effect string) {
	if effect == "" && l.key != nil {
		effect = l.key.Effect
	}
	what := "not supported yet: " + l.kw
	if effect != "" {
		what += ": " + effect
	}
	l.told = true
	l.warn("not-supported", what, "")
	l.next = len(l.st.Words)
}

// discouraged reports a keyword that keepalived 2.2.7 carries out and complains
// about.
func (l *line) discouraged() {
	instead, ok := discouraged[l.key.Path()]
	if !ok {
		return
	}
	here := func(f finding.Finding) bool { return f.Rule == "deprecated" && f.Where == l.st.Pos().Place() }
	i := slices.IndexFunc(l.b.findings, here)
	if i < 0 {
		l.note("deprecated", l.kw+" is an old word of keepalived", instead)
		i = len(l.b.findings) - 1
	}
	l.b.findings[i].Exit = exitConfig
}

var discouraged = map[string]string{
	"global_defs/vrrp_vmac_garp_intvl":                 "vrrp_garp_extra_if",
	"global_defs/vrrp_iptables":                        "nftables",
	"vrrp_instance/vmac_garp_intvl":                    "garp_extra_if",
	"vrrp_instance/linkbeat_use_polling":               "linkbeat_interfaces { ... }",
	"vrrp_instance/lvs_sync_daemon_interface":          "lvs_sync_daemon in global_defs",
	"vrrp_sync_group/global_tracking":                  "track_interface, track_script or track_file in the group",
	"virtual_server/real_server/HTTP_GET/nb_get_retry": "retry",
	"virtual_server/real_server/SSL_GET/nb_get_retry":  "retry",
}

// unknown reports a statement that is no keyword where it stands.
func (b *builder) unknown(l *line) {
	if len(b.findings) > maxFindings {
		return // looking for what was meant costs more than the rest
	}
	place := ""
	if l.path != "" {
		place = " in " + l.path[strings.LastIndexByte(l.path, '/')+1:]
	}
	rule, what, fix, sev := "unknown-keyword", fmt.Sprintf("unknown keyword %s%s", l.kw, place), "", finding.Warning
	if l.st.Block != nil {
		rule = "unknown-block"
		what += "; the whole block is skipped (keepalived would read its lines as if they stood one level up)"
	} else {
		what += "; the line is ignored"
	}
	s := suggest(l.path, l.kw)
	switch {
	case obsolete[l.kw] != "":
		what += "; " + obsolete[l.kw]
		fix = "remove it"
	case s.word == "":
		fix = "remove it, or correct the spelling"
	case s.path == l.path:
		what += "; did you mean " + s.word + "?"
		fix = s.word
		if Confidential(s.word) {
			fix += " SECRET"
			break
		}
		for _, w := range l.st.Args() {
			if w.Quoted {
				w.Text = `"` + w.Text + `"`
			}
			fix += " " + w.Text
		}
		if l.st.Block != nil {
			fix += " {"
		}
	default:
		what += "; " + s.belongs()
		fix = "look for a missing or extra brace before this line"
		// A whole block in the wrong place: what it asks for cannot be run.
		if s.word == l.kw && l.st.Block != nil {
			rule, sev = "misplaced-block", finding.Error
		}
	}
	b.report(sev, rule, l.st.Pos(), what, fix)
}

// Obsolete returns what became of a keyword of keepalived's past that is
// unknown today and does nothing, "" when word is none.
func Obsolete(word string) string { return obsolete[word] }

// obsolete are keywords of keepalived's past that do nothing today.
var obsolete = map[string]string{
	"nat_mask":     "it was removed from keepalived and never had an effect on forwarding",
	"vrrp_ipvsadm": "it was removed from keepalived",
}

// rootFirst handles what has to be known before the rest.
func (b *builder) rootFirst(l *line) {
	switch l.kw {
	case "global_defs":
		b.global(l)
	case "kaname":
		b.kaname(l)
	default:
		b.objects.announce(l)
	}
}

// rootSecond handles the rest in the file's order.
func (b *builder) rootSecond(l *line) bool {
	if l.key.Shape == syntax.Block && len(l.st.Words) > 1 && strings.HasSuffix(l.kw, "track_file") || l.kw == "bfd_instance" && len(l.st.Words) > 1 {
		b.defined[l.kw+" "+l.st.Words[1].Text] = true
	}
	switch l.kw {
	case "global_defs", "kaname":
	case "vrrp_instance":
		b.instance(l)
	case "vrrp_sync_group":
		b.syncGroup(l)
	case "SSL":
		b.ssl(l)
	case "virtual_server_group":
		b.serverGroup(l)
	case "virtual_server":
		b.virtualServer(l)
	default:
		return b.object(l) || b.static(l)
	}
	return true
}

// name reads the one name of a named block; without it, or with two, the block
// is skipped as in keepalived.
func (l *line) name() (string, bool) {
	group := l.kw == "virtual_server_group" // where the parse ends
	w, ok := l.word()
	if !ok {
		if !group {
			l.b.exits(exitConfig)
		}
		return "", false
	}
	if l.left() > 0 {
		l.fail("block-name", fmt.Sprintf("%s takes one name; the block is skipped", l.kw), fmt.Sprintf("%s %s {", l.kw, w.Text))
		if group {
			l.b.exits(exitMissing)
		}
		l.next = len(l.st.Words)
		return "", false
	}
	return w.Text, true
}
