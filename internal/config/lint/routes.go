package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var routeRules = []rule{
	{"rule-without-preference", finding.Warning, ruleWithoutPreference},
	{"rule-port-range", finding.Warning, rulePortRange},
	{"route-without-dev", finding.Note, routeWithoutDev},
}

// values calls fn for the lines of every block of values with one of the names,
// at the root or in an instance.
func (c *checker) values(fn func(line *syntax.Statement), names ...string) {
	each := func(body []*syntax.Statement) {
		for _, st := range body {
			if st.Block == nil || !slices.Contains(names, st.Keyword()) {
				continue
			}
			for _, l := range st.Block.Body {
				fn(l)
			}
		}
	}
	each(c.tree.Body)
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) { each(block.Block.Body) })
}

// has reports whether a line has one of the words.
func has(line *syntax.Statement, words ...string) bool {
	return slices.ContainsFunc(line.Words, func(w syntax.Word) bool { return slices.Contains(words, w.Text) })
}

// ruleWithoutPreference: where the rule goes is then decided by the order of
// the lines.
func ruleWithoutPreference(c *checker) {
	c.values(func(l *syntax.Statement) {
		if !has(l, "preference", "priority", "order", "pref") {
			c.report(l.Pos().Place(), "a rule without preference goes to 16384, the next such one to 16383 and so on: behind or before others by accident", text(l)+" preference 1000, or where it belongs")
		}
	}, "virtual_rules", "static_rules")
}

// rulePortRange: keepalived wants a range where one port would do.
func rulePortRange(c *checker) {
	c.values(func(l *syntax.Statement) {
		for i, w := range l.Words[1:] {
			kw := l.Words[i].Text
			if (kw == "sport" || kw == "dport") && w.Text != "" && strings.Trim(w.Text, "0123456789") == "" {
				c.report(w.Place(), fmt.Sprintf("keepalived refuses %s %s, since it takes ranges only, and the rule is not added", kw, w.Text), fmt.Sprintf("%s %s-%s", kw, w.Text, w.Text))
			}
		}
	}, "virtual_rules", "static_rules")
}

// routeWithoutDev: nobody notices when the route goes.
func routeWithoutDev(c *checker) {
	c.values(func(l *syntax.Statement) {
		if !has(l, "dev", "oif", "no_track", "nexthop", "blackhole", "unreachable", "prohibit", "throw") {
			c.report(l.Pos().Place(), "a route without dev is not watched: when its interface goes down the instance stays MASTER without it", text(l)+" dev "+c.ownInterface(l))
		}
	}, "virtual_routes")
}

// ownInterface is the interface of the instance around a line.
func (c *checker) ownInterface(l *syntax.Statement) string {
	at, name := l.Pos().Place(), "eth0"
	for _, in := range c.cfg.Instances {
		if in.Where.File == at.File && in.Where.Line <= at.Line && in.Interface != "" {
			name = in.Interface
		}
	}
	return name
}
