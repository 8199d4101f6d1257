package track

import (
	"context"
	"log/slog"
	"time"

	"github.com/kaname-lb/kaname/internal/process"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

// Script is one vrrp_script. Command.Timeout of 0 stands for Interval.
type Script struct {
	Name     string
	Command  process.Command
	Interval time.Duration
}

// Tracker runs scripts. Its methods may be called concurrently.
type Tracker struct {
	log    *slog.Logger
	report func(vrrp.ScriptResult)
}

// New returns a Tracker that hands results to report, which must not block
// and may be called by several goroutines at a time.
func New(log *slog.Logger, report func(vrrp.ScriptResult)) *Tracker { panic("being written") }

// Update replaces the set of scripts (a reload). Those that are equal to one
// that runs go on undisturbed; the others' running commands are killed, and no
// result of theirs is reported after Update returned.
func (t *Tracker) Update(scripts []Script) { panic("being written") }

// Run keeps the scripts running until ctx ends; then it kills what runs and
// waits for it. Scripts given to Update before wait for Run.
func (t *Tracker) Run(ctx context.Context) error { panic("being written") }
