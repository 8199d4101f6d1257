package watch

import (
	"sync"
)

// queueBytes bounds what is kept of datagrams that have arrived and are not yet
// in the table.
const queueBytes = 64 << 20

// queue lies between the sockets and the table, so that a look at a large table
// keeps no socket from being read: the kernel's buffer is small without
// privileges.
type queue struct {
	mu      sync.Mutex
	filled  *sync.Cond
	batch   []Datagram
	memory  []byte
	dropped uint64
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.filled = sync.NewCond(&q.mu)
	return q
}

// put copies datagrams into the queue; what has no room is dropped and counted.
func (q *queue) put(ds []Datagram) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range ds {
		if len(q.memory)+len(d.Payload) > queueBytes {
			q.dropped++
			continue
		}
		at := len(q.memory)
		q.memory = append(q.memory, d.Payload...)
		d.Payload = q.memory[at:len(q.memory):len(q.memory)]
		q.batch = append(q.batch, d)
	}
	q.filled.Signal()
}

// get waits for datagrams and takes all that there are; spare is what an
// earlier get returned and is no longer used. After close it returns nothing
// once the queue is empty.
func (q *queue) get(spare ready) ready {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.batch) == 0 && !q.closed {
		q.filled.Wait()
	}
	got := ready{q.batch, q.memory}
	q.batch, q.memory = spare.batch[:0], spare.memory[:0]
	return got
}

// ready is datagrams and the memory of their payloads.
type ready struct {
	batch  []Datagram
	memory []byte
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

func (q *queue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
