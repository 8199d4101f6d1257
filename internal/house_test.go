// Package internal_test proves the import rules of the house (docs/ARCHITECTURE.md):
// imports point down, pure packages stay pure, wings do not know each other.
package internal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kaname-lb/kaname/internal/"

// pure packages have no sockets, files, clocks or logs. Whatever they import
// directly must not be on the list below.
var pure = []string{
	"lvs", "lvs/sched", "finding", "event", "snapshot",
	"config", "config/syntax", "config/lint", "config/dump", "config/format",
	"vrrp", "health", "director/desired", "director/reconcile", "director/statedump",
	"connsync", "connsync/session", "connsync/pcap",
}

var impure = map[string]string{
	"net":                               "sockets; addresses are net/netip",
	"os":                                "files and processes; take what is read as an argument",
	"os/exec":                           "processes",
	"log":                               "the driver logs what the machine returns",
	"log/slog":                          "the driver logs what the machine returns",
	"syscall":                           "the kernel is for rooms with effects",
	"golang.org/x/sys/unix":             "the kernel is for rooms with effects",
	"github.com/vishvananda/netlink":    "netlink belongs to hostnet and the dataplane",
	"github.com/cilium/ebpf":            "BPF belongs to dataplane/xdp",
	"github.com/kaname-lb/kaname/tools": "tools are not for the product",
}

// wings: what a room may import of ours besides the words. "x/..." covers x
// and everything beneath.
var wings = map[string][]string{
	"lvs":                 {},
	"lvs/sched":           {"lvs"},
	"finding":             {},
	"event":               {},
	"snapshot":            {"lvs"},
	"config":              {"config/syntax"},
	"config/syntax":       {},
	"config/dump":         {"config", "config/syntax"},
	"config/lint":         {"config", "config/syntax"},
	"config/format":       {"config", "config/syntax"},
	"config/configio":     {"config/syntax"},
	"vrrp":                {},
	"vrrp/vrrpio":         {"vrrp", "vrrp/announce"},
	"vrrp/announce":       {},
	"vrrp/track":          {"vrrp", "process"},
	"health":              {},
	"health/checker":      {"health", "process"},
	"connsync":            {},
	"connsync/connsyncio": {"connsync", "connsync/session"},
	"connsync/screen":     {"connsync/session", "connsync/watch"},
	"connsync/session":    {"connsync"},
	"connsync/pcap":       {},
	"connsync/watch":      {"connsync", "connsync/session", "connsync/pcap", "process"},
	"process":             {},
	"hostnet":             {},
	"dataplane/xdp":       {"dataplane/xdp/prog", "lvs/sched"},
	"dataplane/xdp/prog":  {},
	"director":            {"config/...", "vrrp/...", "health/...", "dataplane/...", "connsync", "connsync/connsyncio", "hostnet", "api", "process", "director/..."},
	"director/desired":    {"config", "vrrp", "health"},
	"director/reconcile":  {"director/desired"},
	"director/notify":     {"process"},
	"director/statedump":  {"config"},
	"director/keeper":     {},
	"diagnose/observe":    {"config/lint", "process", "hostnet"},
	"api":                 {},
	"lab":                 {},
	"cli":                 {"director", "director/keeper", "config/...", "api", "lab", "process", "cli/ipvsadm", "cli/keepalived", "connsync", "connsync/session", "connsync/watch", "connsync/screen", "diagnose/observe"},
	"cli/ipvsadm":         {},
	"cli/keepalived":      {"config"},
}

// words may be imported by every room but those named in words themselves.
var words = []string{"lvs", "finding", "event", "snapshot"}

func TestImportsPointDown(t *testing.T) {
	for pkg, imports := range packages(t) {
		allowed, known := wings[pkg]
		if !known {
			if !strings.HasSuffix(pkg, "test") { // vrrp/vrrptest and its like
				t.Errorf("%s: a new room: name in this test what it may import", pkg)
			}
			continue
		}
		for _, imp := range imports {
			own, ok := strings.CutPrefix(imp, module)
			if !ok || slices.Contains(words, own) && !slices.Contains(words, pkg) {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, own) }) {
				t.Errorf("%s imports %s: the house does not allow it", pkg, own)
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	all := packages(t)
	for _, pkg := range pure {
		imports, ok := all[pkg]
		if !ok {
			t.Errorf("%s: no such package", pkg)
		}
		for _, imp := range imports {
			if why, bad := impure[imp]; bad {
				t.Errorf("%s imports %s: %s", pkg, imp, why)
			}
		}
	}
}

func covers(rule, pkg string) bool {
	if base, ok := strings.CutSuffix(rule, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return rule == pkg
}

// packages returns every package below internal with its direct imports.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if pkg, ok := strings.CutPrefix(f[0], module); ok {
			all[pkg] = f[1:]
		}
	}
	if len(all) < len(words) {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}
