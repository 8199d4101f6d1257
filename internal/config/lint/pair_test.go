package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

func pairFindings(a, b string) []finding.Finding {
	nodes := []Node{{Name: "lb1"}, {Name: "lb2"}}
	for i, text := range []string{a, b} {
		name := []string{"a.conf", "b.conf"}[i]
		nodes[i].Config, nodes[i].Tree, _ = config.Load(syntax.MapFiles{name: text}, name, config.Options{ConfigID: nodes[i].Name})
	}
	return CheckPair(nodes[0], nodes[1])
}

// director is a file with one instance; more stands in it, before is above it.
func director(before string, priority int, more string) string {
	return fmt.Sprintf(`%s
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority %d
    %s
    virtual_ipaddress {
        192.0.2.10/24
    }
}
`, before, priority, more)
}

func script(name, weight string) string {
	return fmt.Sprintf("vrrp_script %s {\n script \"/bin/%s\"\n weight %s\n}\n", name, name, weight)
}

// TestArithmetic wants the sums spelled out, and only where they say something.
func TestArithmetic(t *testing.T) {
	const track = "track_script {\n chk\n }"
	group := "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n track_script {\n chk\n }\n}\n"
	second := "vrrp_instance VI_2 {\n interface eth1\n virtual_router_id 52\n priority %d\n virtual_ipaddress {\n 198.51.100.1/24\n }\n}\n"
	tests := []struct {
		name, a, b string
		want       []string // parts of findings about weights, in order
	}{
		{
			"too small", director(script("chk", "-20"), 150, track), director("", 100, ""),
			[]string{"lb1 150 - 20 = 130 is still above lb2's 100: the failure of chk changes nothing"},
		},
		{
			"level is not below", director(script("chk", "-50"), 150, track), director("", 100, ""),
			[]string{"lb1 150 - 50 = 100 is not below lb2's 100: the failure of chk changes nothing"},
		},
		{"just enough", director(script("chk", "-51"), 150, track), director("", 100, ""), nil},
		{
			"positive on both, too small", director(script("chk", "20"), 150, track), director(script("chk", "20"), 100, track),
			[]string{"lb1 170 - 20 = 150 is still above lb2's 100 + 20 = 120: the failure of chk changes nothing"},
		},
		{"positive on both, enough", director(script("chk", "20"), 101, track), director(script("chk", "20"), 100, track), nil},
		{
			"positive on the lower node only", director("", 150, ""), director(script("chk", "60"), 100, track),
			[]string{"lb2 100 + 60 = 160 is above lb1's 150 while all is well"},
		},
		{
			"the second file leads", director("", 100, ""), director(script("chk", "-20"), 150, track),
			[]string{"lb2 150 - 20 = 130 is still above lb1's 100: the failure of chk changes nothing"},
		},
		{
			"reverse", director(script("chk", "20 reverse"), 150, track), director("", 100, ""),
			[]string{"lb1 150 - 20 = 130 is still above lb2's 100: the success of chk changes nothing"},
		},
		{
			"a process that should not run",
			director("vrrp_track_process bk {\n process backup\n weight 20 reverse\n}\n", 150, "track_process {\n bk\n }"), director("", 100, ""),
			[]string{"lb1 150 - 20 = 130 is still above lb2's 100: the success of bk changes nothing"},
		},
		{
			"the line's weight counts", director(script("chk", "-60"), 150, "track_script {\n chk weight -5\n }"), director("", 100, ""),
			[]string{"lb1 150 - 5 = 145 is still above"},
		},
		{
			"cut to 254", director(script("chk", "200"), 150, track), director("", 100, ""),
			[]string{}, // 254 - 200 = 54 would be wrong: 150 is left
		},
		{
			"a sync group's weight", director(script("chk", "-20")+group, 150, "") + fmt.Sprintf(second, 150), director("", 100, "") + fmt.Sprintf(second, 100),
			[]string{"VI_1: lb1 150 - 20 = 130 is still above", "VI_2: lb1 150 - 20 = 130 is still above"},
		},
		{"no weight", director(script("chk", "0"), 150, track), director("", 100, ""), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range pairFindings(tt.a, tt.b) {
				if strings.HasPrefix(f.Rule, "pair-weight") {
					got = append(got, f.What)
				}
			}
			if tt.name == "cut to 254" {
				if len(got) != 1 || !strings.Contains(got[0], "254 - 200") || !strings.Contains(got[0], "= 150") {
					t.Errorf("got %q", got)
				}
				return
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i, part := range tt.want {
				if !strings.Contains(got[i], part) {
					t.Errorf("got %q, want %q", got[i], part)
				}
			}
		})
	}
}

