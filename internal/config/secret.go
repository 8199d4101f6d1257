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

// confidential are the keywords whose words are not shown. Those of anywhere are
// looked for in the whole line, since they stand for nothing else; the others
// are common words, which count at its beginning.
var confidential = []struct {
	kw       string
	anywhere bool
}{
	{"sync_key", true},  // kaname
	{"auth_pass", true}, // authentication
	{"password", false}, // SSL
	{"key", false},      // auth_hmac; SSL's is a file's name
	{"active_key", false},
}

// Confidential reports whether what follows the keyword must not be shown.
func Confidential(kw string) bool {
	for _, c := range confidential {
		if c.kw == kw {
			return true
		}
	}
	return false
}

// hideSecrets hides in findings what follows a confidential keyword: the source
// line is cut off behind it, also behind a misspelt one, which the finding then
// names, and words from behind it are not repeated.
func hideSecrets(fs []finding.Finding) {
	for i := range fs {
		f := &fs[i]
		shown, hidden := conceal(f.Source, f.What, f.Where.Col)
		if hidden == "" {
			continue
		}
		f.Source = shown + " ..."
		for _, w := range strings.FieldsFunc(hidden, func(r rune) bool { return strings.ContainsRune(" \t\"'{}", r) }) {
			if len(w) > 3 && w != "PASS" { // shorter ones are words of the finding
				for _, s := range []*string{&f.What, &f.Evidence, &f.Fix} {
					*s = strings.ReplaceAll(*s, w, "(hidden)")
				}
			}
		}
	}
}

// conceal divides a source line into what can be shown and what must not.
func conceal(source, what string, col int) (shown, hidden string) {
	for _, c := range confidential {
		i := strings.Index(source, c.kw)
		if !c.anywhere {
			i = firstWord(source, c.kw)
		}
		if i >= 0 {
			return source[:i+len(c.kw)], source[i+len(c.kw):]
		}
		if c.anywhere && strings.Contains(what, c.kw) && col >= 1 && col <= len(source) {
			if n := strings.IndexAny(source[col-1:], " \t"); n >= 0 {
				return source[:col-1+n], source[col-1+n:]
			}
		}
	}
	return source, ""
}

// firstWord returns where the line begins with the keyword, behind blanks and an
// @ mark; -1 when it does not.
func firstWord(line, kw string) int {
	i := len(line) - len(strings.TrimLeft(line, " \t{"))
	if strings.HasPrefix(line[i:], "@") {
		n := strings.IndexAny(line[i:], " \t")
		if n < 0 {
			return -1
		}
		i += n
		i += len(line[i:]) - len(strings.TrimLeft(line[i:], " \t"))
	}
	rest, ok := strings.CutPrefix(line[i:], kw)
	if !ok || rest == "" || rest[0] != ' ' && rest[0] != '\t' {
		return -1
	}
	return i
}
