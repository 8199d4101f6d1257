package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Director is a host on which `kaname run` runs, with a socket directory and
// an instance name of its own.
type Director struct {
	Host    *Host
	Process *Process
	Config  string // path of its configuration file

	binary, runDir, instance string
}

// StartDirector writes the configuration into the host's directory, starts
// the binary with it and waits until it says that it is ready. It may be
// called again on the same host after the earlier director has ended.
func (h *Host) StartDirector(ctx context.Context, binary, config string) (*Director, error) {
	d := &Director{
		Host: h, binary: binary, instance: h.spec.Name,
		Config: filepath.Join(h.Dir(), "keepalived.conf"), runDir: filepath.Join(h.Dir(), "run"),
	}
	if err := d.WriteConfig(config); err != nil {
		return nil, err
	}
	var err error
	if d.Process, err = h.Start(d.program()); err != nil {
		return nil, err
	}
	return d, d.Process.WaitReady(ctx)
}

func (d *Director) program() Program {
	args := append([]string{d.binary, "run", "-f", d.Config}, d.flags()...)
	// Dumps on signals go to the host's own directory.
	return Program{Args: args, Name: "kaname", Notify: true, Env: []string{"TMPDIR=" + d.Host.Dir()}}
}

func (d *Director) flags() []string {
	return []string{"--instance", d.instance, "--run-dir", d.runDir}
}

// WriteConfig replaces the configuration file; the director reads it when it
// is told to reload.
func (d *Director) WriteConfig(config string) error {
	if err := os.WriteFile(d.Config, []byte(config), 0o644); err != nil {
		return fmt.Errorf("host %s: configuration: %w", d.Host.spec.Name, err)
	}
	return nil
}

// Tool runs a subcommand of the binary against this director, such as
// Tool(ctx, "ipvs", "-Ln"), and returns what it prints.
func (d *Director) Tool(ctx context.Context, command string, args ...string) (string, error) {
	all := append([]string{d.binary, command}, d.flags()...)
	return d.Host.Run(ctx, append(all, args...)...)
}
