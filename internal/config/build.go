package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Build turns a tree into the typed configuration. See Load.
func Build(tree *syntax.Tree) (*Config, []finding.Finding) {
	b := &builder{
		tree:         tree,
		cfg:          &Config{Files: tree.Files, Kaname: defaultKaname()},
		def:          defaultDefaults(),
		scripts:      map[string]*Script{},
		later:        map[string]syntax.Pos{},
		byName:       map[string]*instance{},
		groups:       map[string]*serverGroup{},
		groupWeights: map[string]bool{},
	}
	// keepalived reads global_defs of the whole file before anything else.
	for _, st := range tree.Body {
		b.rootFirst(&line{b: b, st: st, kw: st.Keyword(), next: 1})
	}
	b.each("", tree.Body, b.rootSecond)
	b.finishVRRP()
	b.finishSync()
	b.finishServers()
	if len(tree.Files) > 0 && len(b.cfg.Instances)+len(b.cfg.VirtualServers) == 0 && finding.Worst(b.findings) < finding.Error {
		b.add(finding.Finding{
			Severity: finding.Warning, Rule: "nothing-to-run",
			Where: finding.Place{File: tree.Files[0]}, What: "the configuration holds no vrrp_instance and no virtual_server that can run",
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
	def      defaults

	scripts      map[string]*Script    // defined so far
	later        map[string]syntax.Pos // vrrp_script names anywhere in the file
	pending      []*instance
	byName       map[string]*instance
	groupWeights map[string]bool // sync groups with sync_group_tracking_weight
	groups       map[string]*serverGroup
	servers      []*virtualServer
	syncIDZero   bool // the sync daemon is one of lvs_sync_daemon_interface
	nAddrs       int  // addresses that group ranges have been expanded to
}

// defaults are what global_defs sets for the instances.
type defaults struct {
	version                    int
	garpDelay, garpRefresh     time.Duration
	garpRepeat, garpRefreshRep int
	garpLowerDelay             time.Duration // negative: as garpDelay
	garpLowerRepeat            int           // negative: as garpRepeat
	downTimerAdverts           int
	lowerPrioNoAdvert          bool
	higherPrioSendAdvert       bool
	skipCheckAdvAddr           bool
	otherMulticast             string // why instances cannot run: vrrp_mcast_group4
}

func defaultDefaults() defaults {
	return defaults{
		version: 2, garpDelay: 5 * time.Second, garpRepeat: 5, garpRefreshRep: 1,
		garpLowerDelay: -1, garpLowerRepeat: -1, downTimerAdverts: 3,
	}
}

func (b *builder) add(f finding.Finding) {
	switch {
	case len(b.findings) > maxFindings:
		return
	case len(b.findings) == maxFindings:
		f = finding.Finding{
			Severity: finding.Error, Rule: "too-many-findings", Where: f.Where,
			What: fmt.Sprintf("more than %d problems; the rest is not shown", maxFindings),
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

func (b *builder) warn(rule string, at syntax.Pos, what, fix string) {
	b.report(finding.Warning, rule, at, what, fix)
}

// each calls handle for the statements of a block. What handle does not know
// is either not built or no keyword at all.
func (b *builder) each(path string, body []*syntax.Statement, handle func(*line) bool) {
	for _, st := range body {
		l := &line{b: b, st: st, path: path, kw: st.Keyword(), next: 1}
		kind := vocabulary().Kind(path, l.kw)
		plainBlock := kind == syntax.Plain && st.Block != nil
		if plainBlock {
			b.warn("unexpected-block", st.Pos(), l.kw+" takes no { }; the block is skipped (keepalived would read it as part of the enclosing one, and end that at the })", "")
		}
		if handle(l) {
			l.end()
		} else {
			b.other(l)
		}
	}
}

// block is each for a statement's block.
func (l *line) block(handle func(*line) bool) {
	if l.st.Block != nil {
		l.b.each(join(l.path, l.kw), l.st.Block.Body, handle)
	}
}

// values calls handle for the lines of a block of values.
func (l *line) values(handle func(*line)) {
	if l.st.Block == nil {
		return
	}
	for _, st := range l.st.Block.Body {
		if st.Block != nil {
			l.b.warn("unexpected-block", st.Pos(), "no block can stand in "+l.kw+"; it is skipped", "is a } missing before this line?")
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

// effects say what leaving out a known keyword means, where that is not plain.
var effects = map[string]string{
	"global_defs/notification_email":                "accepted, no mail is sent",
	"global_defs/notification_email_from":           "accepted, no mail is sent",
	"global_defs/smtp_server":                       "accepted, no mail is sent",
	"global_defs/smtp_connect_timeout":              "accepted, no mail is sent",
	"global_defs/smtp_helo_name":                    "accepted, no mail is sent",
	"global_defs/smtp_alert":                        "accepted, no mail is sent",
	"global_defs/smtp_alert_vrrp":                   "accepted, no mail is sent",
	"global_defs/smtp_alert_checker":                "accepted, no mail is sent",
	"global_defs/vrrp_strict":                       "nothing is refused or dropped for it",
	"global_defs/vrrp_iptables":                     "no firewall rules are made",
	"vrrp_instance/smtp_alert":                      "accepted, no mail is sent",
	"vrrp_sync_group/smtp_alert":                    "accepted, no mail is sent",
	"vrrp_instance/use_vmac":                        "the addresses are announced with the interface's own MAC",
	"vrrp_instance/use_ipvlan":                      "the addresses are put on the interface itself",
	"vrrp_instance/no_accept":                       "packets to the virtual addresses are accepted",
	"vrrp_instance/strict_mode":                     "nothing is refused or dropped for it",
	"vrrp_instance/virtual_routes":                  "no routes are added",
	"vrrp_instance/virtual_rules":                   "no rules are added",
	"vrrp_instance/track_file":                      "the tracked files change nothing",
	"vrrp_instance/track_process":                   "the tracked processes change nothing",
	"vrrp_instance/track_bfd":                       "the tracked BFD sessions change nothing",
	"static_ipaddress":                              "no addresses are added",
	"static_routes":                                 "no routes are added",
	"static_rules":                                  "no rules are added",
	"virtual_server/smtp_alert":                     "accepted, no mail is sent",
	"virtual_server/real_server/smtp_alert":         "accepted, no mail is sent",
	"virtual_server/hashed":                         "it has no effect in keepalived either",
	"vrrp_instance/debug":                           "it has no effect in keepalived either",
	"virtual_server/ha_suspend":                     "the checkers always run",
	"virtual_server/real_server/SSL_GET":            "the server is not checked by it",
	"virtual_server/real_server/SMTP_CHECK":         "the server is not checked by it",
	"virtual_server/real_server/DNS_CHECK":          "the server is not checked by it",
	"virtual_server/real_server/UDP_CHECK":          "the server is not checked by it",
	"virtual_server/real_server/PING_CHECK":         "the server is not checked by it",
	"virtual_server/real_server/FILE_CHECK":         "the server is not checked by it",
	"virtual_server/real_server/BFD_CHECK":          "the server is not checked by it",
	"virtual_server/real_server/HTTP_GET/url/regex": "the body is not compared with it",
}

// unsupported reports a known keyword that is not built: one warning, and for
// a block those keywords in it that nobody knows.
func (l *line) unsupported(effect string) {
	what := "not supported yet: " + l.kw
	if effect == "" {
		effect = effects[join(l.path, l.kw)]
	}
	if effect != "" {
		what += ": " + effect
	}
	l.warn("not-supported", what, "")
	l.next = len(l.st.Words)
	if l.st.Block != nil && vocabulary().Kind(l.path, l.kw) == syntax.Block {
		l.b.onlyUnknown(join(l.path, l.kw), l.st.Block.Body)
	}
}

// onlyUnknown reports the unknown keywords of a block that is not built.
func (b *builder) onlyUnknown(path string, body []*syntax.Statement) {
	for _, st := range body {
		l := &line{b: b, st: st, path: path, kw: st.Keyword(), next: 1}
		switch vocabulary().Kind(path, l.kw) {
		case syntax.Unknown:
			b.other(l)
		case syntax.Block:
			if st.Block != nil {
				b.onlyUnknown(join(path, l.kw), st.Block.Body)
			}
		}
	}
}

// other reports a statement that no handler took.
func (b *builder) other(l *line) {
	if vocabulary().Kind(l.path, l.kw) != syntax.Unknown {
		l.unsupported("")
		return
	}
	if len(b.findings) > maxFindings {
		return // looking for what was meant costs more than the rest
	}
	place := ""
	if l.path != "" {
		place = " in " + l.path[strings.LastIndexByte(l.path, '/')+1:]
	}
	what, fix, sev := fmt.Sprintf("unknown keyword %s%s", l.kw, place), "", finding.Warning
	if l.st.Block != nil {
		what += "; the whole block is skipped (keepalived would read its lines as if they stood one level up)"
	} else {
		what += "; the line is ignored"
	}
	s := suggest(l.path, l.kw)
	switch {
	case obsolete[l.kw] != "":
		what += "; " + obsolete[l.kw]
	case s.word == "":
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
	default:
		what += "; " + s.belongs()
		fix = "look for a missing or extra brace before this line"
		// A whole block in the wrong place: what it asks for cannot be run.
		if s.word == l.kw && l.st.Block != nil {
			sev = finding.Error
		}
	}
	b.report(sev, "unknown-keyword", l.st.Pos(), what, fix)
}

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
	case "vrrp_script":
		if len(l.st.Words) > 1 {
			b.later[l.st.Words[1].Text] = l.st.Pos()
		}
	}
}

// rootSecond handles the rest in the file's order.
func (b *builder) rootSecond(l *line) bool {
	switch l.kw {
	case "global_defs", "kaname":
	case "vrrp_script":
		b.script(l)
	case "vrrp_instance":
		b.instance(l)
	case "vrrp_sync_group":
		b.syncGroup(l)
	case "virtual_server_group":
		b.serverGroup(l)
	case "virtual_server":
		b.virtualServer(l)
	default:
		return false
	}
	return true
}

// name reads the one name of a named block; without it, or with two, the block
// is skipped as in keepalived.
func (l *line) name() (string, bool) {
	w, ok := l.word()
	if !ok {
		return "", false
	}
	if l.left() > 0 {
		l.fail("block-name", fmt.Sprintf("%s takes one name; the block is skipped", l.kw), fmt.Sprintf("%s %s {", l.kw, w.Text))
		l.next = len(l.st.Words)
		return "", false
	}
	return w.Text, true
}
