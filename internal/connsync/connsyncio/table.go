package connsyncio

import (
	"context"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Table is the connection table of the dataplane as synchronisation sees it.
// Its methods are safe for concurrent use.
type Table interface {
	// SetSync says which changes are announced from now on; nil: none.
	SetSync(rules *lvs.SyncRules) error
	// Announcements waits for changes that the rules want announced, appends
	// those that are there to buf, at most as many as it has room for, and
	// returns it. Missed is how many changes were lost since the last call
	// because nobody fetched them in time. When ctx ends it returns what there
	// is and no error.
	Announcements(ctx context.Context, buf []lvs.Connection) (out []lvs.Connection, missed uint64, err error)
	// Mark is the present moment for Inject.
	Mark() (uint32, error)
	// Inject enters connections that another director announced and says of each
	// what became of it, in out, which is as long as cs. Each lives for its
	// Expires, of its Timeout. With mark not 0, entries that a packet or an
	// announcement changed after that moment are left as they are (Stale).
	Inject(cs []lvs.Connection, out []lvs.Placement, mark uint32) error
	// Walk appends connections of the table to buf, at least from cursor on (0 is
	// the start), at most about as many as it has room for, and returns the
	// cursor to go on with, 0 after the end.
	Walk(cursor uint32, buf []lvs.Connection) (out []lvs.Connection, next uint32, err error)
	// Entries is how many connections the table holds, about a second old.
	Entries() uint64
}
