package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/finding"
)

// checkReport is the JSON of check, one for each file named, and one for each
// two files that were compared.
type checkReport struct {
	File     string            `json:"file"`
	With     string            `json:"compared_with,omitempty"`
	OK       bool              `json:"ok"` // no errors
	Findings []finding.Finding `json:"findings"`
	title    string            // what the report is about, for the verdict
}

func newReport(title string, r checkReport) checkReport {
	lint.Number(r.Findings)
	if r.Findings == nil {
		r.Findings = []finding.Finding{}
	}
	r.title, r.OK = title, finding.Worst(r.Findings) != finding.Error
	return r
}

// verdict says how it ended.
func (r *checkReport) verdict() string {
	switch {
	case r.OK:
		return "ok"
	case r.With != "":
		return "do not work together"
	}
	return "refused"
}

// checkFlags are the options of check.
type checkFlags struct {
	asJSON, asSARIF, strict bool
	rule                    string
	ids                     []string
	host                    hostFlags
}

func newCheck(a *app) *cobra.Command {
	var o checkFlags
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what is wrong with a configuration and what will really happen",
		Long: "check reads keepalived.conf files with all they include and prints what it finds:\n" +
			"errors (the file would be refused), warnings (without effect, or not what was\n" +
			"meant) and notes. Two or more files are also compared as nodes of one cluster.\n" +
			"With --host it also asks this host: interfaces, addresses, scripts, the packet\n" +
			"filter. Nothing on it is changed.\n\n" +
			"Exit status: 0 no errors, 1 errors, 2 warnings with --strict.",
		RunE: func(c *cobra.Command, files []string) error { return a.check(c.Context(), o, files) },
	}
	f := c.Flags()
	f.BoolVar(&o.asJSON, "json", false, "print the findings as JSON")
	f.BoolVar(&o.asSARIF, "sarif", false, "print the findings as SARIF 2.1.0, for code hosts and editors")
	f.StringVar(&o.rule, "explain", "", "print the page of `RULE`: K062, or its name; all lists them")
	f.BoolVar(&o.strict, "strict", false, "exit 2 when there are warnings")
	f.StringArrayVar(&o.ids, "config-id", nil, "`ID` that @ID lines are compared with (default the host name up to the first dot); once, or once for each file")
	o.host.add(c)
	return c
}

func (a *app) check(ctx context.Context, o checkFlags, files []string) error {
	switch {
	case o.rule != "" && len(files) > 0:
		return usageError("check --explain takes no files")
	case o.rule != "":
		return a.explain(o.rule)
	case o.asJSON && o.asSARIF:
		return usageError("check: only one of --json and --sarif")
	case len(files) == 0:
		return usageError("check needs the configuration FILE...")
	}
	nodes, err := a.nodes(files, o.ids)
	if err != nil {
		return err
	}
	if done, err := a.checkHost(ctx, o.host, nodes); done || err != nil {
		return err
	}
	reports := a.checkNodes(nodes)
	var all []finding.Finding
	for _, r := range reports {
		all = append(all, r.Findings...)
	}
	print := func() error { return a.printReports(reports, o.asJSON) }
	if o.asSARIF {
		print = func() error { return writeSARIF(a.env.Stdout, all) }
	}
	if err := print(); err != nil {
		return err
	}
	switch worst := finding.Worst(all); {
	case worst == finding.Error:
		return &exitError{code: ExitFailed}
	case worst == finding.Warning && o.strict:
		return &exitError{code: ExitWarnings}
	}
	return nil
}

func (a *app) loadOptions(id string) config.Options {
	return config.Options{
		ConfigID: id,
		Env: func(name string) (string, bool) {
			v := a.env.Getenv(name)
			return v, v != ""
		},
	}
}

// configID is keepalived's default for the id of @id lines.
func (a *app) configID() string {
	name, err := a.env.HostName()
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(name, ".")
	return id
}

func (a *app) printReports(reports []checkReport, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(a.env.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(reports)
	}
	var b bytes.Buffer
	for _, r := range reports {
		writeFindings(&b, r.Findings)
	}
	for _, r := range reports {
		fmt.Fprintf(&b, "%s: %s%s\n", r.title, r.verdict(), tally(r.Findings, ", "))
	}
	_, err := b.WriteTo(a.env.Stdout)
	return err
}