// TestMatching: interfaces may have different names on the nodes, and then the
// addresses tell.
func TestMatching(t *testing.T) {
	other := strings.NewReplacer("eth0", "ens3")
	tests := []struct {
		name, a, b string
		want       []string
	}{
		{"another interface", director("", 150, ""), other.Replace(director("", 100, "")), nil},
		{
			"another interface, other addresses", director("", 150, ""), strings.ReplaceAll(other.Replace(director("", 100, "")), "192.0.2.10", "192.0.2.99"),
			[]string{"pair-unrelated"},
		},
		{"another VRID", director("", 150, ""), strings.ReplaceAll(director("", 100, ""), "51", "52"), []string{"pair-vrid"}},
		{"nothing to compare", "", director("", 100, ""), nil},
		{"an instance more", director("", 150, ""), director("", 100, "") + strings.NewReplacer("VI_1", "VI_2", "51", "52", "192.0.2.10", "192.0.2.20").Replace(director("", 100, "")), []string{"pair-instance-missing"}},
		{"nothing at all", "", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range pairFindings(tt.a, tt.b) {
				got = append(got, f.Rule)
			}
			slices.Sort(got)
			if d := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestSecretsStayHidden: passwords and keys are compared, and no part of a
// finding shows them.
func TestSecretsStayHidden(t *testing.T) {
	file := func(pass, key string) string {
		return "@kaname kaname {\n@kaname sync_key " + key + "\n@kaname }\nglobal_defs {\n lvs_sync_daemon eth0 VI_1\n}\n" +
			director("", 100, "authentication {\n auth_type PASS\n auth_pass "+pass+"\n}")
	}
	fs := pairFindings(file("swordfsh", "k7vQm2Xw9sTzb4Lp"), file("mellon22", "Zr8nYc3Hd6uJfa1E"))
	spoke := map[string]bool{}
	for _, f := range fs {
		spoke[f.Rule] = true
		for _, secret := range []string{"swordfsh", "mellon22", "k7vQ", "Zr8n"} {
			if s := fmt.Sprintf("%+v", f); strings.Contains(s, secret) {
				t.Errorf("%s shows %s", s, secret)
			}
		}
	}
	if !spoke["pair-authentication"] || !spoke["pair-sync-key"] {
		t.Errorf("the rules about them are silent: %v", spoke)
	}
}

// TestCapturedPairs: pairs of files that ran under keepalived while their
// packets were captured. Those that worked are not remarked on.
func TestCapturedPairs(t *testing.T) {
	want := map[string][]string{
		"equal-priority": {"pair-masters", "pair-same-priority"},
		"mismatch":       {"pair-addresses", "pair-advert-interval", "pair-authentication"},
	}
	firsts, err := filepath.Glob("../testdata/golden-vrrp/*.r1.conf")
	if err != nil || len(firsts) < 10 {
		t.Fatal(len(firsts), "pairs", err)
	}
	for _, first := range firsts {
		name := strings.TrimSuffix(filepath.Base(first), ".r1.conf")
		var texts []string
		for _, file := range []string{first, strings.Replace(first, ".r1.", ".r2.", 1)} {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(b))
		}
		var got []string
		for _, f := range pairFindings(texts[0], texts[1]) {
			got = append(got, f.Rule)
		}
		slices.Sort(got)
		if d := cmp.Diff(want[name], got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: (-want +got):\n%s", name, d)
		}
	}
}
