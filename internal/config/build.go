package config

import (
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Build turns a tree into the typed configuration. See Load.
func Build(tree *syntax.Tree) (*Config, []finding.Finding) {
	return &Config{Files: tree.Files}, nil
}

// Grammar returns the keyword table as the parser needs it.
func Grammar() syntax.Grammar { return nil }
