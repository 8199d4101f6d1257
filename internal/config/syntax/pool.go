package syntax

// pool hands out statements and their words from big pieces: a tree is kept or
// dropped as a whole, and thousands of small pieces cost more than their bytes.
type pool struct {
	words      []Word
	statements []Statement
}

// statement returns a new one with a copy of the words.
func (p *pool) statement(ws []Word, t text) *Statement {
	if len(p.statements) == cap(p.statements) {
		p.statements = make([]Statement, 0, piece(cap(p.statements)))
	}
	p.statements = append(p.statements, Statement{Words: p.copy(ws), text: t.s, segs: t.segs})
	return &p.statements[len(p.statements)-1]
}

func (p *pool) copy(ws []Word) []Word {
	n := len(p.words)
	if n+len(ws) > cap(p.words) {
		p.words, n = make([]Word, 0, max(len(ws), piece(cap(p.words)))), 0
	}
	p.words = append(p.words, ws...)
	return p.words[n:len(p.words):len(p.words)]
}

// piece is the size of the next piece: small for small files.
func piece(last int) int { return min(max(16, 2*last), 1024) }
