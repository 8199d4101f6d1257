package lint

import (
	"fmt"
	"slices"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Node is one director of a cluster: its name for messages, and its file.
type Node struct {
	Name   string
	Config *config.Config
	Tree   *syntax.Tree
}

// CheckPair compares the files of two directors of one cluster. A finding
// stands in the file where the fix belongs, the line of the other file is its
// evidence; an Error is what makes both directors MASTER at once, which no
// daemon notices in its own file. The findings of a's file come first. A file
// in which nothing could be understood is not compared.
func CheckPair(a, b Node) []finding.Finding {
	c := &pairChecker{a: newNode(a), b: newNode(b)}
	if c.a.empty() || c.b.empty() {
		return nil
	}
	c.instances = matchInstances(c.a, c.b)
	c.services = matchServices(c.a, c.b)
	for _, r := range pairRules {
		if c.unrelated() && r.name != "pair-unrelated" {
			continue
		}
		c.rule, c.severity = r.name, r.severity
		r.check(c)
	}
	return config.Present(c.findings, slices.Concat(a.Tree.Files, b.Tree.Files))
}

// pairRule is one trap that only two files show. pages/ has a page for each.
type pairRule struct {
	name     string
	severity finding.Severity
	check    func(*pairChecker)
}

var pairRules = slices.Concat(pairFileRules, pairVRRPRules, pairWeightRules, pairServerRules, pairSyncRules)

// pairChecker is what a rule about two nodes looks at and reports to.
type pairChecker struct {
	a, b      *node
	instances []instancePair
	services  []servicePair
	rule      string
	severity  finding.Severity
	findings  []finding.Finding
}

// unrelated reports whether the two have nothing in common.
func (c *pairChecker) unrelated() bool { return len(c.instances)+len(c.services) == 0 }

// report adds a finding in n's file.
func (c *pairChecker) report(n *node, at finding.Place, what, evidence, fix string) {
	c.findings = append(c.findings, finding.Finding{
		Severity: c.severity, Rule: c.rule, Where: at, What: what, Evidence: evidence, Fix: fix, Source: n.Tree.SourceLine(at),
	})
}

// sides calls fn for each node with the other one.
func (c *pairChecker) sides(fn func(n, other *node)) {
	fn(c.a, c.b)
	fn(c.b, c.a)
}

// node is a Node with its blocks at hand.
type node struct {
	Node
	blocks map[finding.Place]*syntax.Statement
}

func newNode(n Node) *node {
	w := &node{n, map[finding.Place]*syntax.Statement{}}
	w.index(n.Tree.Body)
	return w
}

func (n *node) index(body []*syntax.Statement) {
	for _, st := range body {
		if st.Block != nil {
			n.blocks[st.Pos().Place()] = st
			n.index(st.Block.Body)
		}
	}
}

func (n *node) empty() bool { return len(n.Config.Instances)+len(n.Config.VirtualServers) == 0 }

// file is the place of n's file as a whole.
func (n *node) file() finding.Place {
	if len(n.Tree.Files) == 0 {
		return finding.Place{Object: n.Name}
	}
	return finding.Place{File: n.Tree.Files[0]}
}

// find returns the last statement with one of the keywords in the block that
// begins at the place, nil when there is none.
func (n *node) find(block finding.Place, keywords ...string) *syntax.Statement {
	var last *syntax.Statement
	if st := n.blocks[block]; st != nil {
		for _, in := range st.Block.Body {
			if slices.Contains(keywords, in.Keyword()) {
				last = in
			}
		}
	}
	return last
}

// at is the place of a keyword in a block, or of the block without it.
func (n *node) at(block finding.Place, keywords ...string) finding.Place {
	if st := n.find(block, keywords...); st != nil {
		return st.Pos().Place()
	}
	return block
}

// cite quotes a keyword's line with its place, as evidence for the other file:
// "a.conf:7:5: priority 150".
func (n *node) cite(block finding.Place, keywords ...string) string {
	if st := n.find(block, keywords...); st != nil {
		return fmt.Sprintf("%s: %s", st.Pos().Place(), text(st))
	}
	if st := n.blocks[block]; st != nil {
		return fmt.Sprintf("%s: %s without %s", block, text(st), keywords[0])
	}
	return block.String()
}
