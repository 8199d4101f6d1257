package connsync

import (
	"time"
)

const (
	windowLen = 64
	// maxHoles bounds what one forged sequence number can add to the count of
	// lost datagrams.
	maxHoles = 1 << 20
	// holesWait is how long datagrams may arrive out of order.
	holesWait = time.Second
)

// window follows the sequence of one life of a sender: which of the last 64
// datagrams came, as in RFC 4303 §3.4.3.
type window struct {
	high  uint64
	seen  uint64 // bit i: high-i came
	holes uint64 // that have neither come nor been given up
	since time.Time
}

// startWindow begins with the first datagram that was heard: none before it
// is missed, or wanted any more.
func startWindow(seq uint64) window { return window{high: seq, seen: ^uint64(0)} }

// take enters a datagram; false says that it came before, or that it is too
// old to know.
func (w *window) take(now time.Time, seq uint64) bool {
	if seq > w.high {
		w.advance(now, seq-w.high)
		return true
	}
	back := w.high - seq
	if back >= windowLen || w.seen&(1<<back) != 0 {
		return false
	}
	w.seen |= 1 << back
	w.holes -= min(w.holes, 1)
	return true
}

func (w *window) advance(now time.Time, by uint64) {
	if by > 1 {
		if w.holes == 0 {
			w.since = now
		}
		w.holes = min(w.holes+by-1, maxHoles)
	}
	w.high += by
	if by < windowLen {
		w.seen = w.seen<<by | 1
	} else {
		w.seen = 1
	}
}

// giveUp returns how many datagrams are lost for good by now, each once.
func (w *window) giveUp(now time.Time) uint64 {
	if w.holes == 0 || now.Sub(w.since) < holesWait {
		return 0
	}
	lost := w.holes
	w.holes = 0
	return lost
}
