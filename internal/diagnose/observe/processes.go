package observe

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/lint"
)

// speakers are the programs that speak VRRP, or its like, by their names.
var speakers = []string{"keepalived", "vrrpd", "ucarp", "kaname"}

// pidFiles are where they leave their numbers.
var pidFiles = []string{"run/keepalived.pid", "run/keepalived/*.pid", "run/frr/vrrpd.pid"}

// processes finds other speakers of VRRP in this network namespace. Of one with
// children only the first is told.
func (g *gatherer) processes() {
	mine, _ := os.Readlink(g.path("proc/self/ns/net")) // "" where there is none
	named := g.pids()
	found := map[string]lint.HostProcess{}
	dirs, _ := filepath.Glob(g.path("proc/[0-9]*")) // the pattern is right
	for _, dir := range dirs {
		name := daemon(dir)
		if !slices.Contains(speakers, name) {
			continue
		}
		if ns, err := os.Readlink(filepath.Join(dir, "ns/net")); err == nil && ns != mine {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if old, seen := found[name]; err == nil && (!seen || pid < old.PID) {
			found[name] = lint.HostProcess{Name: name, PID: pid, PIDFile: named[pid]}
		}
	}
	for _, name := range speakers {
		if p, ok := found[name]; ok {
			g.host.Processes = append(g.host.Processes, p)
		}
	}
}

// daemon names the program of a process, "" when it is none that runs for long:
// kaname has other commands, and keepalived -t ends at once. kaname started as
// keepalived goes by that name, and is kaname.
func daemon(dir string) string {
	comm, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return "" // it has ended
	}
	name := strings.TrimSpace(string(comm))
	if name != "kaname" && name != "keepalived" {
		return name
	}
	cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // no words when it has ended
	args := strings.Split(string(cmdline), "\x00")
	exe, _ := os.Readlink(filepath.Join(dir, "exe")) // "" when it is not ours to see
	switch ours := filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == "kaname"; {
	case name == "keepalived" && (ours || slices.Contains(args, "--as-keepalived")):
		return "kaname"
	case name == "kaname" && !slices.Contains(args, "run"):
		return ""
	}
	return name
}

// pids reads the pid files.
func (g *gatherer) pids() map[int]string {
	out := map[int]string{}
	for _, pattern := range pidFiles {
		names, _ := filepath.Glob(g.path(pattern)) // the patterns are right
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				continue
			}
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				out[pid] = name
			}
		}
	}
	return out
}
