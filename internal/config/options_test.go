package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/finding"
)

// lineOf are the lines of a block of values that an option is written behind,
// by the reference's name of the block: what opens it, and a line.
var lineOf = map[string]struct{ path, line string }{
	"vrrp_instance/virtual_ipaddress/ADDRESS": {"vrrp_instance/virtual_ipaddress", "192.0.2.5/24"},
	"vrrp_instance/unicast_peer/ADDRESS":      {"vrrp_instance/unicast_peer", "192.0.2.6"},
	"vrrp_instance/track_interface/IFNAME":    {"vrrp_instance/track_interface", "eth7"},
	"vrrp_instance/track_script/NAME":         {"vrrp_instance/track_script", "S"},
	"vrrp_instance/track_file/NAME":           {"vrrp_instance/track_file", "F"},
	"vrrp_instance/track_process/NAME":        {"vrrp_instance/track_process", "P"},
	"vrrp_instance/track_bfd/NAME":            {"vrrp_instance/track_bfd", "B"},
	"vrrp_instance/virtual_routes/ROUTE":      {"vrrp_instance/virtual_routes", "10.1.0.0/16"},
	"vrrp_instance/virtual_rules/RULE":        {"vrrp_instance/virtual_rules", "from 10.2.0.0/16"},
}

const trackedObjects = "vrrp_script S {\nscript /bin/true\n}\ntrack_file F {\nfile /run/x\n}\nvrrp_track_process P {\nprocess nginx\n}\nbfd_instance B {\nneighbor_ip 192.0.2.9\n}\n"

// optionSamples are good and bad words behind an option, by how the reference
// names its arguments. No bad word: any word is good, or the host decides.
var optionSamples = map[string][2]string{
	"none": {"", ""}, "IFNAME": {"eth5", "an-interface-with-a-long-name"}, "NAME or number": {"link", ""},
	"IP or + or -": {"192.0.2.255", "here"}, "STRING": {"eth0:1", ""}, "IP[/PREFIX]": {"192.0.2.7/32", "there"},
	"forever or uint seconds": {"forever", "soon"}, "NAME": {"T", ""}, "uint": {"7", "seven"}, "int [reverse]": {"7 reverse", "seven"},
	"int [reverse|noreverse]": {"7 noreverse", "seven"}, "IP": {"192.0.2.8", "nowhere"}, "[inet|inet6] IP": {"inet 192.0.2.8", "nowhere"},
	"PREFIX": {"10.3.0.0/16", "10.3.0.0/99"}, "value or name": {"8", "many"}, "id or name": {"100", "99999999999"},
	"[lock] uint": {"lock 1400", "much"}, "[lock] time": {"lock 300", "long"}, "uint seconds": {"60", "soon"},
	"[lock] NAME": {"lock cubic", ""}, "0 or 1": {"1", "2"}, "ecn": {"ecn", "all"}, "[FROM/]TO": {"1/2", "a/b"},
	"low, medium, high or number": {"high", "highest"}, "enabled or disabled": {"enabled", "perhaps"}, "MARK[/MASK]": {"0x10/0xff", "red"},
	"uint64": {"5", "five"}, "N-M": {"80-90", "http"}, "name or number": {"6", ""}, "ACTION": {"blackhole", "nothing"},
}

