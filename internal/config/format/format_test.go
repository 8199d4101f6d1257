package format_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/format"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const separator = "----------\n"

// TestFormat reads testdata/format/*.txt: a text, a line of dashes, the text
// formatted.
func TestFormat(t *testing.T) {
	golden(t, "testdata/format/*.txt", 12, func(t *testing.T, in string) string {
		t.Helper()
		checkFormat(t, in)
		return format.Format("f", in)
	})
}

// golden compares what f makes of the part before the dashes with what stands
// after them.
func golden(t *testing.T, pattern string, least int, f func(*testing.T, string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < least {
		t.Fatalf("%d files %s, %v; want at least %d", len(files), pattern, err, least)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(b), separator)
			got := f(t, in)
			if *update {
				if err := os.WriteFile(name, []byte(in+separator+got), 0o644); err != nil {
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

// TestFormatBytes has what a golden file cannot show.
func TestFormatBytes(t *testing.T) {
	long := strings.Repeat("x", 1016)
	tests := []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"only empty lines", "\n \n\t\n", ""},
		{"carriage returns", "a {\r\n b 1\r\n}\r\n", "a {\n    b 1\n}\n"},
		{"no end of line", "a {\nb 1\n}", "a {\n    b 1\n}\n"},
		{"blanks at the end", "a 1 \t\nb # c \t\n", "a 1\nb # c\n"},
		{"tabs", "a\t\t1\f2\n", "a 1 2\n"},
		{"byte order mark", "\ufeffa\t1\n", "\ufeffa 1\n"},
		{"NUL", "a\x00  b\n", "a\x00  b\n"},
		{"not UTF-8", "a   \xff\xfe\n", "a \xff\xfe\n"},
		{"other blanks", "a\u3000 b\u00a0  c\n", "a\u3000 b\u00a0 c\n"},
		// keepalived cuts a line at 1022 bytes.
		{"long line", "a {\n" + long + "\n}\n", "a {\n    " + long + "\n}\n"},
		{"too long for its indent", "a {\nb {\n" + long + "\n}\n}\n", "a {\n    b {\n      " + long + "\n    }\n}\n"},
		{"too long for a blank", long + "12345#\n", long + "12345#\n"},
		{"too long for its brace", long + "12345\n{\n}\n", long + "12345\n{\n}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, format.Format("f", tt.in)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			checkFormat(t, tt.in)
		})
	}
}

// checkFormat wants that formatting is idempotent and that the statements are
// the same to the parser, whether or not it knows the keywords.
func checkFormat(t *testing.T, in string) {
	t.Helper()
	once := format.Format("f", in)
	if twice := format.Format("f", once); once != twice {
		t.Errorf("input %q\nformatted once:\n%q\ntwice:\n%q", in, once, twice)
	}
	for _, o := range []syntax.Options{
		{Limits: small}, {Limits: small, Grammar: config.Grammar()}, {Limits: small, ConfigID: "me"},
	} {
		if !limited(in, o) && !limited(once, o) && !format.Same("f", in, once, o) {
			t.Errorf("input %q\nformatted %q\nmeans something else", in, once)
		}
	}
}

var small = syntax.Limits{Lines: 5000, Bytes: 1 << 18, LineLength: 4096}

// limited reports whether reading the text meets a limit: where one bites
// depends on the layout.
func limited(in string, o syntax.Options) bool {
	_, fs := syntax.Parse(syntax.MapFiles{"f": in}, "f", o)
	return slices.ContainsFunc(fs, func(f finding.Finding) bool {
		return slices.Contains([]string{"limit", "line-too-long", "too-many-findings", "definition-loop"}, f.Rule)
	})
}

func seed(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{
		"testdata/*/*.txt", "../syntax/testdata/*.txt", "../testdata/golden/*.txt", "../lint/testdata/*",
		"../testdata/seeds/*.conf", "../testdata/golden-vrrp/*.conf",
	} {
		names, _ := filepath.Glob(pattern)
		if len(names) == 0 {
			f.Fatalf("nothing matches %s", pattern)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				continue // a directory
			}
			in, _, _ := strings.Cut(string(b), separator)
			f.Add(in)
		}
	}
}

// FuzzFormat wants for any text what checkFormat wants.
func FuzzFormat(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 1<<14 {
			t.Skip("longer texts only take longer")
		}
		checkFormat(t, in)
	})
}
