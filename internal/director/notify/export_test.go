package notify

import (
	"context"

	"github.com/kaname-lb/kaname/internal/process"
)

// SetStart replaces what starts commands.
func (n *Notifier) SetStart(f func(context.Context, process.Command) <-chan process.Result) {
	n.start = f
}
