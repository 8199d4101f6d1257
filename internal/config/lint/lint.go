package lint

import (
	"fmt"
	"slices"
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
		c.apply(r.name, r.severity, func() { r.check(c) })
	}
	return config.Present(c.findings, tree.Files)
}

// apply runs one rule.
func (c *checker) apply(rule string, severity finding.Severity, check func()) {
	c.rule, c.severity, c.said = rule, severity, 0
	check()
	c.silenced()
}

// rule is one trap. Its check reports every place where the configuration
// falls into it. pages/ has a page for each.
type rule struct {
	name     string
	severity finding.Severity
	check    func(*checker)
}

// rules are the traps that are looked for, by the part of the language.
var rules = slices.Concat(languageRules, writtenRules, vrrpRules, electionRules,
	strictRules, secretRules, scriptRules, runRules, sampleRules, serverRules, syncRules)

// checker is what a rule looks at and reports to.
type checker struct {
	cfg      *config.Config
	tree     *syntax.Tree
	rule     string
	severity finding.Severity
	said     int // how often the rule has spoken
	findings []finding.Finding
	index    map[finding.Place]*syntax.Statement // see block
	byPath   map[string][]*syntax.Statement      // see inBlocks
	weights  map[string]int                      // see scriptWeights
	known    []knownBlock                        // see blocks
}

func (c *checker) report(at finding.Place, what, fix string) {
	c.reportAs(c.severity, at, what, fix)
}

// maxPlaces is how many places of one rule are shown.
const maxPlaces = 1000

func (c *checker) reportAs(sev finding.Severity, at finding.Place, what, fix string) {
	if c.said++; c.said > maxPlaces {
		return
	}
	c.findings = append(c.findings, finding.Finding{
		Severity: sev, Rule: c.rule, Where: at, What: what, Fix: fix, Source: c.tree.SourceLine(at),
	})
}

// reportFor is report with what in the file is the reason.
func (c *checker) reportFor(at finding.Place, what, evidence, fix string) {
	if c.report(at, what, fix); c.said <= maxPlaces {
		c.findings[len(c.findings)-1].Evidence = evidence
	}
}

// silenced tells of the places that are not shown.
func (c *checker) silenced() {
	if more := c.said - maxPlaces; more > 0 {
		c.said = 0
		c.report(finding.Place{File: c.tree.Files[0]}, fmt.Sprintf("%d more places like the %d above; they are not shown", more, maxPlaces), "repair those above and check again")
	}
}

// blocks calls fn for every block of keywords that is known, outermost first.
func (c *checker) blocks(fn func(path string, block *syntax.Statement)) {
	if c.known == nil {
		c.known = knownBlocks([]knownBlock{}, "", c.tree.Body)
	}
	for _, b := range c.known {
		fn(b.path, b.block)
	}
}

// knownBlock is a block and its path.
type knownBlock struct {
	path  string
	block *syntax.Statement
}

// knownBlocks appends the blocks of keywords in a body, at any depth.
func knownBlocks(to []knownBlock, path string, body []*syntax.Statement) []knownBlock {
	for _, st := range body {
		if st.Block == nil {
			continue
		}
		k := config.Lookup(path, st.Keyword())
		if k == nil || k.Shape != syntax.Block {
			continue
		}
		to = append(to, knownBlock{k.Path(), st})
		to = knownBlocks(to, k.Path(), st.Block.Body)
	}
	return to
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
