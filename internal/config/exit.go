package config

import "github.com/kaname-lb/kaname/internal/finding"

// Exit statuses of `keepalived -t`.
const (
	exitMissing  = 2 // a missing parameter ends the parse
	exitFile     = 4 // the file cannot be read
	exitConfig   = 5 // any other error or warning
	exitSecurity = 6 // scripts without enable_script_security, a strict include
)

// exitNone is the status of a finding that keepalived -t has no message for,
// where others of its rule have one. Load makes it 0.
const exitNone = -1

// silent are the rules about what keepalived -t accepts without a message.
var silent = map[string]bool{
	"deprecated":               true,
	"duplicate-address":        true,
	"duplicate-script":         true,
	"duplicate-virtual-server": true,
	"empty-block":              true,
	"extra-words":              true,
	"flag-of-other-scheduler":  true,
	"flag-with-value":          true,
	"ha-suspend-of-group":      true,
	"include-skipped":          true,
	"lookalike-character":      true,
	"master-without-priority":  true,
	"name-not-replaced":        true,
	"no-effect":                true,
	"no-effect-anywhere":       true,
	"no-effect-here":           true,
	"not-supported":            true,
	"not-utf-8":                true,
	"nothing-to-run":           true,
	"password-without-type":    true,
	"regex-missing":            true,
	"regex-never-fits":         true,
	"same-fifo":                true,
	"short-sync-key":           true,
	"sorry-before-method":      true,
	"sync-instance":            true,
	"sync-threshold-order":     true,
	"undefined-name":           true,
	"unknown-group":            true,
	"unknown-regex-option":     true,
	"unquoted-command":         true,
}

// exitOf is the status that keepalived -t would end with for a finding of the
// parser or the builder.
func exitOf(f *finding.Finding) int {
	switch {
	case f.Exit > 0:
		return f.Exit
	case f.Rule == "include-skipped" && f.Severity == finding.Error:
		return exitSecurity
	case f.Exit == exitNone || silent[f.Rule] || f.Severity == finding.Note:
		return 0
	case f.Rule == "unreadable-file":
		return exitFile
	case f.Rule == "missing-parameter" && f.Severity == finding.Error:
		return exitMissing
	}
	return exitConfig
}
