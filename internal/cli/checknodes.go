package cli

import (
	"fmt"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/finding"
)

// checkNode is a file that check was given, read with its id.
type checkNode struct {
	lint.Node
	file     string
	title    string            // file, and the id where each has its own
	findings []finding.Finding // of the language
}

// empty reports whether there is nothing to compare, as in a file that cannot
// be read.
func (n *checkNode) empty() bool { return len(n.Config.Instances)+len(n.Config.VirtualServers) == 0 }

// unread is what keeps a main file from being read, nil when it was read.
func unread(fs []finding.Finding) error {
	for _, f := range fs {
		if f.Rule == "unreadable-file" {
			return fmt.Errorf("%s: %s: %s", f.Where.File, f.What, f.Fix)
		}
	}
	return nil
}

// nodes reads the files. There is one id for all, one for each, or none.
func (a *app) nodes(files, ids []string) ([]checkNode, error) {
	if len(ids) > 1 && len(ids) != len(files) {
		return nil, usageError("check: %d --config-id for %d files: give one for all, or one for each in their order", len(ids), len(files))
	}
	nodes := make([]checkNode, len(files))
	for i, file := range files {
		n := checkNode{file: file, title: file, Node: lint.Node{Name: file}}
		id := ""
		switch len(ids) {
		case 0:
			id = a.configID()
		case 1:
			id = ids[0]
		default:
			id = ids[i]
			n.Name, n.title = id, file+" ("+id+")"
		}
		n.Config, n.Tree, n.findings = config.Load(a.env.Files, file, a.loadOptions(id))
		nodes[i] = n
	}
	return nodes, nil
}

// checkNodes checks each file alone, then each two of one cluster.
func (a *app) checkNodes(nodes []checkNode) []checkReport {
	var reports []checkReport
	for _, n := range nodes {
		fs := append(n.findings, lint.Check(n.Config, n.Tree)...)
		finding.Sort(fs, n.Tree.Files)
		reports = append(reports, newReport(n.title, checkReport{File: n.file, Findings: fs}))
	}
	for i, x := range nodes {
		for j, y := range nodes[i+1:] {
			if !x.empty() && !y.empty() && (j == 0 || len(nodes) <= comparedAll) {
				reports = append(reports, newReport(x.title+" and "+y.title, checkReport{File: x.file, With: y.file, Findings: lint.CheckPair(x.Node, y.Node)}))
			}
		}
	}
	return reports
}

// comparedAll is how many files are compared each with each other one; of more,
// only neighbours are.
const comparedAll = 4
