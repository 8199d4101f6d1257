package lint

import (
	"fmt"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var sampleRules = []rule{
	{"sample-router-id", finding.Note, sampleRouterID},
	{"sample-mail", finding.Note, sampleMail},
}

// sampleRouterID: the name of the sample file, which every node then has.
func sampleRouterID(c *checker) {
	if st := c.global("router_id"); st != nil && len(st.Words) > 1 && strings.HasPrefix(st.Words[1].Text, "LVS_DEVEL") {
		c.report(st.Words[1].Place(), "router_id is that of keepalived's sample file: it names the node in mails, and they look alike from every node that has it", "router_id and a name of this node; without the line it is the host's name")
	}
}

// sampleMail: alerts to and through hosts of the sample file.
func sampleMail(c *checker) {
	told := false
	c.inBlocks("global_defs", func(block *syntax.Statement) {
		for _, st := range block.Block.Body {
			words := st.Args()
			if st.Keyword() == "notification_email" && st.Block != nil {
				for _, l := range st.Block.Body {
					words = append(words, l.Words...)
				}
			}
			for _, w := range words {
				if !told && (strings.HasSuffix(strings.ToLower(w.Text), "@firewall.loc") || st.Keyword() == "smtp_server" && w.Text == "192.168.200.1") {
					told = true
					c.report(w.Place(), fmt.Sprintf("%s is of keepalived's sample file: alerts that go there reach nobody", w.Text), "an address that somebody reads and a mail relay of yours; or none of the mail settings")
				}
			}
		}
	})
}
