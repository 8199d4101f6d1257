package keepalived

import (
	"fmt"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// Exit statuses of `keepalived -t`.
const (
	exitMissing  = 2 // a missing parameter stopped the parse
	exitFile     = 4 // the file cannot be read, as the only problem
	exitConfig   = 5 // any other error or warning
	exitSecurity = 6 // scripts without enable_script_security, a strict include
)

// ExitCode is the exit status of `keepalived -t` for what was found. A missing
// parameter ends keepalived's parse and with it everything: 2. Of the others 6
// hides 5, and 5 hides 4. An error that keepalived would not have told is 5:
// the file is refused here.
func ExitCode(fs []finding.Finding) int {
	var seen [exitSecurity + 1]bool
	for _, f := range fs {
		if code := exitOf(f); code > 0 && code < len(seen) {
			seen[code] = true
		}
	}
	for _, code := range []int{exitMissing, exitSecurity, exitConfig, exitFile} {
		if seen[code] {
			return code
		}
	}
	return 0
}

func exitOf(f finding.Finding) int {
	if f.Exit == 0 && f.Severity == finding.Error {
		return exitConfig
	}
	return f.Exit
}

// Told reports whether -t prints f: notes that keepalived has none of are for
// those who asked for details.
func Told(f finding.Finding, detail bool) bool {
	return detail || f.Severity != finding.Note || exitOf(f) != 0
}

// Message is f as -t prints it: one line, "(FILE: Line N) what: fix".
func Message(f finding.Finding) string {
	var b strings.Builder
	switch w := f.Where; {
	case w.File != "" && w.Line > 0:
		fmt.Fprintf(&b, "(%s: Line %d) ", w.File, w.Line)
	case !w.IsZero():
		fmt.Fprintf(&b, "(%s) ", w)
	}
	b.WriteString(f.What)
	if f.Fix != "" {
		b.WriteString(": ")
		b.WriteString(f.Fix)
	}
	return finding.Clean(b.String())
}
