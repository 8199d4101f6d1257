package lint

import (
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Check runs every rule over a loaded configuration. The findings are in file
// order; none is an Error, because the configuration runs with every one.
func Check(cfg *config.Config, tree *syntax.Tree) []finding.Finding {
	c := &checker{cfg: cfg, tree: tree}
	for _, r := range rules {
		c.rule, c.severity = r.name, r.severity
		r.check(c)
	}
	config.Conceal(c.findings)
	finding.Sort(c.findings, tree.Files)
	return c.findings
}

// rule is one trap. Its check reports every place where the configuration
// falls into it. trap is the number of behaviour.md's list of traps, "" when
// the rule comes from field evidence.
type rule struct {
	name     string
	trap     string
	severity finding.Severity
	check    func(*checker)
}

// rules are the traps that are looked for.
var rules = []rule{
	{"overridden-synonym", "T62", finding.Warning, overriddenSynonym},
	{"repeated-keyword", "", finding.Warning, repeatedKeyword},
	{"master-no-head-start", "T09", finding.Note, masterNoHeadStart},
	{"nopreempt-with-weight", "T109", finding.Warning, nopreemptWithWeight},
	{"weight-out-of-range", "T37", finding.Warning, weightOutOfRange},
	{"same-address-twice", "T20", finding.Warning, sameAddressTwice},
	{"address-without-prefix", "T22", finding.Note, addressWithoutPrefix},
	{"unicast-source-without-peers", "T42", finding.Note, unicastSourceWithoutPeers},
	{"script-never-tracked", "", finding.Warning, scriptNeverTracked},
	{"script-timeout", "T34", finding.Warning, scriptTimeout},
	{"notify-words-as-user", "T27", finding.Warning, notifyWordsAsUser},
	{"shell-syntax", "T29", finding.Warning, shellSyntax},
	{"command-not-absolute", "T28", finding.Warning, commandNotAbsolute},
	{"no-script-security", "T30", finding.Note, noScriptSecurity},
	{"server-without-check", "T81", finding.Warning, serverWithoutCheck},
	{"slow-detection", "T82", finding.Note, slowDetection},
	{"no-alpha", "T83", finding.Note, noAlpha},
	{"check-longer-than-period", "", finding.Note, checkLongerThanPeriod},
	{"sample-digest", "T85", finding.Warning, sampleDigest},
	{"sorry-is-real", "T112", finding.Warning, sorryIsReal},
	{"server-is-virtual", "", finding.Warning, serverIsVirtual},
	{"nat-same-subnet", "", finding.Note, natSameSubnet},
	{"virtual-address-unknown", "", finding.Note, virtualAddressUnknown},
	{"sync-unauthenticated", "", finding.Note, syncUnauthenticated},
	{"sync-takes-every-id", "", finding.Note, syncTakesEveryID},
	{"sync-both-roles", "", finding.Note, syncBothRoles},
	{"sync-maxlen", "", finding.Warning, syncMaxLen},
	{"sync-scope", "", finding.Note, syncScope},
	{"sync-without-servers", "", finding.Note, syncWithoutServers},
	{"sync-without-daemon", "", finding.Note, syncWithoutDaemon},
}

// checker is what a rule looks at and reports to.
type checker struct {
	cfg      *config.Config
	tree     *syntax.Tree
	rule     string
	severity finding.Severity
	findings []finding.Finding
}

func (c *checker) report(at finding.Place, what, fix string) {
	c.reportAs(c.severity, at, what, fix)
}

func (c *checker) reportAs(sev finding.Severity, at finding.Place, what, fix string) {
	c.findings = append(c.findings, finding.Finding{
		Severity: sev, Rule: c.rule, Where: at, What: what, Fix: fix, Source: c.tree.SourceLine(at),
	})
}

// reportFor is report with what in the file is the reason.
func (c *checker) reportFor(at finding.Place, what, evidence, fix string) {
	c.report(at, what, fix)
	c.findings[len(c.findings)-1].Evidence = evidence
}

// blocks calls fn for every block of keywords that is known, outermost first.
func (c *checker) blocks(fn func(path string, block *syntax.Statement)) {
	var walk func(path string, body []*syntax.Statement)
	walk = func(path string, body []*syntax.Statement) {
		for _, st := range body {
			if st.Block == nil || config.Grammar().Kind(path, st.Keyword()) != syntax.Block {
				continue
			}
			inner := st.Keyword()
			if path != "" {
				inner = path + "/" + inner
			}
			fn(inner, st)
			walk(inner, st.Block.Body)
		}
	}
	walk("", c.tree.Body)
}

// text is a statement as its words, a confidential one without its value.
func text(st *syntax.Statement) string {
	if config.Confidential(st.Keyword()) {
		return st.Keyword()
	}
	var s strings.Builder
	for i, w := range st.Words {
		if i > 0 {
			s.WriteString(" ")
		}
		s.WriteString(w.Text)
	}
	return s.String()
}
