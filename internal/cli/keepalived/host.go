package keepalived

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Host is what -t asks the machine that it runs on.
type Host struct {
	// Interface reports whether a link of that name exists, and is a loopback.
	Interface func(name string) (exists, loopback bool)
	// Program says what is wrong with a command's program: not found, which is
	// an fs.ErrNotExist, not executable, a directory. nil: it can be run.
	Program func(name string) error
	// Secure says who besides root can write to a program that runs as root,
	// or to its path.
	Secure func(name string, as config.User) error
	// User says what is wrong with a user and group; both may be empty.
	User func(user, group string) error
}

// ScriptUser runs scripts for which the configuration names no user.
const ScriptUser = "keepalived_script"

// HostFindings is what of a configuration this host lacks, with the exit
// status that keepalived -t gives each (found by experiment).
func HostFindings(c *config.Config, h Host) []finding.Finding {
	k := hostCheck{cfg: c, host: h}
	k.interfaces()
	k.user(exitConfig, c.Global.Where, c.Global.ScriptUser)
	k.parent()
	for _, vs := range c.VirtualServers {
		k.services(vs)
	}
	if k.noVRRP {
		k.security() // of the checkers' scripts
		return k.found
	}
	for _, s := range c.Scripts {
		k.trackScript(s)
	}
	for _, in := range c.Instances {
		k.notify(in.Notify)
	}
	for _, g := range c.SyncGroups {
		k.notify(g.Notify)
	}
	k.security()
	return k.found
}

type hostCheck struct {
	cfg    *config.Config
	host   Host
	found  []finding.Finding
	runs   config.Where // the first command that would be run
	noVRRP bool         // an interface is missing: keepalived's VRRP part ends there
}

func (k *hostCheck) add(exit int, rule string, where config.Where, fix, format string, a ...any) {
	k.found = append(k.found, finding.Finding{
		Severity: finding.Warning, Rule: rule, Where: where, What: fmt.Sprintf(format, a...), Fix: fix, Exit: exit,
	})
}

// parent checks the scripts of the parent process and of the FIFOs.
func (k *hostCheck) parent() {
	g := k.cfg.Global
	for _, c := range []config.Command{g.StartupScript, g.ShutdownScript} {
		if program(c) != "" && k.user(exitConfig, c.Where, c.User) {
			k.command(c)
		}
	}
	k.command(g.FIFO.AllScript)
	if len(k.cfg.Instances) > 0 {
		k.command(g.FIFO.VRRPScript)
	}
	if len(k.cfg.VirtualServers) > 0 {
		k.command(g.FIFO.LVSScript)
	}
}

// trackScript checks a vrrp_script, which keepalived drops when there is none.
// Without an instance it looks at its user alone.
func (k *hostCheck) trackScript(s *config.Script) {
	name := program(s.Command)
	if name == "" || !k.user(exitConfig, s.Command.Where, s.Command.User) || len(k.cfg.Instances) == 0 {
		return
	}
	err := k.host.Program(name)
	if errors.Is(err, fs.ErrNotExist) {
		k.add(exitConfig, "script-missing", s.Command.Where, "keepalived drops it and tracks nothing: give the full path of a program",
			"vrrp_script %s: %v", s.Name, err)
		return
	}
	if err != nil {
		k.add(0, "script-missing", s.Command.Where, "make it executable", "vrrp_script %s: %v", s.Name, err)
	}
	k.willRun(s.Command)
	k.secure(s.Command, exitConfig, "vrrp_script "+s.Name)
}

func (k *hostCheck) notify(n config.Notify) {
	for _, c := range []config.Command{n.Master, n.Backup, n.Fault, n.Stop, n.Generic, n.MasterRxLowerPri} {
		k.command(c)
	}
}

func (k *hostCheck) services(vs *config.VirtualServer) {
	k.command(vs.QuorumUp)
	k.command(vs.QuorumDown)
	for _, rs := range vs.RealServers {
		k.command(rs.NotifyUp)
		k.command(rs.NotifyDown)
		for _, ch := range rs.Checkers {
			if program(ch.Misc) != "" && k.user(exitConfig, ch.Misc.Where, ch.Misc.User) {
				k.command(ch.Misc)
			}
		}
	}
}

// command checks one that keepalived -t says nothing about when it is
// missing; it is told all the same, without a status of its own.
func (k *hostCheck) command(c config.Command) {
	name := program(c)
	if name == "" {
		return
	}
	err := k.host.Program(name)
	if err != nil {
		k.add(0, "script-missing", c.Where, "give the full path of a program that can be run; keepalived says nothing of it", "%v", err)
	}
	if k.user(0, c.Where, c.User) && !errors.Is(err, fs.ErrNotExist) {
		k.willRun(c)
		k.secure(c, 0, "script")
	}
}

// user checks that there is a user, whom keepalived -t misses with exit.
func (k *hostCheck) user(exit int, where config.Where, u config.User) bool {
	if u == (config.User{}) || u == k.cfg.Global.ScriptUser && where != k.cfg.Global.Where {
		return true // it is told once
	}
	if err := k.host.User(u.Name, u.Group); err != nil {
		k.add(exit, "no-user", where, "create the user, or name another", "%v", err)
		return false
	}
	return true
}

// willRun notes a command that there is, and finds that it has no user when
// enable_script_security wants one.
func (k *hostCheck) willRun(c config.Command) {
	if k.runs.IsZero() {
		k.runs = c.Where
	}
	if !k.cfg.Global.ScriptSecurity || c.User != (config.User{}) || k.cfg.Global.ScriptUser != (config.User{}) {
		return
	}
	if k.host.User(ScriptUser, "") != nil {
		k.add(exitConfig, "no-user", c.Where, "add script_user, or create that user",
			"enable_script_security needs the user %s for this script, and it does not exist: the script is not run", ScriptUser)
	}
}

func (k *hostCheck) secure(c config.Command, exit int, what string) {
	if !k.cfg.Global.ScriptSecurity {
		return
	}
	if err := k.host.Secure(program(c), c.User); err != nil {
		k.add(exit, "script-unsafe", c.Where, "let root alone write to it", "%s is disabled by enable_script_security: %v", what, err)
	}
}

// security is what keepalived says once about a file whose scripts it runs
// without enable_script_security.
func (k *hostCheck) security() {
	if !k.runs.IsZero() && !k.cfg.Global.ScriptSecurity {
		k.add(exitSecurity, "script-security", k.runs, "add enable_script_security and script_user to global_defs",
			"SECURITY VIOLATION - scripts are being executed but script_security not enabled")
	}
}

// program is what a command runs; </FILE is no program but asks whether a file
// is there.
func program(c config.Command) string {
	if !c.Set() || strings.HasPrefix(c.Argv[0], "<") {
		return ""
	}
	return c.Argv[0]
}
