package lint

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var scriptRules = []rule{
	{"script-never-tracked", finding.Warning, scriptNeverTracked},
	{"script-timeout", finding.Warning, scriptTimeout},
	{"notify-words-as-user", finding.Warning, notifyWordsAsUser},
	{"shell-syntax", finding.Warning, shellSyntax},
	{"command-not-absolute", finding.Warning, commandNotAbsolute},
	{"no-script-security", finding.Note, noScriptSecurity},
}

// command is a configured command and the keyword that it belongs to.
type command struct {
	config.Command
	keyword string
}

func (c *checker) commands() []command {
	var out []command
	add := func(kw string, cmd config.Command) {
		if cmd.Set() {
			out = append(out, command{cmd, kw})
		}
	}
	notify := func(n config.Notify) {
		add("notify_master", n.Master)
		add("notify_backup", n.Backup)
		add("notify_fault", n.Fault)
		add("notify_stop", n.Stop)
		add("notify", n.Generic)
		add("notify_master_rx_lower_pri", n.MasterRxLowerPri)
	}
	for _, s := range c.cfg.Scripts {
		add("script", s.Command)
	}
	for _, g := range c.cfg.SyncGroups {
		notify(g.Notify)
	}
	for _, in := range c.cfg.Instances {
		notify(in.Notify)
	}
	for _, vs := range c.cfg.VirtualServers {
		add("quorum_up", vs.QuorumUp)
		add("quorum_down", vs.QuorumDown)
		for _, rs := range vs.RealServers {
			add("notify_up", rs.NotifyUp)
			add("notify_down", rs.NotifyDown)
			for _, ch := range rs.Checkers {
				add("misc_path", ch.Misc)
			}
		}
	}
	return out
}

// notifyWordsAsUser: words after an unquoted command name the user and group
// it runs as; arguments written there make the notify fail.
func notifyWordsAsUser(c *checker) {
	c.blocks(func(_ string, block *syntax.Statement) {
		for _, st := range block.Block.Body {
			kw := st.Keyword()
			if !strings.HasPrefix(kw, "notify") && kw != "quorum_up" && kw != "quorum_down" {
				continue
			}
			ws, err := st.QuotedWords()
			if err != nil || len(ws) < 3 || ws[1].Quoted {
				continue
			}
			sev := finding.Note
			if len(ws) > 4 || !userName(ws[2].Text) || len(ws) == 4 && !userName(ws[3].Text) {
				sev = finding.Warning
			}
			var rest []string
			for _, w := range ws[2:] {
				rest = append(rest, w.Text)
			}
			line := ws[1].Text + " " + strings.Join(rest, " ")
			c.reportAs(sev, ws[2].Place(), fmt.Sprintf("%q is taken as the user (and group) that %s runs as, not as arguments", strings.Join(rest, " "), ws[1].Text),
				fmt.Sprintf("%s %q if these are arguments", kw, line))
		}
	})
}

// userName reports whether s could be meant as a user's name. Words that are
// usual arguments of notify scripts are none.
func userName(s string) bool {
	if s == "" || len(s) > 32 || strings.Trim(s, "0123456789") == "" {
		return false
	}
	switch strings.ToLower(s) {
	case "master", "backup", "fault", "stop", "start", "restart", "active", "standby", "up", "down", "add", "del", "instance", "group":
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-') {
			return false
		}
	}
	return s[0] != '-'
}

var shells = []string{"sh", "bash", "dash", "ash", "ksh", "zsh", "busybox", "env", "awk", "sed", "perl", "python", "python3"}

// shellSyntax: commands are executed directly, without a shell.
func shellSyntax(c *checker) {
	for _, cmd := range c.commands() {
		if slices.Contains(shells, path.Base(cmd.Argv[0])) {
			continue
		}
		for _, a := range cmd.Argv {
			if isShellSyntax(a) {
				c.report(cmd.Where, fmt.Sprintf("%s: %q is passed to %s as an argument, since no shell reads the command", cmd.keyword, a, cmd.Argv[0]),
					fmt.Sprintf(`%s "/bin/sh -c '%s'"`, cmd.keyword, strings.Join(cmd.Argv, " ")))
				break
			}
		}
	}
}

func isShellSyntax(a string) bool {
	switch a {
	case "|", "||", "&&", "&", ";", ">", ">>", "<", "2>&1", "2>/dev/null", ">/dev/null", "&>/dev/null", "1>/dev/null":
		return true
	}
	return strings.Contains(a, "$(") || strings.Contains(a, "`") || len(a) > 1 && a[0] == '$' || strings.HasSuffix(a, ";") && len(a) > 1
}

// commandNotAbsolute: what is found depends on the daemon's directory or PATH.
func commandNotAbsolute(c *checker) {
	for _, cmd := range c.commands() {
		// One that begins with a quote that is none is reported as such.
		if !path.IsAbs(cmd.Argv[0]) && !strings.HasPrefix(cmd.Argv[0], "<") && cmd.Argv[0][0] < 0x80 {
			c.report(cmd.Where, fmt.Sprintf("%s: %s is no absolute path; whether it is found depends on the daemon's environment", cmd.keyword, cmd.Argv[0]), "write the whole path")
		}
	}
}

// noScriptSecurity: scripts run as root although others may write them.
func noScriptSecurity(c *checker) {
	cmds := c.commands()
	if len(cmds) == 0 || c.cfg.Global.ScriptSecurity {
		return
	}
	c.report(cmds[0].Where, "scripts run without enable_script_security (keepalived -t ends with status 6 over it): a script that others than root can write runs as root",
		"global_defs { enable_script_security and script_user USER }")
}
