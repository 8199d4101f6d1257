package director

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/configio"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// sources is the text of a configuration as it was read, so that a director
// that resumes runs what its predecessor ran, whatever is on disk by then. It
// implements syntax.Files from memory.
type sources struct {
	Path     string              `json:"path"`
	ConfigID string              `json:"config_id"`
	Seed     uint64              `json:"seed"`
	Texts    map[string]fileText `json:"texts"`
	Globs    map[string][]string `json:"globs"`
	Only     string              `json:"only,omitempty"` // Options.Only
	Strict   bool                `json:"strict,omitempty"`
}

type fileText struct {
	Content []byte      `json:"content,omitempty"`
	Mode    fs.FileMode `json:"mode,omitempty"`
	Missing bool        `json:"missing,omitempty"`
	Err     string      `json:"err,omitempty"`
}

// Read returns a file as it was.
func (s *sources) Read(name string) ([]byte, fs.FileMode, error) {
	t, ok := s.Texts[name]
	switch {
	case !ok || t.Missing:
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case t.Err != "":
		return nil, t.Mode, errors.New(t.Err)
	}
	return t.Content, t.Mode, nil
}

// Glob returns the names that matched.
func (s *sources) Glob(pattern string) ([]string, error) { return s.Globs[pattern], nil }

// recorder reads files and keeps what it read.
type recorder struct {
	files syntax.Files
	kept  *sources
}

func (r recorder) Read(name string) ([]byte, fs.FileMode, error) {
	b, mode, err := r.files.Read(name)
	t := fileText{Content: b, Mode: mode}
	if err != nil {
		t = fileText{Mode: mode, Missing: errors.Is(err, fs.ErrNotExist), Err: err.Error()}
	}
	r.kept.Texts[name] = t
	return b, mode, err
}

func (r recorder) Glob(pattern string) ([]string, error) {
	names, err := r.files.Glob(pattern)
	r.kept.Globs[pattern] = names
	return names, err
}

// loaded is a configuration with its text and everything found in it.
type loaded struct {
	cfg      *config.Config
	findings []finding.Finding
	sources  *sources
}

// ok reports whether the configuration can be run.
func (l loaded) ok() bool { return finding.Worst(l.findings) < finding.Error }

// unreadable says why the file itself could not be read; nil when it was. What
// it includes is a matter of findings.
func (l loaded) unreadable() error {
	t := l.sources.Texts[l.sources.Path]
	switch {
	case t.Err != "":
		return fmt.Errorf("configuration file: %s: name another one with -f FILE", t.Err)
	case t.Mode.IsDir():
		return fmt.Errorf("configuration file %s: is a directory: name a file in it with -f FILE", l.sources.Path)
	case !t.Mode.IsRegular():
		return fmt.Errorf("configuration file %s: is not a regular file: name another one with -f FILE", l.sources.Path)
	}
	return nil
}

// load reads the file of o and lints it.
func load(o Options, seed uint64) loaded {
	s := &sources{
		Path: o.File, ConfigID: configID(o), Seed: seed,
		Texts: map[string]fileText{}, Globs: map[string][]string{},
		Only: o.Only, Strict: o.StrictIncludes,
	}
	return build(recorder{configio.OS{}, s}, s)
}

// reload builds what a predecessor ran.
func (s *sources) reload() loaded { return build(s, s) }

func build(files syntax.Files, s *sources) loaded {
	cfg, tree, fs := config.Load(files, s.Path, config.Options{
		ConfigID: s.ConfigID, Env: os.LookupEnv, Seed: s.Seed, StrictIncludes: s.Strict,
	})
	fs = append(fs, lint.Check(cfg, tree)...)
	lint.Number(fs)
	finding.Sort(fs, tree.Files)
	return loaded{only(cfg.Runnable(), s.Only), fs, s}
}

// only returns the part of c that a director of one subsystem runs.
func only(c *config.Config, part string) *config.Config {
	switch part {
	case "vrrp":
		c.VirtualServers, c.Global.SyncDaemon = nil, nil
	case "checks":
		c.Instances, c.SyncGroups, c.Scripts, c.Global.SyncDaemon = nil, nil, nil, nil
	}
	return c
}

func configID(o Options) string {
	if o.ConfigID != "" {
		return o.ConfigID
	}
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	short, _, _ := strings.Cut(name, ".")
	return short
}
