package lint

import (
	"fmt"
	"slices"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var pairFileRules = []pairRule{
	{"pair-unrelated", finding.Note, pairUnrelated},
	{"pair-same-file", finding.Warning, pairSameFile},
	{"pair-router-id", finding.Note, pairRouterID},
}

// pairUnrelated: files of different clusters were given.
func pairUnrelated(c *pairChecker) {
	if c.unrelated() {
		c.report(c.b, c.b.file(), fmt.Sprintf("%s and %s share no virtual router and no virtual server: they are not compared", c.a.Name, c.b.Name),
			c.a.file().String(), "")
	}
}

// pairSameFile: the nodes say the same, also what has to differ.
func pairSameFile(c *pairChecker) {
	if len(c.instances) == 0 || !sameBody(c.a.Tree.Body, c.b.Tree.Body) {
		return
	}
	c.report(c.b, c.b.file(), fmt.Sprintf("%s and %s have the same configuration: the same priority, so that the higher address decides who is MASTER", c.a.Name, c.b.Name),
		c.a.file().String(), "what differs on lines @ID, and start with --config-id (keepalived -i), or by the host's name: @lb1 priority 150")
}

// sameBody compares statements word by word.
func sameBody(a, b []*syntax.Statement) bool {
	return slices.EqualFunc(a, b, func(x, y *syntax.Statement) bool {
		if (x.Block == nil) != (y.Block == nil) {
			return false
		}
		words := slices.EqualFunc(x.Words, y.Words, func(v, w syntax.Word) bool { return v.Text == w.Text })
		return words && (x.Block == nil || sameBody(x.Block.Body, y.Block.Body))
	})
}

// pairRouterID: mails and traps do not say which director sent them.
func pairRouterID(c *pairChecker) {
	a, b := c.a.Config.Global, c.b.Config.Global
	if a.RouterID == "" || a.RouterID != b.RouterID {
		return
	}
	c.report(c.b, c.b.at(b.Where, "router_id"), fmt.Sprintf("router_id %s is that of %s too: mails do not tell which of the two they come from", b.RouterID, c.a.Name),
		c.a.cite(a.Where, "router_id"), "remove it (the host's name is used), or name the node")
}
