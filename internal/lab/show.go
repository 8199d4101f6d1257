package lab

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// PrintList prints the labs of this machine: `kaname lab list`.
func PrintList(out io.Writer) error {
	all, err := List()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintln(out, "no labs")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LAB\tFOR\tOWNER\tAGE\tNAMESPACES")
	for _, r := range all {
		owner := fmt.Sprintf("process %d", r.PID)
		if !r.Alive() {
			owner = "gone; `kaname lab clean` removes it"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", r.ID, r.Name, owner, time.Since(r.Created).Round(time.Second), len(r.Namespaces()))
	}
	return w.Flush()
}

// PrintClean removes what crashed labs left and says so: `kaname lab clean`.
func PrintClean(out io.Writer) error {
	gone, err := CleanStale()
	for _, r := range gone {
		fmt.Fprintf(out, "removed %s (%s, of process %d)\n", r.ID, r.Name, r.PID)
	}
	if err == nil && len(gone) == 0 {
		fmt.Fprintln(out, "nothing to clean")
	}
	return err
}
