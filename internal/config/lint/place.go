package lint

import (
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// walk sorts the blocks by place and by path, once for all rules.
func (c *checker) walk() {
	if c.index != nil {
		return
	}
	c.index, c.byPath = map[finding.Place]*syntax.Statement{}, map[string][]*syntax.Statement{}
	c.blocks(func(path string, block *syntax.Statement) {
		c.index[block.Pos().Place()] = block
		c.byPath[path] = append(c.byPath[path], block)
	})
}

// block returns the block of keywords that begins at a place. There is one for
// everything in the Config that is built from a block of keywords.
func (c *checker) block(at config.Where) *syntax.Statement {
	c.walk()
	return c.index[at]
}

// keyword returns the last of a block's statements that is one of words, nil
// when it has none.
func keyword(block *syntax.Statement, words ...string) *syntax.Statement {
	var last *syntax.Statement
	if block == nil || block.Block == nil {
		return nil
	}
	for _, st := range block.Block.Body {
		for _, w := range words {
			if st.Keyword() == w {
				last = st
			}
		}
	}
	return last
}

// line returns the place of the last of the words in the block that begins at
// a place, and false with the place itself when it has none.
func (c *checker) line(at config.Where, words ...string) (finding.Place, bool) {
	if st := keyword(c.block(at), words...); st != nil {
		return st.Pos().Place(), true
	}
	return at, false
}

// written quotes the last of the words in the block that begins at a place, with
// its position; "" when it has none.
func (c *checker) written(at config.Where, words ...string) string {
	st := keyword(c.block(at), words...)
	if st == nil {
		return ""
	}
	return text(st) + " at " + st.Pos().Place().String()
}

// inBlocks calls fn for every block of a path.
func (c *checker) inBlocks(path string, fn func(block *syntax.Statement)) {
	c.walk()
	for _, block := range c.byPath[path] {
		fn(block)
	}
}
