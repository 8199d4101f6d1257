package checker

import (
	"context"
	"sync"

	"github.com/kaname-lb/kaname/internal/health"
)

// Limits bound how many probes run at once; more wait their turn in the order
// of their start. Network probes and processes wait apart, so that scripts
// that hang hold up no TCP_CHECK.
type Limits struct {
	Network   int // TCP_CHECK, HTTP_GET: sockets; 0 is 4096
	Processes int // MISC_CHECK: processes, and as many threads; 0 is 256
}

// Runner executes probes. Its methods may be called from any goroutine.
type Runner struct {
	report  func(health.Result)
	run     func(context.Context, Target) Outcome // Run; tests replace it
	probing sync.WaitGroup                        // one for each probe that runs; begins under mu

	mu        sync.Mutex
	closed    bool
	jobs      map[health.Probe]*job // waiting and running
	network   lane
	processes lane
}

// lane is a number of places and who waits for one.
type lane struct {
	free    int
	waiting []*job
}

type job struct {
	probe  health.Probe
	target Target
	ctx    context.Context // of this one probe
	cancel context.CancelFunc
}

// NewRunner returns a runner that tells every end of a probe by report, from
// the goroutine of that probe, which keeps its place until report returns.
func NewRunner(limits Limits, report func(health.Result)) *Runner {
	if limits.Network <= 0 {
		limits.Network = 4096
	}
	if limits.Processes <= 0 {
		limits.Processes = 256
	}
	return &Runner{
		report:    report,
		run:       Run,
		jobs:      map[health.Probe]*job{},
		network:   lane{free: limits.Network},
		processes: lane{free: limits.Processes},
	}
}

// Start runs the probe that p asks for against t. It does not block. After
// Close, and for a probe that runs already, it does nothing.
func (r *Runner) Start(p health.Probe, t Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.jobs[p] != nil {
		return
	}
	j := &job{probe: p, target: t}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	r.jobs[p] = j
	l := r.lane(t.Kind)
	if l.free == 0 {
		l.waiting = append(l.waiting, j)
		return
	}
	l.free--
	r.probing.Add(1)
	go r.work(l, j)
}

// Cancel ends a probe; its result is not reported any more unless that has
// begun. A probe that is not known is no error.
func (r *Runner) Cancel(c health.Cancel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := health.Probe(c)
	if j := r.jobs[p]; j != nil {
		delete(r.jobs, p)
		j.cancel()
	}
}

// Close cancels all probes and waits until they have ended. It does not wait
// for a report that has begun.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	for p, j := range r.jobs {
		delete(r.jobs, p)
		j.cancel()
	}
	r.mu.Unlock()
	r.probing.Wait()
}

func (r *Runner) lane(k Kind) *lane {
	if k == Misc {
		return &r.processes
	}
	return &r.network
}

// work runs j and then whoever waits in the lane, until nobody does.
func (r *Runner) work(l *lane, j *job) {
	for j != nil {
		o := r.run(j.ctx, j.target)
		j.cancel()
		wanted := r.finish(j)
		r.probing.Done()
		if wanted {
			r.report(health.Result{
				Checker: j.probe.Checker, Seq: j.probe.Seq,
				OK: o.OK, Undecided: o.Undecided, Weight: o.Weight, HasWeight: o.HasWeight,
				Reason: o.Reason, Duration: o.Duration,
			})
		}
		j = r.next(l)
	}
}

// finish forgets j and reports whether its result is still wanted.
func (r *Runner) finish(j *job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs[j.probe] != j {
		return false
	}
	delete(r.jobs, j.probe)
	return true
}

// next returns the first job of the lane that is still wanted, or gives the
// place back.
func (r *Runner) next(l *lane) *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(l.waiting) > 0 {
		j := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if r.jobs[j.probe] == j { // so we are not closed
			r.probing.Add(1)
			return j
		}
	}
	l.free++
	return nil
}
