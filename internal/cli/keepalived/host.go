package keepalived

import (
	"fmt"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Host is what -t asks the machine that it runs on.
type Host struct {
	// Interface reports whether a link of that name exists, and is a loopback.
	Interface func(name string) (exists, loopback bool)
	// Program says what is wrong with a command's program: not found, not
	// executable, a directory. nil: it can be run.
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
	k.user(c.Global.Where, c.Global.ScriptUser)
	if len(c.Instances) > 0 { // else keepalived does not look at them
		for _, s := range c.Scripts {
			k.trackScript(s)
		}
	}
	for _, in := range c.Instances {
		k.notify(in.Notify)
	}
	for _, g := range c.SyncGroups {
		k.notify(g.Notify)
	}
	for _, vs := range c.VirtualServers {
		k.services(vs)
	}
	k.security()
	return k.found
}

type hostCheck struct {
	cfg   *config.Config
	host  Host
	found []finding.Finding
	runs  config.Where // the first command that would be run
}

func (k *hostCheck) add(exit int, rule string, where config.Where, fix, format string, a ...any) {
	k.found = append(k.found, finding.Finding{
		Severity: finding.Warning, Rule: rule, Where: where, What: fmt.Sprintf(format, a...), Fix: fix, Exit: exit,
	})
}

// interfaces looks for those that VRRP uses. Those of checkers are bound to
// when a check runs, and not looked for.
func (k *hostCheck) interfaces() {
	for _, in := range k.cfg.Instances {
		k.iface(in.InterfaceAt, in.Interface, "vrrp_instance "+in.Name)
		if _, loopback := k.host.Interface(in.Interface); loopback {
			k.add(exitConfig, "loopback", in.InterfaceAt, "name the interface of the segment that the directors share",
				"vrrp_instance %s cannot elect on the loopback interface %s", in.Name, in.Interface)
		}
		for _, a := range in.Addresses {
			k.iface(a.Where, a.Dev, "address "+a.Prefix.String())
		}
		for _, a := range in.Excluded {
			k.iface(a.Where, a.Dev, "address "+a.Prefix.String())
		}
		for _, t := range in.TrackInterfaces {
			k.iface(t.Where, t.Name, "track_interface of "+in.Name)
		}
	}
	for _, g := range k.cfg.SyncGroups {
		for _, t := range g.TrackInterfaces {
			k.iface(t.Where, t.Name, "track_interface of "+g.Name)
		}
	}
}

func (k *hostCheck) iface(where config.Where, name, of string) {
	if exists, _ := k.host.Interface(name); exists || name == "" {
		return
	}
	for _, f := range k.found { // an address inherits its instance's interface
		if f.Rule == ruleInterface && f.Evidence == name {
			return
		}
	}
	k.add(exitConfig, ruleInterface, where, "see `ip link` for those that do", "interface %s for %s does not exist on this host", name, of)
	k.found[len(k.found)-1].Evidence = name
}

const ruleInterface = "no-interface"

// trackScript checks a vrrp_script, which keepalived drops when it cannot run.
func (k *hostCheck) trackScript(s *config.Script) {
	name := program(s.Command)
	if name == "" {
		return
	}
	if err := k.host.Program(name); err != nil {
		k.add(exitConfig, "script-missing", s.Command.Where, "keepalived drops it and tracks nothing: give the full path of a program",
			"vrrp_script %s: %v", s.Name, err)
		return
	}
	if !k.user(s.Command.Where, s.Command.User) {
		return
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
			k.command(ch.Misc)
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
	if err := k.host.Program(name); err != nil {
		k.add(0, "script-missing", c.Where, "give the full path of a program that can be run; keepalived says nothing of it", "%v", err)
		return
	}
	if k.user(c.Where, c.User) {
		k.willRun(c)
		k.secure(c, 0, "script")
	}
}

func (k *hostCheck) user(where config.Where, u config.User) bool {
	if u == (config.User{}) || u == k.cfg.Global.ScriptUser && where != k.cfg.Global.Where {
		return true // it is told once
	}
	if err := k.host.User(u.Name, u.Group); err != nil {
		k.add(exitConfig, "no-user", where, "create the user, or name another", "%v", err)
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

func program(c config.Command) string {
	if !c.Set() {
		return ""
	}
	return c.Argv[0]
}
