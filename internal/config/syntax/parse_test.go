package syntax_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const separator = "----------\n"

// grammar is a small vocabulary: what opens blocks where.
type grammar map[string]syntax.Kind

func (g grammar) Kind(path, word string) syntax.Kind { return g[path+"/"+word] }

var small = grammar{
	"/top": syntax.Block, "/other": syntax.Block, "/plain": syntax.Plain,
	"top/inner": syntax.Block, "top/list": syntax.ValueBlock, "top/a": syntax.Plain, "top/b": syntax.Plain,
	"top/inner/x": syntax.Plain, "other/a": syntax.Plain,
}

// TestGolden reads testdata/*.txt: text, a line of dashes, then the tree with
// every word's position, and the findings.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(b), separator)
			tree, fs := syntax.Parse(syntax.MapFiles{"f": input}, "f", syntax.Options{Grammar: small, ConfigID: "me"})
			got := outline(tree.Body, true) + findings(fs)
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

// outline prints the tree, a statement a line, words in brackets.
func outline(body []*syntax.Statement, positions bool) string {
	var b strings.Builder
	var walk func(body []*syntax.Statement, indent string)
	walk = func(body []*syntax.Statement, indent string) {
		for _, st := range body {
			b.WriteString(indent)
			for _, w := range st.Words {
				if positions {
					fmt.Fprintf(&b, "%d:%d", w.Pos.Place().Line, w.Pos.Place().Col)
				}
				fmt.Fprintf(&b, "%q ", w.Text)
			}
			if st.Block == nil {
				b.WriteByte('\n')
				continue
			}
			b.WriteString("{\n")
			walk(st.Block.Body, indent+"  ")
			b.WriteString(indent + "}\n")
		}
	}
	walk(body, "")
	return b.String()
}

func findings(fs []finding.Finding) string {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%s [%s] %s\n", f, f.Rule, f.Evidence)
	}
	return b.String()
}

