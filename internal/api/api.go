package api

import (
	"context"

	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// Source is the director as the control socket reads it. Its methods are
// called from many goroutines at once.
type Source interface {
	// Snapshot returns the current picture. It is nil before the first one.
	Snapshot() *snapshot.Snapshot
	// Services returns the services in the dataplane with live counts.
	Services() ([]lvs.ServiceStatus, error)
	// Connections yields the living connection entries until yield returns
	// false.
	Connections(yield func(lvs.Connection) bool) error
	// Reload loads the configuration again and reports when the new one runs
	// or has been refused. A refusal is a ReloadResult, not an error; an error
	// says that the question could not be answered.
	Reload(ctx context.Context) (ReloadResult, error)
}

// ReloadResult is the outcome of a reload: whether the configuration in the
// file runs now, in Error why not, and what was found in it either way.
type ReloadResult struct {
	OK       bool              `json:"ok"`
	Error    string            `json:"error,omitempty"`
	Findings []finding.Finding `json:"findings"`
}

// Connection is one line of /v1/connections: the entry and the name of its
// state.
type Connection struct {
	lvs.Connection
	StateName string `json:"state_name"`
}

// connectionLine is what a line of the stream may hold: an entry, or the
// error that ended the listing early, or the mark of a complete one. Without
// the mark a reader could not tell a short table from a broken stream.
type connectionLine struct {
	*Connection
	Error string `json:"error,omitempty"`
	End   bool   `json:"end,omitempty"`
}

// errorBody is the body of every answer that is not 200.
type errorBody struct {
	Error string `json:"error"`
}

const contentJSON = "application/json"
