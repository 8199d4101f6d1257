package connsyncio

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// Daemon synchronises the connections of one director. Its methods are safe
// for concurrent use.
type Daemon struct {
	spec  Spec
	table Table
	log   *slog.Logger
}

// New returns a daemon in no role. Nothing happens before Run.
func New(spec Spec, table Table, log *slog.Logger) (*Daemon, error) {
	spec, err := spec.complete()
	if err != nil {
		return nil, err
	}
	return &Daemon{spec: spec, table: table, log: log}, nil
}

// Run is the daemon. It returns when ctx ends, after what was to be announced
// has been. What goes wrong meanwhile is told by Status and Conditions and
// tried again.
func (d *Daemon) Run(ctx context.Context) error { <-ctx.Done(); return errors.New("not yet") }

// SetRole makes the daemon a master, which announces, a backup, which enters
// what it hears into the table, both or neither. It does not wait: a master
// that stops being one still announces what changed before.
func (d *Daemon) SetRole(master, backup bool) {}

// Flush returns when every change so far has been announced.
func (d *Daemon) Flush(ctx context.Context) error { return nil }

// ServicesChanged says that virtual or real servers came: connections that
// were kept for want of them are tried again.
func (d *Daemon) ServicesChanged() {}

// Kept yields the connections that were announced to us and that the table
// does not have. Their Expires is what is left.
func (d *Daemon) Kept(yield func(lvs.Connection) bool) {}

// Status is the daemon at this moment.
func (d *Daemon) Status() *snapshot.Sync { return nil }

// Conditions are the lasting problems of synchronisation.
func (d *Daemon) Conditions(now time.Time) []snapshot.Condition { return nil }
