package lint

import (
	"fmt"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var languageRules = []rule{
	{"overridden-synonym", finding.Warning, overriddenSynonym},
	{"repeated-keyword", finding.Warning, repeatedKeyword},
}

// synonyms are keywords that set the same thing, by the block they stand in.
// The last one in the file counts.
var synonyms = []struct {
	block, what string
	words       []string
}{
	{"virtual_server", "the scheduler", []string{"lb_algo", "lvs_sched"}},
	{"virtual_server", "the forwarding method", []string{"lb_kind", "lvs_method"}},
	{"vrrp_instance", "preemption", []string{"preempt", "nopreempt"}},
	{"vrrp_instance", "whether packets to the addresses are accepted", []string{"accept", "no_accept"}},
	{"vrrp_instance", "the extra ARP interval", []string{"garp_extra_if", "vmac_garp_intvl"}},
	{"vrrp_instance", "the priority after an expired timer", []string{"timer_expired_backup", "thread_timer_expired"}},
	{"global_defs", "the extra ARP interval", []string{"vrrp_garp_extra_if", "vrrp_vmac_garp_intvl"}},
	{"virtual_server/real_server/HTTP_GET", "the retries", []string{"retry", "nb_get_retry"}},
	{"virtual_server/real_server/SSL_GET", "the retries", []string{"retry", "nb_get_retry"}},
}

// overriddenSynonym: two spellings of one setting, and the later one wins
// without a word.
func overriddenSynonym(c *checker) {
	c.blocks(func(path string, block *syntax.Statement) {
		for _, s := range synonyms {
			if s.block == path {
				c.overridden(block, s.what, s.words)
			}
		}
	})
}

func (c *checker) overridden(block *syntax.Statement, what string, words []string) {
	var prev *syntax.Statement
	for _, st := range block.Block.Body {
		if st.Keyword() != words[0] && st.Keyword() != words[1] {
			continue
		}
		if prev != nil && prev.Keyword() != st.Keyword() {
			c.override(prev, st, what)
		}
		prev = st
	}
}

func (c *checker) override(old, winner *syntax.Statement, what string) {
	at := old.Pos().Place()
	if len(old.Words) > 1 && len(winner.Words) > 1 && old.Words[1].Text == winner.Words[1].Text {
		c.reportAs(finding.Note, winner.Pos().Place(),
			fmt.Sprintf("%s says the same as %s at %s", text(winner), text(old), at), "keep one")
		return
	}
	c.report(winner.Pos().Place(),
		fmt.Sprintf("%s overrides %s at %s: both set %s, and the later line counts", text(winner), text(old), at, what),
		fmt.Sprintf("remove the line that is not meant, %q or %q", text(old), text(winner)))
}

// repeatedKeyword: the same keyword twice in one block, where the second
// replaces the first without a word.
func repeatedKeyword(c *checker) {
	c.blocks(func(path string, block *syntax.Statement) {
		last := map[string]*syntax.Statement{}
		for _, st := range block.Block.Body {
			kw := st.Keyword()
			if config.Grammar().Kind(path, kw) != syntax.Plain || kw == "include_check" {
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
