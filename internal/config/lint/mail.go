package lint

import (
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// mailRules are about what of global_defs does nothing alone.
var mailRules = []rule{
	{"mail-incomplete", finding.Warning, mailIncomplete},
	{"reload-always-refused", finding.Warning, reloadAlwaysRefused},
}

// mailIncomplete: a mail needs a relay and somebody to go to.
func mailIncomplete(c *checker) {
	to, relay := c.global("notification_email"), c.global("smtp_server")
	switch {
	case to == nil && relay == nil:
		c.alertsToNobody()
	case relay == nil:
		c.report(to.Pos().Place(), "notification_email without smtp_server: no mail is ever sent, and nothing says so", "smtp_server 127.0.0.1 in global_defs, when a mail server runs there")
	case to == nil:
		c.report(relay.Pos().Place(), "smtp_server without notification_email: nobody gets a mail", "notification_email { ops@example.com } in global_defs")
	}
}

// alertsToNobody finds the first wish for a mail where none can be sent.
func (c *checker) alertsToNobody() {
	var first *syntax.Statement
	c.blocks(func(_ string, block *syntax.Statement) {
		for _, st := range block.Block.Body {
			if first == nil && strings.HasPrefix(st.Keyword(), "smtp_alert") && on(st) {
				first = st
			}
		}
	})
	if first != nil {
		c.report(first.Pos().Place(), first.Keyword()+": no mail is sent, since global_defs names neither a mail server nor anybody to write to", "smtp_server and notification_email in global_defs")
	}
}

// on reports whether a switch is switched on.
func on(st *syntax.Statement) bool {
	args := st.Args()
	return len(args) == 0 || args[0].Text == "true" || args[0].Text == "on" || args[0].Text == "yes"
}

// reloadAlwaysRefused: keepalived's own test ends with 6 over the scripts.
func reloadAlwaysRefused(c *checker) {
	st := c.global("reload_check_config")
	cmds := c.commands()
	if st == nil || len(cmds) == 0 || c.cfg.Global.ScriptSecurity {
		return
	}
	c.reportFor(st.Pos().Place(), "keepalived would refuse every reload: it wants status 0 of its own test, and that ends with 6 while scripts run without enable_script_security (kaname refuses a reload only over errors)",
		cmds[0].keyword+" at "+cmds[0].Where.String(), "enable_script_security in global_defs")
}
