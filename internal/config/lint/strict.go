package lint

import (
	"fmt"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var strictRules = []rule{
	{"strict-with-unicast", finding.Warning, strictWithUnicast},
	{"addresses-not-accepted", finding.Warning, addressesNotAccepted},
}

// strict returns the line that puts an instance into strict mode, nil when
// none does.
func (c *checker) strict(instance *syntax.Statement) *syntax.Statement {
	if st := keyword(instance, "strict_mode"); st != nil {
		if switchedOff(st) {
			return nil
		}
		return st
	}
	st := c.global("vrrp_strict")
	if st != nil && switchedOff(st) {
		return nil
	}
	return st
}

// global returns the last of the keywords in the blocks global_defs.
func (c *checker) global(words ...string) (last *syntax.Statement) {
	c.inBlocks("global_defs", func(block *syntax.Statement) {
		if st := keyword(block, words...); st != nil {
			last = st
		}
	})
	return last
}

// switchedOff reports whether a keyword's value is off, false or no.
func switchedOff(st *syntax.Statement) bool {
	if len(st.Words) < 2 {
		return false
	}
	w := st.Words[1].Text
	return w == "off" || w == "false" || w == "no"
}

// strictWithUnicast: strict mode refuses unicast on interfaces that can multicast.
func strictWithUnicast(c *checker) {
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) {
		st, peers := c.strict(block), keyword(block, "unicast_peer")
		if st == nil || peers == nil || peers.Block == nil || len(peers.Block.Body) == 0 {
			return
		}
		c.reportFor(peers.Pos().Place(), text(block)+": keepalived does not start: strict mode allows no unicast on an interface that can multicast, and the whole daemon ends over it",
			fmt.Sprintf("%s at %s", text(st), st.Pos().Place()), "no "+st.Keyword()+", which few want")
	})
}

// addressesNotAccepted: no_accept and strict mode are firewall rules that drop
// everything to the virtual addresses.
func addressesNotAccepted(c *checker) {
	var names []string
	var at *syntax.Statement
	for _, in := range c.cfg.Instances {
		st := c.strict(c.block(in.Where))
		switch accept := keyword(c.block(in.Where), "accept", "no_accept"); {
		case in.Priority == 255:
		case accept != nil && accept.Keyword() == "accept" && (st == nil || in.Version == 3):
		case accept != nil && accept.Keyword() == "no_accept":
			c.notAccepted(accept, in.Name)
		case st != nil && st.Keyword() == "strict_mode":
			c.notAccepted(st, in.Name)
		case st != nil:
			names, at = append(names, in.Name), st
		}
	}
	if at != nil {
		c.notAccepted(at, names...)
	}
}

func (c *checker) notAccepted(at *syntax.Statement, names ...string) {
	fix := "accept"
	if strings.Contains(at.Keyword(), "strict") {
		fix = "no " + at.Keyword() + "; with version 3 also accept in the vrrp_instance"
	}
	c.report(at.Pos().Place(), fmt.Sprintf("vrrp_instance %s: keepalived drops by firewall rules whatever is sent to the virtual addresses or from them: no ping, no service, no balanced connection gets through", strings.Join(names, ", ")), fix)
}
