package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/dump"
	"github.com/kaname-lb/kaname/internal/finding"
)

func newDump(a *app) *cobra.Command {
	var asJSON bool
	var id string
	var o dump.Options
	c := &cobra.Command{
		Use:   "dump FILE",
		Short: "Print what a configuration means, every default filled in",
		Long: "dump reads a keepalived.conf with all it includes and prints the configuration\n" +
			"that results, in the same language: each setting with its value, in comments what\n" +
			"is not set. --origin adds where each value comes from. Passwords and keys are\n" +
			"stars unless --show-secrets is given.\n\n" +
			"Exit status: 0 no errors, 1 the file has errors (on standard error; what could be\n" +
			"understood is printed all the same).",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, files []string) error {
			if id == "" {
				id = a.configID()
			}
			lo := a.loadOptions(id)
			lo.Origins = true
			cfg, _, fs := config.Load(a.env.Files, files[0], lo)
			if err := unread(fs); err != nil {
				return fmt.Errorf("dump: %w", err)
			}
			if err := a.printDump(dump.Tree(cfg, o), asJSON); err != nil {
				return err
			}
			if finding.Worst(fs) < finding.Error {
				return nil
			}
			for _, f := range fs {
				if f.Severity == finding.Error {
					fmt.Fprint(a.env.Stderr, finding.Render(f))
				}
			}
			return &exitError{code: ExitFailed}
		},
	}
	f := c.Flags()
	f.BoolVar(&asJSON, "json", false, "print the settings as JSON, with the keywords for names")
	f.BoolVar(&o.Origin, "origin", false, "say where each value comes from")
	f.BoolVar(&o.ShowSecrets, "show-secrets", false, "print passwords and keys")
	f.StringVar(&id, "config-id", "", "`ID` that @ID lines are compared with (default the host name up to the first dot)")
	return c
}

func (a *app) printDump(n *dump.Node, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprint(a.env.Stdout, n)
		return err
	}
	enc := json.NewEncoder(a.env.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(n)
}