func TestSplitCommand(t *testing.T) {
	tests := []struct {
		in   string
		want []string
		bad  bool
	}{
		{`/bin/a`, []string{"/bin/a"}, false},
		{`  /bin/a  b	c `, []string{"/bin/a", "b", "c"}, false},
		{`/bin/a 'b c' "d e"`, []string{"/bin/a", "b c", "d e"}, false},
		{`/bin/a b'c d'"e f"g`, []string{"/bin/a", "bc de fg"}, false},
		{`a 'it"s' "it's"`, []string{"a", `it"s`, "it's"}, false},
		{`a ''`, []string{"a", ""}, false},
		{`a \x41\101\t\n\cA\E\q\\ \"`, []string{"a", "AA\t\n\x01\x1bq\\", `"`}, false},
		{`a \x4 \12 \8`, []string{"a", "\x04", "\n", "8"}, false},
		{`a 'b`, []string{"a"}, true},
		{`a \`, []string{"a", `\`}, false},
		{``, nil, false},
	}
	for _, tt := range tests {
		got, err := syntax.SplitCommand(tt.in)
		if d := cmp.Diff(tt.want, got); d != "" || (err != nil) != tt.bad {
			t.Errorf("SplitCommand(%q): %v (-want +got):\n%s", tt.in, err, d)
		}
	}
}

func TestQuotedWords(t *testing.T) {
	text := "notify_x  'a \"b' c\"d e\"f user"
	tree, _ := syntax.Parse(syntax.MapFiles{"f": text}, "f", syntax.Options{})
	ws, err := tree.Body[0].QuotedWords()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range ws {
		got = append(got, fmt.Sprintf("%d:%s:%v", w.Pos.Place().Col, w.Text, w.Quoted))
	}
	want := []string{"1:notify_x:false", "11:a \"b:true", "18:cd ef:true", "26:user:false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	tree, _ = syntax.Parse(syntax.MapFiles{"f": "notify 'a b"}, "f", syntax.Options{})
	if _, err := tree.Body[0].QuotedWords(); err == nil {
		t.Error("an open quote was accepted")
	}
}

// TestLimits feeds texts that grow without end and wants a clear Error, little
// memory (a small tree) and no panic.
func TestLimits(t *testing.T) {
	lim := syntax.Limits{Lines: 1000, Bytes: 1 << 16, LineLength: 4096, IncludeDepth: 8, BlockDepth: 16, Findings: 50}
	tests := []struct {
		name, text, rule string
	}{
		{"giant sequence", "~SEQ(I, 1, 2000000000) x $I", "limit"},
		{"empty giant sequence", "~SEQ(I, 1, 2000000000)", "limit"},
		{"nested sequences", "~SEQ(I,1,1000) ~SEQ(J,1,1000) ~SEQ(K,1,1000) x", "limit"},
		{"self", "$A=$A\nx $A", "definition-loop"},
		{"mutual", "$A=${B}x\n$B=${A}\nx $A", "definition-loop"},
		{"doubling", "$A=xxxxxxxxxxxxxxxx\n$B=${A}${A}${A}${A}${A}${A}${A}${A}\n$C=${B}${B}${B}${B}${B}${B}${B}${B}\n$D=${C}${C}${C}${C}${C}${C}${C}\nx ${D}", "limit"},
		{"multi-line self", "$A= \\\nx \\\n$A \\\ny\n$A", "limit"},
		{"multi-line twice", "$A= \\\n$B \\\n$B \\\nz\n$B= \\\n$A \\\n$A \\\nz\n$A", "definition-loop"},
		{"include self", "include f", "include-loop"},
		{"deep", strings.Repeat("x {\n", 100), "limit"},
		{"long line", strings.Repeat("x", 5000), "line-too-long"},
		{"many findings", strings.Repeat("}\n", 500), "too-many-findings"},
		{"include chain", "include g1", "limit"},
		{"braces", strings.Repeat("}$x ", 1000), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := syntax.MapFiles{"f": tt.text}
			for i := range 20 {
				files[fmt.Sprintf("g%d", i)] = fmt.Sprintf("include g%d", i+1)
			}
			tree, fs := syntax.Parse(files, "f", syntax.Options{Limits: lim, Grammar: small})
			found := tt.rule == ""
			for _, f := range fs {
				found = found || f.Rule == tt.rule && f.Severity == finding.Error
			}
			if !found {
				t.Errorf("no %s error:\n%s", tt.rule, findings(fs))
			}
			if n := strings.Count(outline(tree.Body, false), "\n"); n > 2*lim.Lines {
				t.Errorf("tree of %d lines", n)
			}
			if len(fs) > lim.Findings+1 {
				t.Errorf("%d findings", len(fs))
			}
		})
	}
}

func TestUnreadableMainFile(t *testing.T) {
	tree, fs := syntax.Parse(syntax.MapFiles{}, "/etc/none.conf", syntax.Options{})
	if tree == nil || len(fs) != 1 || fs[0].Severity != finding.Error || fs[0].String() != "/etc/none.conf: error: no such file" {
		t.Errorf("got %v", fs)
	}
}

// TestSource prints texts, and wants the given layout.
func TestSource(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"indent", "a {\nb 1\n  c {\n}\n}\n", "a {\n    b 1\n    c {\n    }\n}\n"},
		{"one line", "a { b 1 } # x", "a {\n    b 1\n} # x\n"},
		{"comments", "# x\na 1   ! y  \n\n   # z", "# x\na 1 ! y\n\n# z\n"},
		{"brace below", "a\n{\nb\n}", "a {\n    b\n}\n"},
		{"brace below a comment", "a # c\n{ # d\nb\n}", "a # c\n{ # d\n    b\n}\n"},
		{"brace below an empty line", "a\n\n  \n{\nb\n}", "a {\n    b\n}\n"},
		{"brace takes the comment along", "a # c\n{ b # d\n}", "a { # c\n    b # d\n}\n"},
		{"brace below an open quote", "a \"b\n{\n}", "a \"b\n{\n}\n"},
		{"a brace for each", "a {\n{\nb\n}\n}", "a {\n    {\n        b\n    }\n}\n"},
		{"mark behind a backslash", "a \\#b { c }\nd", "a \\#b { c }\nd\n"},
		{"blocks by mark", "@x a {\n@y b {\nc\n}\nd", "@x a {\n@y b {\n    c\n}\nd\n"},
		{"blocks by one mark", "@x a {\n@x b {\nc\n}\n}", "@x a {\n    @x b {\n        c\n    }\n}\n"},
		{"include keeps its braces", "a { include b }\n}", "a {\n    include b }\n}\n"},
		{"quotes", `a "{ # }" { b`, "a \"{ # }\" {\n    b\n"},
		{"marks", "@x a {\n@x b\n@x }\n", "@x a {\n    @x b\n@x }\n"},
		{"definition", "$A= \\\n  a { \\\n\tb \\\n }\nc", "$A= \\\n  a { \\\n\tb \\\n }\nc\n"},
		{"names stay whole", "a ${B} { $C }", "a ${B} { $C }\n"},
		{"include", "a {\ninclude x{a,b}\n}", "a {\n    include x{a,b}\n}\n"},
		{"glued", "a b{\n}", "a b {\n}\n"},
		{"extra close", "}\na", "}\na\n"},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := syntax.ParseSource("f", tt.in).String()
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			roundTrip(t, tt.in)
		})
	}
}

// roundTrip wants that printing is idempotent and does not change the meaning.
func roundTrip(t *testing.T, in string) {
	t.Helper()
	once := syntax.ParseSource("f", in).String()
	if twice := syntax.ParseSource("f", once).String(); once != twice {
		t.Errorf("input %q\nprinted once:\n%q\ntwice:\n%q", in, once, twice)
	}
	small := syntax.Options{Limits: syntax.Limits{Lines: 5000, Bytes: 1 << 18, LineLength: 4096}}
	a, fa := syntax.Parse(syntax.MapFiles{"f": in}, "f", small)
	b, fb := syntax.Parse(syntax.MapFiles{"f": once}, "f", small)
	if limited(fa) || limited(fb) {
		return // where a limit bites depends on the layout
	}
	if d := cmp.Diff(outline(a.Body, false), outline(b.Body, false)); d != "" {
		t.Errorf("input %q\nprinted %q\nmeans something else (-before +after):\n%s", in, once, d)
	}
}

func limited(fs []finding.Finding) bool {
	for _, f := range fs {
		switch f.Rule {
		case "limit", "line-too-long", "too-many-findings":
			return true
		}
	}
	return false
}

func seed(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"testdata/*.txt", "../testdata/golden/*.txt", "../testdata/seeds/*.conf", "../testdata/golden-vrrp/*.conf"} {
		names, _ := filepath.Glob(pattern)
		if len(names) == 0 {
			f.Fatalf("nothing matches %s", pattern)
		}
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil {
				f.Fatal(err)
			}
			in, _, _ := strings.Cut(string(b), separator)
			f.Add(in)
		}
	}
}

// FuzzParse wants no panic, a bounded tree, positions inside the file, and
// findings that say where they are.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in string) {
		files := syntax.MapFiles{"f": in, "g": "x { y\n", "d/h": "include ../f\n"}
		o := syntax.Options{ConfigID: "me", Grammar: small, Limits: syntax.Limits{Lines: 5000, Bytes: 1 << 18, LineLength: 4096}}
		tree, fs := syntax.Parse(files, "f", o)
		var walk func(body []*syntax.Statement)
		walk = func(body []*syntax.Statement) {
			for _, st := range body {
				for _, w := range st.Words {
					p := w.Pos
					if !p.IsValid() || p.Place().Line < 1 || p.Place().Col < 1 || p.Place().Col > len(p.Source())+1 {
						t.Fatalf("word %q at %v of %q", w.Text, p.Place(), p.Source())
					}
				}
				_, _ = st.QuotedWords()
				if st.Block != nil {
					walk(st.Block.Body)
				}
			}
		}
		walk(tree.Body)
		for _, fd := range fs {
			if fd.What == "" || fd.Rule == "" || fd.Where.IsZero() {
				t.Fatalf("incomplete finding %+v", fd)
			}
			finding.Render(fd)
		}
	})
}

// FuzzPrint wants the round trip for any text.
func FuzzPrint(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in string) { roundTrip(t, in) })
}
