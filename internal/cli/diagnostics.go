package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// writeFindings prints findings as compilers do.
func writeFindings(w io.Writer, fs []finding.Finding) {
	for _, f := range fs {
		fmt.Fprint(w, finding.Render(f))
	}
}

// tally counts findings by severity, "2 errors, 1 warning", after a prefix;
// it is empty when there are none.
func tally(fs []finding.Finding, prefix string) string {
	var parts []string
	for _, s := range []finding.Severity{finding.Error, finding.Warning, finding.Note} {
		n := 0
		for _, f := range fs {
			if f.Severity == s {
				n++
			}
		}
		if n == 1 {
			parts = append(parts, "1 "+s.String())
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %ss", n, s))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return prefix + strings.Join(parts, ", ")
}
