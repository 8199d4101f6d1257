package config_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const separator = "----------\n"

// TestGolden reads testdata/golden/*.txt: a configuration (or several files as
// txtar writes them, the first being the main one), a line of dashes, and then the typed
// Config with everything that is not zero, and the findings.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d golden files, %v; want at least 20", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(b), separator)
			fs, mainFile := archive(input)
			cfg, _, finds := config.Load(fs, mainFile, config.Options{ConfigID: "lb1", Env: env})
			got := dump(cfg) + show(finds)
			if *update {
				if err := os.WriteFile(name, []byte(input+separator+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func env(name string) (string, bool) {
	v, ok := map[string]string{"VIP": "192.0.2.9"}[name]
	return v, ok
}

// archive returns the input as files and the main file's name.
func archive(input string) (syntax.MapFiles, string) {
	fs, mainFile, name := syntax.MapFiles{}, "t.conf", "t.conf"
	for l := range strings.Lines(input) {
		if n, ok := strings.CutPrefix(l, "-- "); ok && strings.HasSuffix(l, " --\n") {
			name = strings.TrimSuffix(n, " --\n")
			if len(fs) == 0 {
				mainFile = name
			}
			continue
		}
		fs[name] += l
	}
	return fs, mainFile
}

func show(fs []finding.Finding) string {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%s [%s]\n", f, f.Rule)
		if f.Evidence != "" {
			fmt.Fprintf(&b, "    %s\n", f.Evidence)
		}
		if f.Fix != "" {
			fmt.Fprintf(&b, "    fix: %s\n", f.Fix)
		}
	}
	return b.String()
}

// dump prints every field of a Config that is not zero, nor what an empty file
// gives; positions are left out.
func dump(cfg *config.Config) string {
	var b strings.Builder
	empty, _, _ := config.Load(syntax.MapFiles{"t.conf": ""}, "t.conf", config.Options{})
	dumpFields(&b, reflect.ValueOf(*cfg), reflect.ValueOf(*empty), "")
	return b.String()
}

// dumpFields prints the fields of a struct that differ from those of def, which
// may be invalid.
func dumpFields(b *strings.Builder, v, def reflect.Value, indent string) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if f.IsZero() || name == "Place" || name == "Where" || name == "Files" || name == "Origins" {
			continue
		}
		d := reflect.Value{}
		if def.IsValid() {
			d = def.Field(i)
			if reflect.DeepEqual(f.Interface(), d.Interface()) {
				continue
			}
		}
		dumpValue(b, name, f, d, indent)
	}
}

func dumpValue(b *strings.Builder, name string, v, def reflect.Value, indent string) {
	switch x := v.Interface().(type) {
	case config.Secret:
		fmt.Fprintf(b, "%s%s: %q\n", indent, name, string(x))
		return
	case config.Command:
		fmt.Fprintf(b, "%s%s: %q", indent, name, x.Argv)
		if x.User.Name != "" {
			fmt.Fprintf(b, " as %s %s", x.User.Name, x.User.Group)
		}
		b.WriteByte('\n')
		return
	case time.Duration, netip.Addr, netip.AddrPort, netip.Prefix, fmt.Stringer:
		if v.Kind() != reflect.Struct && v.Kind() != reflect.Pointer || reflect.TypeOf(x).PkgPath() == "net/netip" {
			fmt.Fprintf(b, "%s%s: %v\n", indent, name, x)
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		dumpValue(b, name, v.Elem(), reflect.Value{}, indent)
	case reflect.Struct:
		if v.Type().Name() == "Tracking" { // embedded: its fields are the block's
			dumpFields(b, v, reflect.Value{}, indent)
			return
		}
		fmt.Fprintf(b, "%s%s:\n", indent, name)
		dumpFields(b, v, def, indent+"  ")
	case reflect.Slice:
		if v.Len() > 0 && v.Index(0).Kind() == reflect.String {
			fmt.Fprintf(b, "%s%s: %q\n", indent, name, v.Interface())
			return
		}
		for i := range v.Len() {
			dumpValue(b, fmt.Sprintf("%s[%d]", name, i), v.Index(i), reflect.Value{}, indent)
		}
	case reflect.String:
		fmt.Fprintf(b, "%s%s: %q\n", indent, name, v.String())
	default:
		fmt.Fprintf(b, "%s%s: %v\n", indent, name, v.Interface())
	}
}