// optionLines are options that need more than a value behind the sample line;
// the option's value is the last word of the good line.
var optionLines = map[string]struct{ good, bad string }{
	"track_group (address)":   {"", ""}, // of static_ipaddress only: TestOtherOptions
	"track_group (route)":     {"", ""},
	"track_group (rule)":      {"", ""},
	"scope (address)":         {"192.0.2.5/24 scope link", ""},
	"from (route)":            {"2001:db8:1::/48 from 2001:db8:2::/48", "2001:db8:1::/48 from 2001:db8:2::/999"},
	"pref (route)":            {"2001:db8:1::/48 pref high", "2001:db8:1::/48 pref highest"},
	"expires (route)":         {"2001:db8:1::/48 expires 60", "2001:db8:1::/48 expires soon"},
	"inet6 (route)":           {"inet6 2001:db8:1::/48", ""},
	"encap (route)":           {"10.1.0.0/16 via 192.0.2.8 encap ip id 5 dst 192.0.2.9", "10.1.0.0/16 via 192.0.2.8 encap paper"},
	"nexthop (route)":         {"10.1.0.0/16 nexthop via 192.0.2.8 weight 2 nexthop via 192.0.2.9 weight 3", "10.1.0.0/16 nexthop via 192.0.2.8 weight 999"},
	"or (route)":              {"10.1.0.0/16 via 192.0.2.8 or 192.0.2.9", "10.1.0.0/16 via 192.0.2.8 or else"},
	"protocol (route)":        {"10.1.0.0/16 no_track protocol 99", ""},
	"as (route)":              {"", "10.1.0.0/16 as"},
	"DESTINATION (route)":     {"to unicast 10.1.0.0/16", "10.1.0.0/99"},
	"table (rule)":            {"from 10.2.0.0/16 preference 5 table 100", ""},
	"lookup (rule)":           {"from 10.2.0.0/16 preference 5 lookup 100", ""},
	"inet6 (rule)":            {"inet6 from 2001:db8::/32 preference 5 table 100", ""},
	"to (rule)":               {"to 10.3.0.0/16 preference 5 table 100", "to 10.3.0.0/99"},
	"goto (rule)":             {"from 10.2.0.0/16 preference 5 goto 9", "from 10.2.0.0/16 preference 5 goto nine"},
	"preference (rule)":       {"from 10.2.0.0/16 table 100 preference 5", "from 10.2.0.0/16 table 100 preference five"},
	"order (rule)":            {"from 10.2.0.0/16 table 100 order 5", "from 10.2.0.0/16 table 100 order five"},
	"priority (rule)":         {"from 10.2.0.0/16 table 100 priority 5", "from 10.2.0.0/16 table 100 priority five"},
	"type (rule)":             {"from 10.2.0.0/16 preference 5 type blackhole", "from 10.2.0.0/16 preference 5 type nothing"},
	"protocol (rule)":         {"from 10.2.0.0/16 preference 5 table 100 no_track protocol 99", "from 10.2.0.0/16 preference 5 table 100 protocol 999"},
	"uidrange (rule)":         {"from 10.2.0.0/16 preference 5 table 100 uidrange 0-99", "from 10.2.0.0/16 preference 5 table 100 uidrange 7"},
	"peer (address)":          {"192.0.2.5 peer 192.0.2.7/32", "192.0.2.5 peer there"},
	"ADDRESS (address)":       {"192.0.2.5/24", "192.0.2.555"},
	"ADDRESS (peer)":          {"192.0.2.6", "192.0.2.666"},
	"preferred_lft (address)": {"192.0.2.5/24 preferred_lft 60", "192.0.2.5/24 preferred_lft soon"},
}

// blockName is how optionLines names the blocks.
func blockName(path string) string {
	switch {
	case strings.HasSuffix(path, "virtual_ipaddress"):
		return "address"
	case strings.HasSuffix(path, "virtual_routes"):
		return "route"
	case strings.HasSuffix(path, "virtual_rules"):
		return "rule"
	case strings.HasSuffix(path, "unicast_peer"):
		return "peer"
	}
	return ""
}

// TestOptions writes each option of a line of values, once well and once
// badly: the bad word must be pointed at, and of the good line nothing is
// unknown or refused.
func TestOptions(t *testing.T) {
	n := 0
	for _, r := range references(t) {
		if r.kind != "option" {
			continue
		}
		n++
		at, ok := lineOf[strings.Split(r.block, " ")[0]]
		if !ok {
			continue // groups, delays and linkbeat: see TestOtherOptions
		}
		good, bad := optionLine(t, r, at.path, at.line)
		if good != "" {
			for _, f := range findingsOf(t, at.path, good) {
				if f.Severity >= finding.Warning {
					t.Errorf("%s: %v", good, f)
				}
			}
		}
		if bad == "" {
			continue
		}
		col := strings.LastIndexByte(bad, ' ') + 2
		pointed := false
		fs := findingsOf(t, at.path, bad)
		for _, f := range fs {
			pointed = pointed || f.Where.Col == col && f.Severity >= finding.Warning
		}
		if !pointed {
			t.Errorf("%s: nothing at column %d: %v", bad, col, fs)
		}
	}
	if n != 113 {
		t.Errorf("%d options, want 113", n)
	}
}

