package vrrpio

import (
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// Event is something that the owner has to know, in order.
type Event struct {
	Time time.Time
	// Action is a Transition, GroupTransition, PriorityChanged, ScriptChanged
	// or Contended; nil when Trouble is meant.
	Action vrrp.Action
	// Trouble is a change of an interface's usability.
	Trouble *Trouble
}

// Trouble is an interface on which packets cannot be sent or received; Err is
// nil when it works again.
type Trouble struct {
	Interface string
	Err       error
}

// queue is a channel of Events without a bound.
type queue struct {
	out chan Event

	mu     sync.Mutex
	items  []Event
	closed bool
	more   chan struct{} // something was pushed, or the end
}

func newQueue() *queue {
	return &queue{out: make(chan Event), more: make(chan struct{}, 1)}
}

func (q *queue) push(e Event) {
	q.mu.Lock()
	q.items = append(q.items, e)
	q.mu.Unlock()
	q.signal()
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// run hands items out until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.out)
	for range q.more {
		q.mu.Lock()
		items, closed := q.items, q.closed
		q.items = nil
		q.mu.Unlock()
		for _, e := range items {
			q.out <- e
		}
		if closed {
			return
		}
	}
}
