package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

// reference is a row of testdata/keywords.tsv: the language as keepalived has
// it, collected from its source and from experiments.
type reference struct {
	kind, block, keyword, arguments, def, allowed, synonyms, repeat, deprecated, in227 string
}

func references(t *testing.T) []reference {
	t.Helper()
	var all []reference
	for l := range strings.Lines(read(t, "testdata/keywords.tsv")) {
		f := strings.Split(strings.TrimRight(l, "\n"), "\t")
		if f[0] == "kind" {
			continue
		}
		if f[1] == "(root)" {
			f[1] = ""
		}
		all = append(all, reference{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[10]})
	}
	return all
}

// TestSchema compares the keyword tables with the reference: what stands behind
// each keyword, range, default, other spelling, repetition.
func TestSchema(t *testing.T) {
	n := 0
	for _, r := range references(t) {
		if r.kind != "keyword" {
			continue
		}
		n++
		k := config.Lookup(r.block, r.keyword)
		if k == nil {
			t.Errorf("%s/%s: not in the tables", r.block, r.keyword)
			continue
		}
		for _, d := range schemaDiffers(k, r) {
			t.Errorf("%s: %s", k.Path(), d)
		}
	}
	if n != 531 {
		t.Errorf("%d keywords, want 531", n)
	}
}

func schemaDiffers(k *config.Keyword, r reference) (out []string) {
	say := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	if k.Args != config.ArgSpecial && !argsFit(k, r.arguments) {
		say("args %q, reference %q", k.Args, r.arguments)
	}
	if lo, hi, ok := strings.Cut(k.Range, ".."); ok && k.Args != config.ArgPort && rangeElsewhere[k.Name] == "" {
		allowed := named(r.allowed)
		if !strings.Contains(allowed, lo) {
			say("from %s, reference %q", lo, r.allowed)
		}
		// Where the reference has no upper limit, that of the type is ours.
		if hi != "" && !strings.Contains(allowed, hi) && !strings.HasPrefix(r.allowed, ">") {
			say("to %s, reference %q", hi, r.allowed)
		}
	}
	def := k.Default
	if def == "" {
		def = "-"
	}
	if def != r.def {
		say("default %q, reference %q", def, r.def)
	}
	if k.In227 != (r.in227 == "yes") {
		say("known to 2.2.7: %t, reference %q", k.In227, r.in227)
	}
	if k.Same != "" && !strings.Contains(r.synonyms, k.Same) {
		say("same as %q, reference %q", k.Same, r.synonyms)
	}
	if k.Old && !strings.HasPrefix(r.deprecated, "yes") {
		say("old, and the reference does not say so")
	}
	for word, repeat := range map[string]config.Repeat{"first": config.RepeatFirst, "append": config.RepeatAppend, "flag": config.RepeatFlag} {
		if strings.HasPrefix(r.repeat, word) && k.Repeat != repeat {
			say("repeat %d, reference %q", k.Repeat, r.repeat)
		}
	}
	return out
}

// rangeElsewhere are keywords whose range the reference tells in words.
var rangeElsewhere = map[string]string{
	"garp_interval":        "2.2.7 takes up to 2147.483647",
	"gna_interval":         "2.2.7 takes up to 2147.483647",
	"hysteresis":           "up to quorum - 1, to which it is lowered",
	"regex_stack":          "two numbers, the first not above the second",
	"connect_timeout":      "to 4294 in words; 2.2.7 takes 4294.967295",
	"vrrp_rlimit_rtime":    "old spelling, as the new one",
	"checker_rlimit_rtime": "old spelling, as the new one",
	"bfd_rlimit_rtime":     "old spelling, as the new one",
}

// named spells the reference's names of limits out.
func named(s string) string {
	return strings.NewReplacer("UINT32_MAX", "4294967295", "UINT_MAX", "4294967295", "INT32_MAX", "2147483647", "INT_MAX", "2147483647",
		"int32", "-2147483648..2147483647", "2 or 3", "2..3", ">=0", "0..", ">0", "1.. 0.000001..").Replace(s)
}

// argsFit reports whether the reference's wording of the arguments is what the
// table says.
func argsFit(k *config.Keyword, arguments string) bool {
	want := map[config.Args][]string{
		config.ArgNone: {"none"}, config.ArgBool: {"[bool]"}, config.ArgUint: {"uint", "[PRIORITY]", "[uint", "ID"}, config.ArgInt: {"int", "[int"},
		config.ArgDecimal: {"decimal"}, config.ArgIface: {"IFNAME"}, config.ArgAddr: {"IP", "ADDRESS"}, config.ArgPort: {"PORT"},
		config.ArgCommand: {"COMMAND", "[COMMAND"}, config.ArgCommand1: {`"COMMAND`}, config.ArgFIFO: {"PATH [USER"}, config.ArgUser: {"USER"},
		config.ArgPath: {"PATH", "FILE", "DIR", "[PATH", "[LOGFILE"}, config.ArgWord: {"STRING", "NAME", "ADDRESS", "SOCKET", "[TABLE", "[NAME", "PATH"},
		config.ArgBlock:  {"block", "-", "NAME block", "IP [PORT], block", `IP [PORT] or "fwmark`},
		config.ArgChoice: append(strings.Split(k.Range, "|"), "SCHEDULER"),
	}
	for _, w := range want[k.Args] {
		if strings.HasPrefix(arguments, w) || k.Args == config.ArgChoice && strings.Contains(arguments, w) {
			return true
		}
	}
	return false
}

