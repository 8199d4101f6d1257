package checker

import (
	"fmt"
	"strings"
)

// Key returns text that is equal exactly for targets that check the same thing
// in the same way: the Key of a health.CheckerSpec. Time-outs do not count.
func (t Target) Key() string {
	var b strings.Builder
	b.WriteString(string(t.Kind))
	switch t.Kind {
	case TCP:
		t.Connect.key(&b)
	case HTTP:
		t.Connect.key(&b)
		fmt.Fprintf(&b, " HTTP/%s", t.HTTP.version())
		for _, u := range t.HTTP.URLs {
			u.key(&b)
		}
	case Misc:
		t.Misc.key(&b)
	}
	return b.String()
}

func (c Connect) key(b *strings.Builder) {
	fmt.Fprintf(b, " %s", c.To)
	if c.From.IsValid() || c.FromPort != 0 {
		fmt.Fprintf(b, " from %s port %d", c.From, c.FromPort)
	}
	if c.Device != "" {
		fmt.Fprintf(b, " dev %q", c.Device)
	}
}

func (u URL) key(b *strings.Builder) {
	fmt.Fprintf(b, " url %q status %s", u.Path, formatStatuses(u.Statuses))
	if u.Host != "" {
		fmt.Fprintf(b, " host %q", u.Host)
	}
	if u.Digest != "" {
		fmt.Fprintf(b, " digest %q", strings.ToLower(u.Digest))
	}
}

func (s MiscSpec) key(b *strings.Builder) {
	fmt.Fprintf(b, " %q", s.Argv)
	if s.User != "" || s.Group != "" {
		fmt.Fprintf(b, " user %q group %q", s.User, s.Group)
	}
	if len(s.Env) > 0 {
		fmt.Fprintf(b, " env %q", s.Env)
	}
	if s.Dynamic {
		b.WriteString(" dynamic")
	}
}

// formatStatuses returns "200-299" or "200, 301-302".
func formatStatuses(ranges []StatusRange) string {
	var b strings.Builder
	for i, r := range orDefault(ranges) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, r.From)
		if r.To != r.From {
			fmt.Fprintf(&b, "-%d", r.To)
		}
	}
	return b.String()
}
