package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var writtenRules = []rule{
	{"comment-in-word", finding.Warning, commentInWord},
	{"global-defs-late", finding.Note, globalDefsLate},
	{"server-mail-default", finding.Note, serverMailDefault},
}

// freeText are keywords whose value may well hold a # or !, which begins a
// comment unless it is quoted.
var freeText = []string{
	"auth_pass", "password", "path", "digest", "regex", "virtualhost", "router_id", "notification_email_from", "script", "misc_path", "sync_key", "key",
	"notify", "notify_master", "notify_backup", "notify_fault", "notify_stop", "notify_up", "notify_down", "quorum_up", "quorum_down", "smtp_helo_name", "helo_name",
}

// commentInWord: a comment that begins in the middle of a word cuts it.
func commentInWord(c *checker) {
	var walk func(body []*syntax.Statement, mail bool)
	walk = func(body []*syntax.Statement, mail bool) {
		for _, st := range body {
			switch {
			case mail:
				c.cutWord(st, "notification_email")
			case slices.Contains(freeText, st.Keyword()):
				c.cutWord(st, st.Keyword())
			}
			if st.Block != nil {
				walk(st.Block.Body, st.Keyword() == "notification_email")
			}
		}
	}
	walk(c.tree.Body, false)
}

func (c *checker) cutWord(st *syntax.Statement, kw string) {
	w := st.Words[len(st.Words)-1]
	at := w.Place()
	source := c.tree.SourceLine(at)
	end := at.Col - 1 + len(w.Text)
	if w.Quoted || at.Col < 1 || end >= len(source) || source[at.Col-1:end] != w.Text || source[end] != '#' && source[end] != '!' {
		return
	}
	at.Col = end + 1
	c.report(at, fmt.Sprintf("%s: the %c begins a comment, also in the middle of a word: what follows it is lost", kw, source[end]), "double quotes around the word")
}

// copied are the settings of global_defs that a block takes over when it begins.
var copied = []string{
	"vrrp_garp_master_delay", "vrrp_garp_master_repeat", "vrrp_garp_master_refresh", "vrrp_garp_master_refresh_repeat",
	"vrrp_garp_lower_prio_delay", "vrrp_garp_lower_prio_repeat", "vrrp_down_timer_adverts", "vrrp_skip_check_adv_addr", "vrrp_version", "script_user",
}

// globalDefsLate: after a reload the order of the blocks counts.
func globalDefsLate(c *checker) {
	var first *syntax.Statement
	for _, st := range c.tree.Body {
		switch st.Keyword() {
		case "vrrp_instance", "vrrp_script":
			if first == nil && st.Block != nil {
				first = st
			}
		case "global_defs":
			if late := keyword(st, copied...); first != nil && late != nil {
				c.reportFor(late.Pos().Place(), fmt.Sprintf("at a reload keepalived gives %s to the blocks below only: those above change to the default then; kaname gives it to all", late.Keyword()),
					fmt.Sprintf("%s at %s stands above global_defs", text(first), first.Pos().Place()), "global_defs first")
			}
		}
	}
}

// serverMailDefault: mails about real servers are on unless somebody says no.
func serverMailDefault(c *checker) {
	m := c.cfg.Global.Mail
	to, relay := c.global("notification_email"), c.global("smtp_server")
	if to == nil || relay == nil || m.Alert != nil || m.AlertChecker != nil || c.global("no_checker_emails") != nil || !c.hasServer() {
		return
	}
	said := false
	c.blocks(func(path string, block *syntax.Statement) {
		said = said || strings.HasPrefix(path, "virtual_server") && keyword(block, "smtp_alert") != nil
	})
	if !said {
		c.report(to.Pos().Place(), "keepalived mails about every real server that goes down or comes back, unless smtp_alert says otherwise, and about failovers only where smtp_alert or smtp_alert_vrrp is true", "smtp_alert_checker false, or smtp_alert true for everything, to say what is meant")
	}
}

func (c *checker) hasServer() bool {
	return slices.ContainsFunc(c.cfg.VirtualServers, func(vs *config.VirtualServer) bool { return len(vs.RealServers) > 0 })
}
