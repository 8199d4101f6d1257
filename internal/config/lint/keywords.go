package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var languageRules = []rule{
	{"overridden-synonym", finding.Warning, overriddenSynonym},
	{"repeated-keyword", finding.Warning, repeatedKeyword},
}

// synonym returns the other spelling of a keyword, or its opposite, in the
// block path: what sets the same thing. Empty when it has none.
func synonym(path, kw string) string {
	k := config.Lookup(path, kw)
	if kw == "mcast_src_ip" || kw == "unicast_src_ip" { // sourceAddressTwice
		return ""
	}
	if k == nil || k.Shape != syntax.Plain || k.Repeat == config.RepeatAppend || kw == "mcast_src_ip" || kw == "unicast_src_ip" {
		return "" // two source addresses have a rule of their own
	}
	if other := config.Lookup(path, k.Same); other == nil || other.Shape != syntax.Plain {
		return "" // it stands in another block
	}
	return k.Same
}

// opposite reports whether one keyword switches off what the other switches on.
func opposite(a, b string) bool {
	return strings.Replace(a, "no_", "", 1) == b || strings.Replace(b, "no_", "", 1) == a || a == "no"+b || b == "no"+a
}

// overriddenSynonym: two spellings of one setting, and the later one wins
// without a word.
func overriddenSynonym(c *checker) {
	last := map[string]*syntax.Statement{} // of one block, by either spelling
	c.blocks(func(path string, block *syntax.Statement) {
		clear(last)
		for _, st := range block.Block.Body {
			kw := st.Keyword()
			other := synonym(path, kw)
			if other == "" {
				continue
			}
			if prev := last[kw]; prev != nil && prev.Keyword() != kw {
				c.override(prev, st)
			}
			last[kw], last[other] = st, st
		}
	})
}

func (c *checker) override(old, winner *syntax.Statement) {
	at := old.Pos().Place()
	why := "they are two spellings of one setting"
	same := slices.EqualFunc(old.Args(), winner.Args(), func(a, b syntax.Word) bool { return a.Text == b.Text })
	switch {
	case opposite(old.Keyword(), winner.Keyword()):
		why = "one undoes the other"
	case same:
		c.reportAs(finding.Note, winner.Pos().Place(), fmt.Sprintf("%s says the same as %s at %s", text(winner), text(old), at), "keep one")
		return
	}
	c.report(winner.Pos().Place(),
		fmt.Sprintf("%s overrides %s at %s: %s, and the later line counts", text(winner), text(old), at, why),
		fmt.Sprintf("remove the line that is not meant, %q or %q", text(old), text(winner)))
}

// repeatedKeyword: the same keyword twice in one block, where the second
// replaces the first without a word.
func repeatedKeyword(c *checker) {
	last := map[string]*syntax.Statement{} // of one block
	c.blocks(func(path string, block *syntax.Statement) {
		clear(last)
		for _, st := range block.Block.Body {
			kw := st.Keyword()
			if config.Grammar().Kind(path, kw) != syntax.Plain || kw == "include_check" || path == "SSL" { // config reports those
				continue
			}
			if r, _ := config.RepeatOf(path, kw); r != config.RepeatLast {
				continue
			}
			if old := last[kw]; old != nil {
				c.report(st.Pos().Place(), fmt.Sprintf("%s replaces %s at %s", text(st), text(old), old.Pos().Place()), "keep one")
			}
			last[kw] = st
		}
	})
}
