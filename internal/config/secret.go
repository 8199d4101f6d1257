package config

import (
	"strings"

	"github.com/kaname-lb/kaname/internal/finding"
)

// Secret is a value that is not shown: its methods print "(hidden)". Convert it
// to string where it is used.
type Secret string

// String returns "(hidden)", or "" for no secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String, for JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Confidential reports whether what follows the keyword must not be shown.
func Confidential(kw string) bool { return kw == "sync_key" }

// Conceal hides in findings what follows a confidential keyword: the source
// line is cut off behind it, also behind a misspelt one, which the finding then
// names, and words from behind it are not repeated.
func Conceal(fs []finding.Finding) {
	for i := range fs {
		f := &fs[i]
		shown, hidden := conceal(f.Source, f.What, f.Where.Col)
		if hidden == "" {
			continue
		}
		f.Source = shown + " ..."
		for _, w := range strings.FieldsFunc(hidden, func(r rune) bool { return strings.ContainsRune(" \t\"'{}", r) }) {
			if len(w) > 3 { // shorter ones are words of the finding
				f.What = strings.ReplaceAll(f.What, w, "(hidden)")
				f.Fix = strings.ReplaceAll(f.Fix, w, "(hidden)")
			}
		}
	}
}

// conceal divides a source line into what can be shown and what must not.
func conceal(source, what string, col int) (shown, hidden string) {
	const kw = "sync_key"
	if i := strings.Index(source, kw); i >= 0 {
		return source[:i+len(kw)], source[i+len(kw):]
	}
	if strings.Contains(what, kw) && col >= 1 && col <= len(source) {
		if n := strings.IndexAny(source[col-1:], " \t"); n >= 0 {
			return source[:col-1+n], source[col-1+n:]
		}
	}
	return source, ""
}
