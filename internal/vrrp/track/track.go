package track

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/process"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

// defaultInterval stands for an interval that is not positive; it is
// vrrp_script's default.
const defaultInterval = time.Second

// Script is one vrrp_script. Command.Timeout of 0 stands for Interval.
type Script struct {
	Name     string
	Command  process.Command
	Interval time.Duration
}

// complete fills in the defaults.
func (s Script) complete() Script {
	if s.Interval <= 0 {
		s.Interval = defaultInterval
	}
	if s.Command.Timeout <= 0 {
		s.Command.Timeout = s.Interval
	}
	return s
}

func (s Script) equal(o Script) bool {
	a, b := s.Command, o.Command
	return s.Name == o.Name && s.Interval == o.Interval &&
		slices.Equal(a.Argv, b.Argv) && slices.Equal(a.Env, b.Env) &&
		a.User == b.User && a.Group == b.Group && a.Timeout == b.Timeout
}

// Tracker runs scripts. Its methods may be called concurrently.
type Tracker struct {
	log     *slog.Logger
	report  func(vrrp.ScriptResult)
	execute func(context.Context, process.Command) process.Result

	mu      sync.Mutex
	ctx     context.Context // Run's; nil when it does not run
	wanted  []Script
	running map[string]*runner
	wg      sync.WaitGroup // of runners
}

// New returns a Tracker that hands results to report, one at a time. report
// must not block and must not call the Tracker.
func New(log *slog.Logger, report func(vrrp.ScriptResult)) *Tracker {
	return &Tracker{
		log: log, report: report,
		execute: func(ctx context.Context, c process.Command) process.Result { return c.Run(ctx) },
		running: map[string]*runner{},
	}
}

// Update replaces the set of scripts (a reload). Those that are equal to one
// that runs go on undisturbed; the others' running commands are killed, and no
// result of theirs is reported after Update returned. Of scripts with the same
// name the first counts.
func (t *Tracker) Update(scripts []Script) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted = nil
	for _, s := range scripts {
		named := func(w Script) bool { return w.Name == s.Name }
		if !slices.ContainsFunc(t.wanted, named) {
			t.wanted = append(t.wanted, s.complete())
		}
	}
	t.settle()
}

// Run keeps the scripts running until ctx ends; then it kills what runs and
// waits for it. Scripts given to Update before wait for Run.
func (t *Tracker) Run(ctx context.Context) error {
	t.mu.Lock()
	t.ctx = ctx
	t.settle()
	t.mu.Unlock()

	<-ctx.Done()

	t.mu.Lock()
	t.ctx = nil
	t.settle()
	t.mu.Unlock()
	t.wg.Wait()
	return nil
}

// settle makes what runs equal to what is wanted. The caller holds mu.
func (t *Tracker) settle() {
	keep := map[string]bool{}
	if t.ctx != nil {
		for _, s := range t.wanted {
			r, ok := t.running[s.Name]
			keep[s.Name] = ok && r.script.equal(s)
		}
	}
	for name, r := range maps.All(t.running) {
		if !keep[name] {
			r.cancel()
			r.dropped = true
			delete(t.running, name)
		}
	}
	if t.ctx == nil {
		return
	}
	for _, s := range t.wanted {
		if keep[s.Name] {
			continue
		}
		ctx, cancel := context.WithCancel(t.ctx)
		r := &runner{t: t, script: s, cancel: cancel}
		t.running[s.Name] = r
		t.wg.Go(func() { r.loop(ctx) })
	}
}

// runner runs one script again and again.
type runner struct {
	t       *Tracker
	script  Script
	cancel  context.CancelFunc
	dropped bool   // guarded by Tracker.mu: nothing is reported any more
	trouble string // why it could not be started the last time
}

// loop starts the command every interval, counted from its start, unless the
// one before still runs.
func (r *runner) loop(ctx context.Context) {
	defer r.cancel()
	ticker := time.NewTicker(r.script.Interval)
	defer ticker.Stop()
	done := make(chan process.Result, 1)
	start := func() { go func() { done <- r.t.execute(ctx, r.script.Command) }() }
	start()
	running, told := true, false
	for {
		select {
		case <-ticker.C:
			if !running {
				running = true
				start()
				continue
			}
			if !told {
				r.t.log.Warn("script still running, its next run is skipped",
					"script", r.script.Name, "interval", r.script.Interval)
				told = true // until a run was in time again
			}
		case res := <-done:
			running = false
			told = told && res.Duration >= r.script.Interval
			r.finish(res)
		case <-ctx.Done():
			if running {
				<-done
			}
			return
		}
	}
}

// finish reports one run.
func (r *runner) finish(res process.Result) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if r.dropped {
		return
	}
	trouble := ""
	if res.Err != nil {
		trouble = res.Err.Error()
	}
	if trouble != "" && trouble != r.trouble {
		r.t.log.Error("script cannot be run", "script", r.script.Name, "reason", trouble)
	}
	r.trouble = trouble
	r.t.report(vrrp.ScriptResult{
		Script: r.script.Name, OK: res.OK(), Status: res.Status, TimedOut: res.TimedOut,
	})
}
