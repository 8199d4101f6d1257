package watch

import (
	"maps"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// Look gives f the table as it is, without what has run out. F must not keep
// the table, and must be quick: nothing goes into the table meanwhile.
func (w *Watch) Look(f func(t *session.Table, now time.Time)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.present()
	w.advance(0)
	f(w.table, w.now)
}

// present is the time that the table is shown at: of a recording that of its
// last datagram.
func (w *Watch) present() time.Time {
	if w.live {
		return time.Now()
	}
	return w.now
}

// walkPiece is how many sessions are looked at before others may have the table.
const walkPiece = 4096

// Walk yields the sessions that the filter chooses, about in the order in which
// they came, until yield returns false. It may be slow: the table changes
// meanwhile, and what stays is yielded once.
func (w *Watch) Walk(filter *session.Filter, yield func(s *session.Session, now time.Time) bool) {
	piece := make([]session.Session, 0, walkPiece)
	for cursor := uint64(0); ; {
		piece = piece[:0]
		w.mu.Lock()
		now := w.present()
		cursor = w.table.Walk(cursor, walkPiece, func(s *session.Session) bool {
			if s.Deadline().After(now) && filter.Match(s, now) {
				piece = append(piece, *s)
			}
			return true
		})
		w.mu.Unlock()
		for i := range piece {
			if !yield(&piece[i], now) {
				return
			}
		}
		if cursor == 0 {
			return
		}
	}
}

// Health is how a Watch itself does.
type Health struct {
	Now        time.Time
	Sessions   int
	Table      session.Stats
	Overruns   uint64            // datagrams lost in sockets, or because the table did not keep up
	Fragmented uint64            // datagrams that came in fragments
	Fired      map[string]uint64 // by rule
	Commands   RunnerStats
	Webhooks   RunnerStats
}

// Health returns the counts of now.
func (w *Watch) Health() Health {
	h := Health{Commands: w.commands.Stats(), Webhooks: w.webhooks.Stats(), Overruns: w.queue.lost(), Fired: map[string]uint64{}}
	for _, s := range w.spec.Sources {
		h.Overruns += s.Lost()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h.Now, h.Sessions, h.Table, h.Fragmented = w.now, w.table.Len(), w.table.Stats(), w.fragmented
	maps.Copy(h.Fired, w.fired)
	return h
}
