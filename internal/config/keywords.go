package config

import (
	"embed"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/kaname-lb/kaname/internal/config/syntax"
)

//go:embed keywords/*.tsv
var keywordFiles embed.FS

// Keyword is one keyword of the language in one block, as the tables in
// keywords/ have it; their heads explain the columns.
type Keyword struct {
	Block  string // path of the enclosing blocks, joined by "/"; empty at root
	Name   string
	Shape  syntax.Kind
	Repeat Repeat
	Args   Args
	// Strict refuses junk behind a number that keepalived tolerates at run time;
	// Optional means that the value may be missing.
	Strict, Optional bool
	// Ignored says that a missing value only makes keepalived ignore the line,
	// where elsewhere it ends the program.
	Ignored  bool
	Range    string // "LO..HI", "LO..", "a|b|c", "<=N", "" for any
	Unit     string // of a number: "s", "ms", "us", "bytes" …
	Default  string // what holds without the keyword
	Same     string // another spelling of the same setting
	Old      bool   // this is the old spelling, Same the new one
	Standing Standing
	// Effect says, unless Standing is Runs, what happens instead, or why nothing
	// does.
	Effect  string
	In227   bool // keepalived 2.2.7 knows the keyword
	Meaning string
	path    string
}

// Path is the keyword's own path: that of its block and its name.
func (k *Keyword) Path() string { return k.path }

// Repeat says what a second keyword of the same name in a block does.
type Repeat uint8

// What a second keyword does.
const (
	RepeatLast    Repeat = iota // it replaces the first
	RepeatFirst                 // it is ignored
	RepeatAppend                // both count
	RepeatFlag                  // it changes nothing
	RepeatReplace               // it replaces the first, with a message
)

// Standing says what kaname does with a keyword that it knows.
type Standing uint8

// Standings of a keyword.
const (
	Runs  Standing = iota // it is carried out
	Later                 // it is typed and checked, and not carried out yet
	Never                 // it is accepted and has no effect, on purpose
)

// Args names what stands behind a keyword.
type Args string

// What can stand behind a keyword.
const (
	ArgNone     Args = "none"
	ArgBool     Args = "bool"
	ArgUint     Args = "uint"
	ArgInt      Args = "int"
	ArgDecimal  Args = "decimal"
	ArgWord     Args = "word"
	ArgPath     Args = "path"
	ArgIface    Args = "iface"
	ArgAddr     Args = "addr"
	ArgPort     Args = "port"
	ArgChoice   Args = "choice"
	ArgCommand  Args = "command"
	ArgCommand1 Args = "command1"
	ArgFIFO     Args = "fifo"
	ArgUser     Args = "user"
	ArgSpecial  Args = "special" // read by code of its own
	ArgBlock    Args = "-"
)

// table is the vocabulary: block path -> keyword.
type table map[string]map[string]*Keyword

var vocabulary = sync.OnceValue(func() table {
	t := table{}
	for k := range Keywords() {
		if t[k.Block] == nil {
			t[k.Block] = map[string]*Keyword{}
		}
		t[k.Block][k.Name] = k
	}
	return t
})

// Keywords yields every keyword, file by file in the tables' order.
func Keywords() iter.Seq[*Keyword] { return slices.Values(allKeywords()) }

var allKeywords = sync.OnceValue(func() []*Keyword {
	files, err := keywordFiles.ReadDir("keywords")
	if err != nil {
		panic(err) // the directory is embedded
	}
	var all []*Keyword
	for _, f := range files {
		b, err := keywordFiles.ReadFile("keywords/" + f.Name())
		if err != nil {
			panic(err)
		}
		for l := range strings.Lines(string(b)) {
			if !strings.HasPrefix(l, "#") {
				all = append(all, parseKeyword(strings.Split(strings.TrimSuffix(l, "\n"), "\t")))
			}
		}
	}
	return all
})

// parseKeyword reads a table's row; the tests prove that each has all columns.
func parseKeyword(f []string) *Keyword {
	cell := func(i int) string {
		if f[i] == "-" {
			return ""
		}
		return f[i]
	}
	k := &Keyword{
		Block: cell(0), Name: f[1], Shape: shapes[f[2]], Repeat: repeats[f[3]], Args: Args(f[4]),
		Range: cell(5), Unit: cell(6), Default: cell(7), In227: f[10] == "yes", Meaning: cell(11),
	}
	if a := strings.Trim(f[4], "!?~"); a != "" {
		k.Args, k.Strict = Args(a), f[4][0] == '!'
		k.Optional, k.Ignored = strings.HasSuffix(f[4], "?"), strings.HasSuffix(f[4], "~")
	}
	k.path = join(k.Block, k.Name)
	k.Same, k.Old = strings.CutPrefix(cell(8), "=")
	standing, effect, _ := strings.Cut(f[9], ": ") // "later" may stand alone
	k.Standing, k.Effect = standings[standing], effect
	return k
}

var (
	shapes    = map[string]syntax.Kind{"line": syntax.Plain, "block": syntax.Block, "values": syntax.ValueBlock}
	repeats   = map[string]Repeat{"last": RepeatLast, "first": RepeatFirst, "append": RepeatAppend, "flag": RepeatFlag, "replace": RepeatReplace}
	standings = map[string]Standing{"runs": Runs, "later": Later, "never": Never}
)

// Kind implements syntax.Grammar.
func (t table) Kind(path, word string) syntax.Kind {
	if k := t[path][word]; k != nil {
		return k.Shape
	}
	return syntax.Unknown
}

// Grammar returns the keyword table as the parser needs it.
func Grammar() syntax.Grammar { return vocabulary() }

// Lookup returns what word is in the block path ("" is root), nil when it is no
// keyword there.
func Lookup(path, word string) *Keyword { return vocabulary()[path][word] }

// RepeatOf returns what a second word does in the block path ("" is root), and
// false when word is no keyword there.
func RepeatOf(path, word string) (Repeat, bool) {
	k := Lookup(path, word)
	if k == nil {
		return 0, false
	}
	return k.Repeat, true
}

// choices are the words that a keyword allows.
func (k *Keyword) choices() []string { return slices.Clone(strings.Split(k.Range, "|")) }
