package syntax

import (
	"io/fs"

	"github.com/kaname-lb/kaname/internal/finding"
)

// Files is how the parser reaches files.
type Files interface {
	// Read returns the content and mode of the named file. For anything but a
	// regular file the content may be nil. A missing file is an error that
	// matches fs.ErrNotExist.
	Read(name string) ([]byte, fs.FileMode, error)
	// Glob returns the sorted names that match pattern, which has the syntax
	// of path.Match; brace alternatives have been expanded before.
	Glob(pattern string) ([]string, error)
}

// Kind is what a word is in the block where it stands.
type Kind uint8

// Kinds of words.
const (
	Unknown    Kind = iota // no keyword of this block
	Plain                  // a keyword of one line
	Block                  // a keyword that opens a block of keywords
	ValueBlock             // a keyword that opens a block of values, one or more a line
)

// Grammar tells the parser which keywords open blocks. path is the enclosing
// keywords joined by "/", empty at root.
type Grammar interface {
	Kind(path, word string) Kind
}

// Options are what a parse depends on besides the text. The zero value is
// usable.
type Options struct {
	// ConfigID is the id that `@id` lines are compared with (keepalived -i).
	// Lines marked @kaname are kept and @^kaname dropped whatever it is.
	ConfigID string
	// Env looks up ${_ENV NAME}; nil knows no name.
	Env func(name string) (string, bool)
	// Seed seeds ${_RANDOM}.
	Seed uint64
	// Grammar may be nil: then only a brace opens a block.
	Grammar Grammar
	// StrictIncludes makes every include problem an error (keepalived -e).
	StrictIncludes bool
	// Limits bounds the work; zero fields take the defaults.
	Limits Limits
}

// Limits bound what one configuration may cost.
type Limits struct {
	Lines        int // lines of a file, and logical lines after expansion, MaxLines
	Bytes        int // bytes of logical lines after expansion, 256 MiB
	LineLength   int // bytes of one line, before or after expansion, 65,536
	IncludeDepth int // 32
	BlockDepth   int // 64
	Findings     int // 1,000
}

// Tree is a whole configuration with everything expanded.
type Tree struct {
	// Files are the named file and every file it included, in reading order.
	Files []string
	Body  []*Statement
	// Marks are the ids of @ID lines, kaname's own and negated ones aside, each
	// where it stands first.
	Marks []Mark

	lines map[string][]string
}

// Mark is an id of conditional lines. Kept says that it is the ConfigID.
type Mark struct {
	ID    string
	Kept  bool
	Where finding.Place
}

// SourceLine returns the text of the physical line at p, "" when there is none.
func (t *Tree) SourceLine(p finding.Place) string {
	if l := t.lines[p.File]; p.Line >= 1 && p.Line <= len(l) {
		return l[p.Line-1]
	}
	return ""
}

// Statement is one logical line: a keyword with its arguments, or one line of
// a value block. It has at least one word.
type Statement struct {
	Words []Word
	// Block is nil when the statement opens none.
	Block *BlockBody

	text string
	segs []segment
}

// BlockBody is what stands between the braces of a block.
type BlockBody struct {
	Open, Close Pos // Close is the zero Pos when the brace is missing
	Body        []*Statement
}

// Word is one word of a statement, its quotes removed.
type Word struct {
	Text   string
	Pos    Pos
	Quoted bool
}

// Keyword returns the statement's first word.
func (s *Statement) Keyword() string { return s.Words[0].Text }

// Pos returns where the statement begins.
func (s *Statement) Pos() Pos { return s.Words[0].Pos }

// Args returns the words after the first.
func (s *Statement) Args() []Word { return s.Words[1:] }

// Place returns where the word stands.
func (w Word) Place() finding.Place { return w.Pos.Place() }