// optionLine is a good and a bad line with the option.
func optionLine(t *testing.T, r reference, path, line string) (good, bad string) {
	t.Helper()
	if l, ok := optionLines[r.keyword+" ("+blockName(path)+")"]; ok {
		return l.good, l.bad
	}
	s, ok := optionSamples[r.arguments]
	if !ok {
		t.Errorf("%s %s: no sample for %q", r.block, r.keyword, r.arguments)
	}
	switch blockName(path) {
	case "route":
		line += " via 192.0.2.254"
		if r.keyword == "via" || r.keyword == "gw" {
			line = "10.1.0.0/16"
		}
	case "rule":
		if !slices.Contains([]string{"nop", "blackhole", "prohibit", "unreachable", "l3mdev"}, r.keyword) {
			line += " table 100"
		}
		line += " preference 5"
	}
	good = strings.TrimSpace(line + " " + r.keyword + " " + s[0])
	if s[1] != "" {
		bad = line + " " + r.keyword + " " + s[1]
	}
	return good, bad
}

// findingsOf are those of one line in a block of values.
func findingsOf(t *testing.T, path, line string) []finding.Finding {
	t.Helper()
	open, end := inside(path)
	open = trackedObjects + open
	_, fs := load(t, open+line+"\n"+end)
	var there []finding.Finding
	for _, f := range fs {
		if f.Where.Line == strings.Count(open, "\n")+1 && f.Rule != "not-supported" && f.Rule != "deprecated" && f.Rule != "route-without-dev" {
			there = append(there, f)
		}
	}
	return there
}

// TestOtherOptions are those of groups, of delays and of static lines.
func TestOtherOptions(t *testing.T) {
	group := "track_group T {\ngroup {\nV\n}\n}\n"
	for _, c := range []struct{ text, bad string }{
		{"virtual_server_group G {\n192.0.2.5-9 80\n192.0.3.0/30 80\n2001:db8::1-3 80\n192.0.4.1-192.0.4.3\n}\n", ""},
		{"virtual_server_group G {\n192.0.2.9-5 80\n}\n", "192.0.2.9-5"},
		{"virtual_server_group G {\n192.0.2.5 http\n}\n", "http"},
		{"virtual_server_group G {\nfwmark 5 inet6\nfwmark 6\n}\n", ""},
		{"virtual_server_group G {\nfwmark five\n}\n", "five"},
		{"virtual_server_group G {\nfwmark 5 inet7\n}\n", "inet7"},
		{"interface_up_down_delays {\neth0 1.5 2\neth1 3\n}\n", ""},
		{"interface_up_down_delays {\neth0 soon\n}\n", "soon"},
		{"interface_up_down_delays {\neth0 1 later\n}\n", "later"},
		{"linkbeat_interfaces {\neth0 MII\neth1\n}\n", ""},
		{"linkbeat_interfaces {\neth0 MAGIC\n}\n", "MAGIC"},
		{group + "static_ipaddress {\n192.0.2.77/24 dev eth0 track_group T\n}\n", ""},
		{group + "static_routes {\n10.1.0.0/16 via 192.0.2.254 dev eth0 track_group T\n}\n", ""},
		{group + "static_rules {\niif eth0 preference 5 table 100 track_group T\n}\n", ""},
		{group + "static_ipaddress {\n192.0.2.77/24 dev eth0 track_group U\n}\n", "U"},
	} {
		open, end := inside("vrrp_instance")
		text := open + end + c.text
		_, fs := load(t, text)
		pointed := false
		for _, f := range fs {
			if f.Where.Line <= strings.Count(open+end, "\n") || f.Rule == "not-supported" || f.Severity < finding.Warning {
				continue
			}
			line := strings.Split(text, "\n")[f.Where.Line-1]
			if c.bad == "" || f.Where.Col < 1 || !strings.HasPrefix(line[f.Where.Col-1:], c.bad) {
				t.Errorf("%s: %v", c.text, f)
			}
			pointed = true
		}
		if c.bad != "" && !pointed {
			t.Errorf("%s: nothing points at %s: %v", c.text, c.bad, fs)
		}
	}
}
