package dump_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/dump"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func load(files syntax.MapFiles, name string) (*config.Config, []finding.Finding) {
	cfg, _, fs := config.Load(files, name, config.Options{ConfigID: "lb1", Origins: true})
	return cfg, fs
}

// corpus are the configurations that the tests of the language hold, by name.
func corpus(t testing.TB) map[string]syntax.MapFiles {
	t.Helper()
	all := map[string]syntax.MapFiles{}
	for _, pattern := range []string{"../testdata/seeds/*.conf", "../testdata/golden-vrrp/*.conf", "../testdata/golden/*.txt", "testdata/*.conf"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(b), "----------\n")
			all[name] = archive(input)
		}
	}
	return all
}

// archive takes the files of a golden apart; the main one is named "main".
func archive(input string) syntax.MapFiles {
	fs, name := syntax.MapFiles{}, "main"
	for l := range strings.Lines(input) {
		if n, ok := strings.CutPrefix(l, "-- "); ok && strings.HasSuffix(n, " --\n") {
			if name = strings.TrimSuffix(n, " --\n"); len(fs) == 0 {
				name = "main"
			}
			continue
		}
		fs[name] += l
	}
	return fs
}

// TestRoundTrip wants that a dump is a configuration that means the same, and
// that the same is dumped again.
func TestRoundTrip(t *testing.T) {
	for name, files := range corpus(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			cfg, _ := load(files, "main")
			if s := cfg.Global.SyncDaemon; s != nil {
				s.HasID = true // the dump has it
			}
			text := dump.Tree(cfg, dump.Options{ShowSecrets: true, Origin: true}).String()
			again, fs := load(syntax.MapFiles{"dump.conf": text}, "dump.conf")
			if d := config.Same(cfg, again, withoutMeaning...); d != "" {
				t.Errorf("not the same: %s", d)
			}
			for _, f := range fs {
				if f.Severity == finding.Error && !strings.Contains(strings.Join(strings.Fields(f.Rule), " "), "missing-") {
					t.Error(f)
				}
			}
			if second := dump.Tree(again, dump.Options{ShowSecrets: true}).String(); second != dump.Tree(cfg, dump.Options{ShowSecrets: true}).String() {
				t.Errorf("not stable:\n%s", cmp.Diff(dump.Tree(cfg, dump.Options{ShowSecrets: true}).String(), second))
			}
		})
	}
}

// FuzzDump wants that any text can be dumped, with and without secrets, that
// the dump of what could be run is read without an Error, and that dumping that
// gives the same again.
func FuzzDump(f *testing.F) {
	for _, files := range corpus(f) {
		if len(files) == 1 {
			f.Add(files["main"])
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		cfg, fs := load(syntax.MapFiles{"main": in}, "main")
		_ = dump.Tree(cfg, dump.Options{}).String()
		text := dump.Tree(cfg, dump.Options{ShowSecrets: true}).String()
		if finding.Worst(fs) > finding.Note {
			return
		}
		again, fs := load(syntax.MapFiles{"dump.conf": text}, "dump.conf")
		if finding.Worst(fs) == finding.Error {
			t.Fatalf("the dump is refused: %v\n%s", fs, text)
		}
		if second := dump.Tree(again, dump.Options{ShowSecrets: true}).String(); second != text {
			t.Fatalf("not stable: %s", cmp.Diff(text, second))
		}
	})
}

// withoutMeaning are keywords that a dump writes in another way.
var withoutMeaning = []string{}

// TestGolden pins the dump of a file with everything, with origins, as text and
// as JSON.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(names) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg, _ := load(syntax.MapFiles{"t.conf": string(b)}, "t.conf")
		n := dump.Tree(cfg, dump.Options{Origin: true})
		js, err := dump.Tree(cfg, dump.Options{}).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		for file, got := range map[string]string{".dump": n.String(), ".json": indent(t, js)} {
			golden := strings.TrimSuffix(name, ".conf") + file
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s (-want +got):\n%s", golden, d)
			}
		}
	}
}

// TestNumericName: a name is text in JSON, whatever it looks like.
func TestNumericName(t *testing.T) {
	cfg, _ := load(syntax.MapFiles{"t.conf": "vrrp_instance 51 {\n interface eth0\n virtual_router_id 7\n}\n"}, "t.conf")
	js, err := dump.Tree(cfg, dump.Options{}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Instances []map[string]any `json:"vrrp_instance"`
	}
	if err := json.Unmarshal(js, &got); err != nil || len(got.Instances) != 1 {
		t.Fatalf("%v: %s", err, js)
	}
	if in := got.Instances[0]; in["name"] != "51" || in["virtual_router_id"] != 7.0 {
		t.Errorf("name %#v, virtual_router_id %#v", in["name"], in["virtual_router_id"])
	}
}

func indent(t *testing.T, js []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, js, "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}
