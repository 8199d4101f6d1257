package checker

import (
	"context"

	"github.com/kaname-lb/kaname/internal/health"
)

// NewFakeRunner returns a Runner that probes with run.
func NewFakeRunner(l Limits, report func(health.Result), run func(context.Context, Target) Outcome) *Runner {
	r := NewRunner(l, report)
	r.run = run
	return r
}

// ParseAnswer parses an answer that comes in the given pieces.
func ParseAnswer(pieces ...[]byte) (Answer, error) {
	p := newParser()
	for _, b := range pieces {
		if err := p.feed(b); err != nil {
			return Answer{}, err
		}
	}
	return p.finish()
}
