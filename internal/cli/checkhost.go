package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/lint"
)

// hostFlags say whether check looks at a host, and at which.
type hostFlags struct {
	on, off, show bool
	file          string
}

func (o *hostFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.on, "host", false, "look at this host too (default as root for a file below /etc whose interfaces are here)")
	f.BoolVar(&o.off, "no-host", false, "look at the file alone")
	f.StringVar(&o.file, "host-file", "", "take the facts of the host from `FILE`, as --show-host printed them there")
	f.BoolVar(&o.show, "show-host", false, "print the facts that --host would look at, and check nothing")
}

func (o *hostFlags) asked() bool { return o.on || o.show || o.file != "" }

// checkHost adds what the host has against the file. It is done when that was
// to print the facts.
func (a *app) checkHost(ctx context.Context, o hostFlags, nodes []checkNode) (done bool, err error) {
	switch {
	case o.off && o.asked():
		return false, usageError("check: --no-host goes with no other option about the host")
	case o.asked() && len(nodes) > 1:
		return false, usageError("check: a host has one FILE; compare several without --host")
	case o.off || len(nodes) > 1 || !o.asked() && !a.isDirectorOf(nodes[0]):
		return false, nil
	}
	n := &nodes[0]
	if err := unread(n.findings); o.show && err != nil {
		return false, fmt.Errorf("check --show-host: %w", err)
	}
	host, err := a.facts(ctx, o, n.Config)
	if err != nil {
		return false, err
	}
	if o.show {
		_, err := fmt.Fprint(a.env.Stdout, host)
		return true, err
	}
	n.findings = append(n.findings, lint.CheckHost(n.Config, n.Tree, host)...)
	return false, nil
}

// facts are those of this host, or of the one that the file is from.
func (a *app) facts(ctx context.Context, o hostFlags, cfg *config.Config) (lint.Host, error) {
	if o.file == "" {
		return a.env.Observe(ctx, lint.Ask(cfg)), nil
	}
	f, err := a.env.Open(o.file)
	if err != nil {
		return lint.Host{}, usageError("check --host-file: %w: name a text that --show-host printed", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return lint.Host{}, usageError("check --host-file: %w: name a text that --show-host printed", err)
	}
	h, err := lint.ParseHost(string(b))
	if err != nil {
		return h, usageError("check --host-file %s: %w: name a text that --show-host printed", o.file, err)
	}
	return h, nil
}

// isDirectorOf reports whether the file is this host's own: a system's file,
// whose interfaces are here.
func (a *app) isDirectorOf(n checkNode) bool {
	path, err := filepath.Abs(n.file)
	if err != nil || !strings.HasPrefix(path, "/etc/") || !a.env.Root || len(n.Config.Instances) == 0 {
		return false
	}
	for _, in := range n.Config.Instances {
		if exists, _ := a.env.Host.Interface(in.Interface); !exists {
			return false
		}
	}
	return true
}
