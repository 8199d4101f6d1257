package cli

import (
	"fmt"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/lint"
)

// explain prints the page of a rule, or with "all" the list of them.
func (a *app) explain(rule string) error {
	if rule == "all" {
		for p := range lint.Pages() {
			if _, err := fmt.Fprintf(a.env.Stdout, "%s  %-8s %-28s %s\n", p.ID, p.Severity, p.Rule, p.Summary); err != nil {
				return err
			}
		}
		return nil
	}
	p := lint.Explain(strings.TrimSpace(rule))
	if p == nil {
		return usageError("check --explain %s: there is no such rule: --explain all lists them", rule)
	}
	_, err := fmt.Fprint(a.env.Stdout, p)
	return err
}
