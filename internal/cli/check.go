package cli

import (
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

func newCheck(a *app) *cobra.Command {
	var asJSON, asSARIF, strict bool
	var ids []string
	var rule string
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what is wrong with a configuration and what will really happen",
		Long: "check reads keepalived.conf files with all they include and prints what it finds:\n" +
			"errors (the file would be refused), warnings (without effect, or not what was\n" +
			"meant) and notes. Two or more files are also compared as nodes of one cluster.\n" +
			"Nothing on this host is changed or asked.\n\n" +
			"Exit status: 0 no errors, 1 errors, 2 warnings with --strict.",
		RunE: func(_ *cobra.Command, files []string) error {
			switch {
			case rule != "" && len(files) > 0:
				return usageError("check --explain takes no files")
			case rule != "":
				return a.explain(rule)
			case len(files) == 0:
				return usageError("check needs the configuration FILE...")
			}
			nodes, err := a.nodes(files, ids)
			if err != nil {
				return err
			}
			reports := a.checkNodes(nodes)
			var all []finding.Finding
			for _, r := range reports {
				all = append(all, r.Findings...)
			}
			print := func() error { return a.printReports(reports, asJSON) }
			if asSARIF {
				print = func() error { return writeSARIF(a.env.Stdout, all) }
			}
			if err := print(); err != nil {
				return err
			}
			switch worst := finding.Worst(all); {
			case worst == finding.Error:
				return &exitError{code: ExitFailed}
			case worst == finding.Warning && strict:
				return &exitError{code: ExitWarnings}
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&asJSON, "json", false, "print the findings as JSON")
	f.BoolVar(&asSARIF, "sarif", false, "print the findings as SARIF 2.1.0, for code hosts and editors")
	f.StringVar(&rule, "explain", "", "print the page of `RULE`: K062, or its name; all lists them")
	f.BoolVar(&strict, "strict", false, "exit 2 when there are warnings")
	f.StringArrayVar(&ids, "config-id", nil, "`ID` that @ID lines are compared with (default the host name up to the first dot); once, or once for each file")
	return c
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
	for _, r := range reports {
		writeFindings(a.env.Stdout, r.Findings)
	}
	for _, r := range reports {
		fmt.Fprintf(a.env.Stdout, "%s: %s%s\n", r.title, r.verdict(), tally(r.Findings, ", "))
	}
	return nil
}
