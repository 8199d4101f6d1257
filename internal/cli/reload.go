package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func newReload(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make the director read its configuration again",
		Long: "reload asks the director to read its configuration file again and waits until the\n" +
			"new one runs. A file with errors is refused as a whole, and the old configuration\n" +
			"goes on. What is found in the file is printed either way.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			res, err := client.Reload(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(a.env.Stdout)
				enc.SetIndent("", "  ")
				if err := enc.Encode(res); err != nil {
					return err
				}
			} else {
				writeFindings(a.env.Stderr, res.Findings)
			}
			if !res.OK {
				why := res.Error
				if why == "" {
					why = "the file has errors"
				}
				return fmt.Errorf("reload refused, the old configuration goes on: %s", why)
			}
			if !asJSON {
				fmt.Fprintln(a.env.Stdout, "reloaded"+tally(res.Findings, ", with "))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	return c
}
