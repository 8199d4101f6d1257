package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

var hostScriptRules = []hostRule{
	{"host-script-missing", finding.Warning, hostScriptMissing},
	{"host-script-unsafe", finding.Warning, hostScriptUnsafe},
	{"host-script-user", finding.Warning, hostScriptUser},
	{"host-track-file", finding.Warning, hostTrackFile},
	{"host-fifo", finding.Warning, hostFIFO},
}

// defaultScriptUser runs scripts for which the file names no user, where the
// host has one of that name.
const defaultScriptUser = "keepalived_script"

// programs calls fn for each command whose program the host was asked about.
func (c *hostChecker) programs(fn func(cmd command, p Program)) {
	for _, cmd := range c.commands() {
		i := slices.IndexFunc(c.host.Programs, func(p Program) bool { return p.Name == cmd.Argv[0] })
		if i >= 0 {
			fn(cmd, c.host.Programs[i])
		}
	}
}

// hostScriptMissing: a notify is dropped without a word, a check with one.
func hostScriptMissing(c *hostChecker) {
	c.programs(func(cmd command, p Program) {
		if p.Problem != "" {
			c.report(cmd.Where, fmt.Sprintf("%s: %s cannot be run (%s): %s", cmd.keyword, p.Name, p.Problem, withoutIt(cmd.keyword)), "the full path of an executable file")
		}
	})
}

// withoutIt is what happens when a command cannot be run.
func withoutIt(keyword string) string {
	switch keyword {
	case "script":
		return "keepalived drops the script and tracks nothing"
	case "misc_path":
		return "the check fails, and the server is down"
	}
	return "it is dropped, and nothing runs when the state changes"
}

// asRoot reports whether a command runs as root on this host.
func (c *hostChecker) asRoot(u config.User) bool {
	if u.Name == "" {
		u = c.cfg.Global.ScriptUser
	}
	if u.Name == "" {
		return !c.host.Users[defaultScriptUser]
	}
	return u.Name == "root" || u.Name == "0"
}

// hostScriptUnsafe: who can write the script is root.
func hostScriptUnsafe(c *hostChecker) {
	c.programs(func(cmd command, p Program) {
		if p.Unsafe == "" || p.Problem != "" || !c.asRoot(cmd.User) {
			return
		}
		then := "it runs as root, so whoever can write there is root (enable_script_security would refuse it)"
		if c.cfg.Global.ScriptSecurity {
			then = "enable_script_security disables it"
		}
		c.reportFor(cmd.Where, fmt.Sprintf("%s: others than root can change %s: %s", cmd.keyword, p.Name, then),
			p.Unsafe, "chown root and chmod go-w for the file and every directory above it, or script_user")
	})
}

// hostScriptUser: scripts of a user that is not there do not run.
func hostScriptUser(c *hostChecker) {
	told := map[config.User]bool{}
	check := func(at finding.Place, u config.User) {
		exists, asked := c.host.Users[u.Name]
		gexists, gasked := c.host.Groups[u.Group]
		what := ""
		switch {
		case told[u] || isNumber(u.Name) && (u.Group == "" || isNumber(u.Group)):
			return
		case asked && !exists && !isNumber(u.Name):
			what = "user " + u.Name
		case gasked && !gexists && !isNumber(u.Group):
			what = "group " + u.Group
		default:
			return
		}
		told[u] = true
		c.report(at, fmt.Sprintf("this host has no %s: what should run as that is dropped", what), "useradd --system, or a name that exists")
	}
	g := c.cfg.Global
	if g.ScriptUser.Name != "" {
		check(c.keyword(g.Where, "script_user"), g.ScriptUser)
	}
	for _, cmd := range c.commands() {
		if cmd.User.Name != "" {
			check(cmd.Where, cmd.User)
		}
	}
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// keyword is the place of a keyword in a block, or of the block.
func (c *hostChecker) keyword(block finding.Place, kw string) finding.Place {
	return newNode(Node{Config: c.cfg, Tree: c.tree}).at(block, kw)
}

// unwatched are file systems that tell nobody that a file was changed by
// another host or by the kernel.
var unwatched = []string{"nfs", "nfs4", "cifs", "proc", "sysfs", "fuse", "9p", "ceph"}

// hostTrackFile: changes are noticed by inotify on the directory.
func hostTrackFile(c *hostChecker) {
	for _, t := range c.cfg.TrackFiles {
		f, asked := c.file(t.File)
		switch {
		case !asked:
		case slices.Contains(unwatched, f.FS):
			c.reportFor(t.Where, fmt.Sprintf("track_file %s: %s is on %s, where changes made elsewhere are not told: they are not noticed", t.Name, t.File, f.FS), "", "a file on a local disk or in /run")
		case f.Type == "directory":
			c.report(t.Where, fmt.Sprintf("track_file %s: %s is a directory", t.Name, t.File), "the file in it")
		case f.Type == "missing" && f.FS == "":
			c.report(t.Where, fmt.Sprintf("track_file %s: the directory of %s does not exist: the file is not tracked", t.Name, t.File), "make the directory before the daemon starts")
		}
	}
}

// hostFIFO: what is there has to be a pipe.
func hostFIFO(c *hostChecker) {
	for _, p := range fifos(c.cfg.Global) {
		f, asked := c.file(p.Path)
		switch {
		case !asked || f.Type == "fifo":
		case f.Type == "missing" && f.FS == "":
			c.report(p.Where, fmt.Sprintf("notify_fifo: the directory of %s does not exist: the pipe cannot be made", p.Path), "make the directory before the daemon starts")
		case f.Type != "missing":
			c.report(p.Where, fmt.Sprintf("notify_fifo: %s is there already and is no named pipe (%s): who waits for a pipe gets nothing", p.Path, f.Type), "remove it, or another path; the daemon makes the pipe")
		}
	}
}
