package dump

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
)

// word writes s as one word of the language.
func word(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\f\v\r#!{}$@~'\\") {
		return `"` + s + `"`
	}
	return s
}

// command writes a command as the one quoted word that splits into argv again:
// parts in single quotes, everything that could end or change the word escaped.
func command(argv []string) string {
	var parts []string
	for _, a := range argv {
		var b strings.Builder
		plain := a != ""
		for _, c := range []byte(a) {
			switch {
			case c == '\\' || c == '\'' || c == '"' || c == '$' || c < ' ' || c == 0x7f:
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				plain = plain && c != ' ' && c != '\t'
				b.WriteByte(c)
			}
		}
		if plain {
			parts = append(parts, b.String())
		} else {
			parts = append(parts, "'"+b.String()+"'")
		}
	}
	return `"` + strings.Join(parts, " ") + `"`
}

// escaped writes a value that is read with escapes, as regex is.
func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c == '\\' || c == '"' || c == '$' || c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, `\x%02x`, c)
			continue
		}
		b.WriteByte(c)
	}
	return `"` + b.String() + `"`
}

func userWords(u config.User) []string {
	switch {
	case u.Name == "":
		return nil
	case u.Group == "":
		return []string{word(u.Name)}
	}
	return []string{word(u.Name), word(u.Group)}
}

// decimal writes a duration in a unit without exponent.
func decimal(d, unit time.Duration) string {
	whole, rest := d/unit, d%unit
	if rest == 0 {
		return strconv.FormatInt(int64(whole), 10)
	}
	s := strconv.FormatFloat(float64(rest)/float64(unit), 'f', 6, 64)
	return strconv.FormatInt(int64(whole), 10) + strings.TrimRight(s[1:], "0")
}

var units = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond}

// words writes a field's value as the keyword takes it. off means that the
// value is what the keyword cannot say.
func (p *printer) words(k *config.Keyword, v reflect.Value) (words []string, off bool) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, true
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case config.Command:
		if !x.Set() {
			return nil, true
		}
		return append([]string{command(x.Argv)}, p.commandUser(k, x)...), false
	case config.FIFO:
		if x.Path == "" {
			return nil, true
		}
		return append([]string{word(x.Path)}, userWords(x.User)...), false
	case config.User:
		w := userWords(x)
		return w, w == nil
	case config.Secret:
		if x == "" {
			return nil, true
		}
		return []string{p.secret(x)}, false
	case time.Duration:
		return []string{decimal(x, units[k.Unit])}, p.belowRange(k, int64(x))
	case netip.Addr:
		return []string{x.String()}, !x.IsValid()
	case fmt.Stringer:
		return []string{x.String()}, false
	}
	return p.basic(k, v)
}

// basic writes numbers, strings and switches.
func (p *printer) basic(k *config.Keyword, v reflect.Value) ([]string, bool) {
	switch {
	case v.Kind() == reflect.Bool && k.Args == config.ArgNone:
		return nil, !v.Bool()
	case v.Kind() == reflect.Bool:
		return []string{strconv.FormatBool(v.Bool())}, false
	case v.CanInt():
		return []string{strconv.FormatInt(v.Int(), 10)}, p.belowRange(k, v.Int())
	case v.CanUint():
		return []string{strconv.FormatUint(v.Uint(), 10)}, p.belowRange(k, int64(v.Uint()))
	case v.Kind() == reflect.String:
		if k.Optional && v.String() == "yes" {
			return nil, false
		}
		return []string{word(v.String())}, v.String() == ""
	}
	return nil, true
}

// belowRange reports a number that the keyword does not take: what holds when
// it is not written.
func (p *printer) belowRange(k *config.Keyword, v int64) bool {
	lo, _, ok := strings.Cut(k.Range, "..")
	least, err := strconv.ParseFloat(lo, 64)
	if !ok || err != nil {
		return v == 0 && k.Args == config.ArgPort
	}
	if u := units[k.Unit]; u != 0 && k.Args == config.ArgDecimal {
		return float64(v) < least*float64(u)
	}
	return float64(v) < least && v <= 0
}

// secret is a secret's value, or stars.
func (p *printer) secret(s config.Secret) string {
	if p.opt.ShowSecrets {
		return word(string(s))
	}
	return "********"
}

// commandUser names the user of a command where the file can: not for those of
// scripts and checks, which have a keyword for it.
func (p *printer) commandUser(k *config.Keyword, c config.Command) []string {
	if k.Args == config.ArgCommand1 {
		return nil
	}
	return userWords(c.User)
}
