package lint

import (
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Check runs every rule over a loaded configuration. The findings are in file
// order and carry no Error that config.Load has not reported already.
func Check(cfg *config.Config, tree *syntax.Tree) []finding.Finding {
	var fs []finding.Finding
	for _, r := range rules {
		fs = append(fs, r.check(cfg, tree)...)
	}
	finding.Sort(fs, tree.Files)
	return fs
}

type rule struct {
	name  string
	check func(*config.Config, *syntax.Tree) []finding.Finding
}

var rules []rule
