package config

import (
	_ "embed"
	"strings"
	"sync"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

//go:embed keywords.tsv
var keywordsTSV string

// Repeat says what a second keyword of the same name in a block does.
type Repeat uint8

// What a second keyword does.
const (
	RepeatLast   Repeat = iota // it replaces the first
	RepeatFirst                // it is ignored
	RepeatAppend               // both count
	RepeatFlag                 // it changes nothing
)

type keyword struct {
	kind   syntax.Kind
	repeat Repeat
}

// table is the vocabulary: block path -> keyword.
type table map[string]map[string]keyword

var vocabulary = sync.OnceValue(func() table {
	t := table{}
	kinds := map[string]syntax.Kind{"line": syntax.Plain, "block": syntax.Block, "values": syntax.ValueBlock}
	repeats := map[string]Repeat{"last": RepeatLast, "first": RepeatFirst, "append": RepeatAppend, "flag": RepeatFlag}
	for l := range strings.Lines(keywordsTSV) {
		f := strings.Split(strings.TrimSpace(l), "\t")
		if len(f) != 4 || strings.HasPrefix(l, "#") {
			continue
		}
		path := strings.TrimPrefix(f[0], "-")
		if t[path] == nil {
			t[path] = map[string]keyword{}
		}
		t[path][f[1]] = keyword{kinds[f[2]], repeats[f[3]]}
	}
	return t
})

// Kind implements syntax.Grammar.
func (t table) Kind(path, word string) syntax.Kind { return t[path][word].kind }

// Grammar returns the keyword table as the parser needs it.
func Grammar() syntax.Grammar { return vocabulary() }

// RepeatOf returns what a second word does in the block path ("" is root), and
// false when word is no keyword there.
func RepeatOf(path, word string) (Repeat, bool) {
	k, ok := vocabulary()[path][word]
	return k.repeat, ok
}
