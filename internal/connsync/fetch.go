package connsync

import (
	"net/netip"
	"time"
)

const (
	// fetchGap is how far apart catch-ups from one peer begin that lost
	// datagrams or a pause ask for; those for a new life are lifeGap apart.
	fetchGap = 10 * time.Second
	lifeGap  = time.Second
	// A fetch that failed is tried again after retryFirst, then twice that, up to
	// retryLast.
	retryFirst = time.Second
	retryLast  = 30 * time.Second
)

// Cursor is where a catch-up stream goes on: in the sender's connection table,
// or among the connections that it keeps. The zero value is the start.
type Cursor struct {
	Kept bool
	At   uint32
}

// Fetch is a catch-up to be made.
type Fetch struct {
	From   netip.AddrPort
	SyncID uint8
	// Life is the sender's life, and From a position in its table at which an
	// earlier attempt broke off.
	Life   uint64
	Resume Cursor
	// Verify asks only for the handshake: which life of the sender is the
	// present one?
	Verify bool
}

// fetchState is what is planned with one peer.
type fetchState struct {
	want      bool
	check     bool // it is about the handshake alone
	running   bool
	began     time.Time // the last one
	notBefore time.Time
	failures  int
	resume    Cursor
}

// ask wants the whole table, gap after the last catch-up began. An earlier one
// that broke off is not resumed: what was missed may be before its cursor.
func (f *fetchState) ask(now time.Time, gap time.Duration) {
	f.resume = Cursor{}
	if f.want && !f.check {
		return
	}
	f.want, f.check = true, false
	f.notBefore = later(now, f.began.Add(gap))
}

// verify wants to know which life is the present one.
func (f *fetchState) verify(now time.Time) {
	if !f.want && !f.running {
		f.want, f.check = true, true
		f.notBefore = later(now, f.began.Add(fetchGap))
	}
}

// end plans what follows a fetch.
func (f *fetchState) end(now time.Time, resume Cursor, failed bool) {
	f.running = false
	if !failed {
		f.failures, f.resume = 0, Cursor{}
		return
	}
	if f.want { // what was lost meanwhile may be before the cursor
		resume = Cursor{}
	}
	f.want, f.check, f.resume = true, false, resume
	f.notBefore = now.Add(min(retryFirst<<min(f.failures, 6), retryLast))
	f.failures++
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
