package config

import (
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Options are what loading depends on besides the files.
type Options struct {
	// ConfigID is compared with @id lines; keepalived's default is the host
	// name up to the first dot.
	ConfigID string
	// Env looks up ${_ENV NAME}; nil knows no name.
	Env func(name string) (string, bool)
	// Seed seeds ${_RANDOM}.
	Seed uint64
	// StrictIncludes makes every include problem an error (keepalived -e).
	StrictIncludes bool
	// Origins asks for Config.Origins.
	Origins bool
}

// Load reads the named file with everything it includes and builds the typed
// configuration. All problems are in the findings, in file order; a
// configuration with a finding of severity Error must not be run. The Config
// and Tree are never nil and hold whatever could be understood.
func Load(files syntax.Files, path string, o Options) (*Config, *syntax.Tree, []finding.Finding) {
	tree, fs := syntax.Parse(files, path, syntax.Options{
		ConfigID: o.ConfigID, Env: o.Env, Seed: o.Seed,
		Grammar: Grammar(), StrictIncludes: o.StrictIncludes,
	})
	cfg, more := build(tree, o.Origins)
	fs = append(fs, more...)
	for i := range fs {
		fs[i].Exit = exitOf(&fs[i])
	}
	return cfg, tree, Present(fs, tree.Files)
}

// Present makes findings fit to be shown: secrets are hidden, what they repeat
// of a file is cut to a sane length, and they stand in the order of files.
func Present(fs []finding.Finding, files []string) []finding.Finding {
	hideSecrets(fs)
	finding.Shorten(fs)
	finding.Sort(fs, files)
	return fs
}
