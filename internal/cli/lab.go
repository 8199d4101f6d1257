package cli

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/lab"
)

func newLab(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Rehearse in network namespaces",
		Long: "lab builds small networks out of network namespaces and plays with directors in\n" +
			"them. It needs root. Nothing outside the namespaces is touched.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLabDemo(a), newLabList(a), newLabClean(a))
	return c
}

func newLabDemo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Two directors, two real servers, a client: watch them fail over",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(a.env.Stderr, nil))
			return lab.Demo(c.Context(), a.env.Stdout, lab.DemoOptions{Log: log})
		},
	}
}

func newLabList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the labs of this machine, those that died too",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			all, err := lab.List()
			if err != nil {
				return err
			}
			t := table{}
			t.row("LAB", "FOR", "OWNER", "STATE", "AGE")
			for _, r := range all {
				state := "running"
				if !r.Alive() {
					state = "stale"
				}
				t.row(r.ID, r.Name, fmt.Sprintf("pid %d", r.PID), state, lasted(time.Since(r.Created)))
			}
			t.write(a.env.Stdout)
			return nil
		},
	}
}

func newLabClean(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Remove what labs left behind whose owner died",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			gone, err := lab.CleanStale()
			for _, r := range gone {
				fmt.Fprintf(a.env.Stdout, "removed %s (%s)\n", r.ID, r.Name)
			}
			if err == nil && len(gone) == 0 {
				fmt.Fprintln(a.env.Stdout, "nothing to remove")
			}
			return err
		},
	}
}
