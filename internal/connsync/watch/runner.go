package watch

import (
	"context"
	"sync"

	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// Runner does what triggers ask for. Whoever offers it something never waits:
// what is not yet begun of the same key is replaced by what is newer, and what
// does not fit is dropped and counted. Of one key one thing is done at a time,
// so what a session went through arrives in its order.
type Runner struct {
	do    func(ctx context.Context, j Job) error
	limit int

	mu      sync.Mutex
	waiting map[string]*Job // of each key the newest
	order   []string        // keys of waiting that may begin
	running map[string]bool
	closed  bool
	room    *sync.Cond // something has left waiting
	stats   RunnerStats

	ready chan struct{} // one for each of order
	done  chan struct{} // closed when nothing more will come
}

// Job is one thing to do.
type Job struct {
	// Key says what belongs together: a rule, or a rule and a session.
	Key  string
	Rule *session.Rule
	// Fields describe the cause.
	Fields Fields
	// Merged is how many offers this stands for, 1 if only for itself.
	Merged int
}

// RunnerStats count what became of offers: each is begun, merged into a later
// one, dropped, or still waiting.
type RunnerStats struct {
	Runs     uint64 // ended
	Failures uint64 // of Runs
	Merged   uint64
	Dropped  uint64
	Waiting  int
	Running  int
	// LastError says why the last failure was one.
	LastError string
}

// NewRunner returns a Runner that holds at most limit jobs besides those that
// are being done.
func NewRunner(limit int, do func(ctx context.Context, j Job) error) *Runner {
	r := &Runner{
		do: do, limit: limit, waiting: map[string]*Job{}, running: map[string]bool{},
		ready: make(chan struct{}, limit), done: make(chan struct{}),
	}
	r.room = sync.NewCond(&r.mu)
	return r
}

// Offer gives the runner something to do, and says whether it was taken.
func (r *Runner) Offer(j Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.offer(j)
}

// Insist is Offer for who can wait: it waits for room instead of dropping,
// until the runner is closed.
func (r *Runner) Insist(j Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed && len(r.waiting) >= r.limit && r.waiting[j.Key] == nil {
		r.room.Wait()
	}
	return r.offer(j)
}

func (r *Runner) offer(j Job) bool {
	j.Merged = max(j.Merged, 1)
	before := r.waiting[j.Key]
	switch {
	case r.closed, before == nil && len(r.waiting) >= r.limit:
		r.stats.Dropped++
		return false
	case before != nil:
		j.Merged += before.Merged
		r.stats.Merged++
		*before = j
		return true
	}
	r.waiting[j.Key] = &j
	if !r.running[j.Key] {
		r.release(j.Key)
	}
	return true
}

// release lets a key begin. Ready has room: it holds no more than waiting.
func (r *Runner) release(key string) {
	r.order = append(r.order, key)
	r.ready <- struct{}{}
}

// Run does what is offered, at most parallel things at a time, until Close was
// called and everything is done, or ctx ends: then what runs is broken off and
// what waits is dropped.
func (r *Runner) Run(ctx context.Context, parallel int) {
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() { r.work(ctx) })
	}
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Dropped += uint64(len(r.waiting))
	clear(r.waiting)
	r.closed = true
	r.room.Broadcast()
}

func (r *Runner) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.ready:
			if ctx.Err() != nil {
				return // both were there; what waits is dropped
			}
			r.one(ctx)
		case <-r.done:
			// Closed: what still waits is done, then it ends.
			select {
			case <-r.ready:
				r.one(ctx)
			default:
				return
			}
		}
	}
}

func (r *Runner) one(ctx context.Context) {
	r.mu.Lock()
	key := r.order[0]
	r.order = r.order[1:]
	j := r.waiting[key]
	delete(r.waiting, key)
	r.running[key] = true
	r.room.Signal()
	r.mu.Unlock()

	err := r.do(ctx, *j)

	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, key)
	r.stats.Runs++
	if err != nil {
		r.stats.Failures++
		r.stats.LastError = err.Error()
	}
	if r.waiting[key] != nil {
		r.release(key)
	}
}

// Close says that nothing more will be offered.
func (r *Runner) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		close(r.done)
		r.room.Broadcast()
	}
}

// Stats returns the counts.
func (r *Runner) Stats() RunnerStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Waiting, s.Running = len(r.waiting), len(r.running)
	return s
}
