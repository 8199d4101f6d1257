// Package finding is the one type in which everything that explains reports:
// what was found, where, what happens because of it, and the fix. It is pure
// and knows nothing of who found it.
package finding

import (
	"fmt"
	"strings"
)

// Severity grades a finding.
type Severity uint8

// Severities, worst last.
const (
	Note    Severity = iota + 1 // worth knowing
	Warning                     // wrong or without effect, the daemon runs
	Error                       // the configuration is refused, or an outage is likely
)

// String returns "note", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Note:
		return "note"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return "severity?"
}

// MarshalText makes JSON carry the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Severity) UnmarshalText(b []byte) error {
	for _, v := range []Severity{Note, Warning, Error} {
		if v.String() == string(b) {
			*s = v
			return nil
		}
	}
	return fmt.Errorf("severity %q: not note, warning or error", b)
}

// Place is where a finding was made: a position in a configuration, or an
// object of a host. Line and Col count from 1, Col in bytes; 0 is unknown.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Col    int    `json:"col,omitempty"`
	Object string `json:"object,omitempty"`
}

// IsZero reports whether p is no place at all.
func (p Place) IsZero() bool { return p == Place{} }

// String returns file:line:col as far as known, else the object.
func (p Place) String() string {
	switch {
	case p.File == "":
		return p.Object
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Finding is one thing found. Rule is a short stable name
// ("overridden-synonym") and ID its number in docs/lint.md ("K062"), empty for
// one that is not there; What says what really happens; Evidence and Fix may be
// empty. Source is the offending source line, for a caret. Exit is the status
// that `keepalived -t` would end with for this finding alone, 0 when it says
// nothing or accepts what it says.
type Finding struct {
	Severity Severity `json:"severity"`
	ID       string   `json:"id,omitempty"`
	Rule     string   `json:"rule"`
	Exit     int      `json:"keepalived_exit,omitempty"`
	Where    Place    `json:"where"`
	What     string   `json:"what"`
	Evidence string   `json:"evidence,omitempty"`
	Fix      string   `json:"fix,omitempty"`
	Source   string   `json:"source,omitempty"`
	// Exit is the status that `keepalived -t` ends with over this alone, 0 when
	// it accepts it.
	Exit int `json:"-"`
}

// String returns "file:line:col: severity: what", the form compilers use.
func (f Finding) String() string {
	var b strings.Builder
	if w := f.Where.String(); w != "" {
		b.WriteString(w)
		b.WriteString(": ")
	}
	b.WriteString(f.Severity.String())
	b.WriteString(": ")
	b.WriteString(f.What)
	if f.ID != "" {
		b.WriteString(" [" + f.ID + "]")
	}
	return b.String()
}

// Worst returns the worst severity among fs, 0 when there is none.
func Worst(fs []Finding) Severity {
	var w Severity
	for _, f := range fs {
		w = max(w, f.Severity)
	}
	return w
}
