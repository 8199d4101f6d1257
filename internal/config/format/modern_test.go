package format_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/format"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// TestModern reads testdata/modern/*.txt: a text, a line of dashes, the text
// with today's spellings, and what was said about it.
func TestModern(t *testing.T) {
	golden(t, "testdata/modern/*.txt", 8, modernised)
}

// TestSeeds has the configurations of people, formatted and modernised.
func TestSeeds(t *testing.T) {
	seeds, err := filepath.Glob("../testdata/seeds/*.conf")
	if err != nil || len(seeds) == 0 {
		t.Fatal("no seeds", err)
	}
	for _, name := range seeds {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file := "testdata/seeds/" + strings.TrimSuffix(filepath.Base(name), ".conf") + ".txt"
		got := format.Format("f", string(b)) + separator + modernised(t, string(b))
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// modernised returns the text of Modern and what it says, and wants what
// checkModern wants.
func modernised(t *testing.T, in string) string {
	t.Helper()
	r := checkModern(t, in)
	var b strings.Builder
	b.WriteString(r.Text)
	for _, f := range r.Changes {
		fmt.Fprintf(&b, "%s\n", f)
	}
	return b.String()
}

// checkModern wants that the result means the same for every config id that
// the tests use, that a second time changes nothing, and that the layout is
// canonical.
func checkModern(t *testing.T, in string) format.Result {
	t.Helper()
	r := format.Modern(syntax.MapFiles{"f": in}, "f", in, options)
	for _, id := range []string{"me", "lb1", "other"} {
		o := config.Options{ConfigID: id}
		a, _, _ := config.Load(syntax.MapFiles{"f": in}, "f", o)
		b, _, _ := config.Load(syntax.MapFiles{"f": r.Text}, "f", o)
		if d := config.Same(a, b, "init_fail", "debug", "hashed"); d != "" {
			t.Errorf("input %q\nmodernised %q\ndiffers for %s in %s", in, r.Text, id, d)
		}
	}
	if twice := format.Modern(syntax.MapFiles{"f": r.Text}, "f", r.Text, options); twice.Text != r.Text {
		t.Errorf("input %q\nmodernised once:\n%q\ntwice:\n%q\n%v", in, r.Text, twice.Text, twice.Changes)
	}
	if again := format.Format("f", r.Text); again != r.Text {
		t.Errorf("input %q\nmodernised %q\nformatted %q", in, r.Text, again)
	}
	return r
}

var options = format.Options{Load: config.Options{ConfigID: "me"}}

// TestIncludes: the file at hand changes, what it includes and what includes
// it do not; what is proved is the main file.
func TestIncludes(t *testing.T) {
	const servers = "virtual_server 192.0.2.1 80 {\nprotocol TCP\nlvs_sched rr\ninclude rs\n}\n"
	files := syntax.MapFiles{
		"main":    "global_defs {\nlvs_flush_onstop VS\n}\ninclude servers\n",
		"servers": servers,
		"rs":      "lb_algo lc\nreal_server 192.0.2.11 80 {\nHTTP_GET {\nnb_get_retry 3\nurl {\npath /\n}\n}\n}\n",
		// Read twice; where its line stands it is overridden once.
		"twice": "virtual_server 192.0.2.2 80 {\nprotocol TCP\ninclude algo\nlb_algo lc\n}\nvirtual_server 192.0.2.3 80 {\nprotocol TCP\ninclude algo\n}\n",
		"algo":  "lb_algo rr\n",
	}
	run := func(name string, mains ...format.Main) format.Result {
		return format.Modern(files, name, files[name], format.Options{Mains: mains})
	}
	tests := []struct{ name, main, want string }{
		{"main", "", "global_defs {\n    lvs_flush_on_stop VS\n}\ninclude servers\n"},
		// The line that overrides lvs_sched stands in another file.
		{"servers", "main", format.Format("f", servers)},
		{"rs", "main", strings.Replace(format.Format("f", files["rs"]), "nb_get_retry", "retry", 1)},
		// Without the main file nobody knows which block the lines stand in.
		{"rs", "", format.Format("f", files["rs"])},
		{"algo", "twice", "lb_algo rr\n"},
	}
	for _, tt := range tests {
		var mains []format.Main
		if tt.main != "" {
			mains = []format.Main{{File: tt.main, As: tt.name}}
		}
		if d := cmp.Diff(tt.want, run(tt.name, mains...).Text); d != "" {
			t.Errorf("%s in %s (-want +got):\n%s", tt.name, tt.main, d)
		}
	}
}

// FuzzModern wants for any text what checkModern wants.
func FuzzModern(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 1<<12 || limited(in, syntax.Options{Limits: small, Grammar: config.Grammar()}) {
			t.Skip("longer texts only take longer")
		}
		checkModern(t, in)
	})
}

// TestEveryOldSpelling walks the keyword tables: an old spelling is written as
// the new one, or it is said what to do.
func TestEveryOldSpelling(t *testing.T) {
	old := 0
	for k := range config.Keywords() {
		if !k.Old || config.Lookup("", k.Block) != nil && config.Lookup("", k.Block).Old {
			continue // or its block is the old one
		}
		old++
		text := k.Name + " 1\n"
		if k.Shape != syntax.Plain {
			text = k.Name + " 1 {\n}\n"
		}
		if k.Block != "" {
			around := strings.Split(k.Block, "/")
			text = strings.Join(around, " {\n") + " {\n" + text + strings.Repeat("}\n", len(around))
		}
		r := format.Modern(syntax.MapFiles{"f": text}, "f", text, options)
		if len(r.Changes) != 1 || r.Changes[0].Severity != finding.Note || !strings.HasPrefix(r.Changes[0].What, k.Name+" ") {
			t.Errorf("%s: %v\n%s", k.Path(), r.Changes, r.Text)
		}
	}
	if old < 10 {
		t.Errorf("only %d old spellings", old)
	}
}

// TestTooManyFindings: where not all that is wrong is known, no line is taken
// for one that counts.
func TestTooManyFindings(t *testing.T) {
	good := "vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 51\n    priority 100\n    priority 150\n    virtual_ipaddress {\n        192.0.2.1/24\n    }\n}\n"
	if r := checkModern(t, good); strings.Contains(r.Text, "priority 100") {
		t.Errorf("an overridden line stays:\n%s", r.Text)
	}
	bad := strings.Repeat("}\n", 1100) + good
	if r := checkModern(t, bad); r.Text != bad {
		t.Errorf("changed: %v", r.Changes)
	}
}

// TestRefused: what would make a difference is left, and says where.
func TestRefused(t *testing.T) {
	in := "virtual_server 192.0.2.1 80 {\nprotocol TCP\nlb_kind DR\nsorry_server 192.0.2.9 80\nlb_kind NAT\nhashed\nreal_server 192.0.2.11 80 {\n}\n}\n"
	r := checkModern(t, in)
	if want := format.Format("f", strings.Replace(in, "hashed\n", "", 1)); r.Text != want {
		t.Errorf("got %s", r.Text)
	}
	var warned []finding.Finding
	for _, f := range r.Changes {
		if f.Severity == finding.Warning {
			warned = append(warned, f)
		}
	}
	if len(warned) != 1 || warned[0].String() != "f:3: warning: lb_kind stays: without it VirtualServers[0] 192.0.2.1 80: Sorry: Method would differ" {
		t.Errorf("got %v", warned)
	}
}