// surroundings open the blocks around a keyword. Each is complete without it.
var surroundings = map[string]string{
	"global_defs":                           "global_defs {",
	"vrrp_instance":                         "vrrp_instance V {\nvirtual_router_id 9\ninterface eth0\nvirtual_ipaddress {\n192.0.2.1/24\n}",
	"vrrp_instance/authentication":          "authentication {",
	"vrrp_instance/auth_hmac":               "auth_hmac {",
	"vrrp_sync_group":                       "vrrp_instance A {\nvirtual_router_id 8\ninterface eth0\nvirtual_ipaddress {\n192.0.2.2/24\n}\n}\nvrrp_sync_group G {\ngroup {\nA\n}",
	"track_group":                           "track_group T {",
	"garp_group":                            "garp_group {",
	"vrrp_script":                           "vrrp_script S {\nscript /bin/true",
	"vrrp_track_process":                    "vrrp_track_process P {\nprocess nginx",
	"track_file":                            "track_file F {\nfile /run/x",
	"vrrp_track_file":                       "vrrp_track_file F {\nfile /run/x",
	"bfd_instance":                          "bfd_instance B {\nneighbor_ip 192.0.2.9",
	"SSL":                                   "SSL {",
	"kaname":                                "kaname {",
	"virtual_server":                        "virtual_server 192.0.2.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nsorry_server 10.0.0.9 80\nreal_server 10.0.0.8 80 {\n}",
	"virtual_server/real_server":            "real_server 10.0.0.1 80 {",
	"virtual_server/real_server/FILE_CHECK": "FILE_CHECK {",
}

// inside returns the text that opens the blocks of a path, and the closing
// braces.
func inside(path string) (open, end string) {
	if path == "" {
		return "", ""
	}
	at := ""
	for b := range strings.SplitSeq(path, "/") {
		if at != "" {
			at += "/"
		}
		at += b
		s := surroundings[at]
		if s == "" {
			s = b + " {"
		}
		open += s + "\n"
		end += "}\n"
	}
	return open, end
}

// samples are a good and a bad value of each kind of argument. A bad value is
// the word that is to be pointed at.
func samples(k *config.Keyword) (good string, bad []string) {
	lo, hi, ranged := strings.Cut(k.Range, "..")
	switch k.Args {
	case config.ArgBool:
		return "true", []string{"perhaps"}
	case config.ArgUint, config.ArgInt, config.ArgPort:
		good = "1"
		if ranged && lo != "" {
			good = lo
		}
		bad = []string{"many", "99999999999999999999"}
		if ranged && hi != "" && hi != "4294967295" {
			bad = append(bad, hi+"0")
		}
		if k.Strict {
			bad = append(bad, good+"x")
		}
		return good, bad
	case config.ArgDecimal:
		good = hi
		if hi == "" {
			good = "7.5"
		}
		return good, []string{"soon", "5s"}
	case config.ArgIface:
		return "eth1", []string{"an-interface-with-a-long-name"}
	case config.ArgAddr:
		return "192.0.2.77", []string{"192.0.2.256", "localhost"}
	case config.ArgChoice:
		return strings.Split(k.Range, "|")[0], []string{"neither"}
	}
	return "", nil
}

// TestArguments writes each keyword whose arguments the table describes into
// its block, once well and in every way wrong: a bad word must be pointed at, a
// good one must not.
func TestArguments(t *testing.T) {
	n := 0
	for k := range config.Keywords() {
		good, bad := samples(k)
		if good == "" {
			continue
		}
		n++
		open, end := inside(k.Block)
		line := strings.Count(open, "\n") + 1
		try := func(value string) []finding.Finding {
			_, fs := load(t, open+k.Name+" "+value+"\n"+end)
			var there []finding.Finding
			for _, f := range fs {
				if f.Where.Line == line && f.Rule != "not-supported" && f.Rule != "no-effect-here" && f.Rule != "deprecated" {
					there = append(there, f)
				}
			}
			return there
		}
		col := len(k.Name) + 2
		for _, f := range try(good) {
			if f.Where.Col == col && argumentNoted[k.Path()] == "" {
				t.Errorf("%s %s: %v", k.Path(), good, f)
			}
		}
		for _, b := range bad {
			ok := false
			fs := try(b)
			for _, f := range fs {
				ok = ok || f.Where.Col == col && f.Severity >= finding.Warning
			}
			if !ok {
				t.Errorf("%s %s: no finding at column %d: %v", k.Path(), b, col, fs)
			}
		}
	}
	if n < 250 {
		t.Errorf("only %d keywords tried", n)
	}
}

// argumentNoted are keywords that a good value gets a finding for in these
// surroundings, and why.
var argumentNoted = map[string]string{
	"global_defs/vrrp_garp_master_repeat":         "0 becomes 1",
	"global_defs/vrrp_garp_master_refresh_repeat": "0 becomes 1",
	"vrrp_instance/garp_master_repeat":            "0 becomes 1",
	"vrrp_instance/garp_master_refresh_repeat":    "0 becomes 1",
	"global_defs/smtp_connect_timeout":            "0 becomes 1",
	"vrrp_instance/mcast_dst_ip":                  "the sample is no multicast address",
}
