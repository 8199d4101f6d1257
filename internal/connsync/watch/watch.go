package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// Spec says what a Watch listens to and what it does.
type Spec struct {
	// Sources are all live, or all recorded.
	Sources []Source
	Table   session.Options
	Rules   []session.Rule
	// Event is told what happens to sessions, of these kinds. It must not call
	// the Watch, and must not be slow when the sources are live: the table waits.
	Event func(e *session.Event)
	Kinds session.Kind
	// Parallel is how many commands run at a time, and as many webhooks.
	Parallel int
	Command  Command
	Webhook  *Webhook
	// Note is told what happens besides sessions, a line each. It may be called
	// from several goroutines.
	Note func(line string)
}

// queueJobs bounds what waits for its command or webhook.
const queueJobs = 1000

// Watch keeps the table of the sessions that directors announce. Its methods
// are safe for concurrent use.
type Watch struct {
	spec     Spec
	live     bool
	queue    *queue
	commands *Runner
	webhooks *Runner
	cancel   context.CancelFunc // ends the sources
	inner    context.Context

	mu         sync.Mutex
	table      *session.Table
	machine    *session.Machine
	now        time.Time // of the last datagram or tick
	expired    time.Time // the table was relieved of what had run out
	fragmented uint64    // datagrams that came in fragments
	fired      map[string]uint64
}

// New returns a Watch that has heard nothing yet.
func New(s Spec) *Watch {
	w := &Watch{
		spec: s, queue: newQueue(), live: len(s.Sources) > 0 && s.Sources[0].Live(),
		table: session.New(s.Table), machine: session.NewMachine(s.Rules), fired: map[string]uint64{},
	}
	w.inner, w.cancel = context.WithCancel(context.Background())
	w.commands = NewRunner(queueJobs, func(ctx context.Context, j Job) error { return s.Command.Run(ctx, j.Rule.Exec, j) })
	w.webhooks = NewRunner(queueJobs, func(ctx context.Context, j Job) error { return s.Webhook.Post(ctx, j.Rule.Webhook, j) })
	kinds := s.Kinds
	if len(s.Rules) > 0 {
		kinds |= w.machine.Kinds()
	}
	if kinds != 0 {
		w.table.Listen(w.event, kinds)
	}
	return w
}

// Live reports whether the sessions are those of the present.
func (w *Watch) Live() bool { return w.live }

// Stop ends Run in an orderly way: triggers that have fired are still carried
// out.
func (w *Watch) Stop() { w.cancel() }

// Run listens until its sources end or Stop is called, and then carries out
// what triggers have asked for; or until ctx ends, and then breaks that off.
func (w *Watch) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, w.cancel)()
	var runners, keeper, sources sync.WaitGroup
	runners.Go(func() { w.commands.Run(ctx, max(w.spec.Parallel, 1)) })
	runners.Go(func() { w.webhooks.Run(ctx, max(w.spec.Parallel, 1)) })
	take := w.apply
	if w.live {
		take = w.queue.put
		keeper.Go(w.keep)
		keeper.Go(w.tick)
	}
	errs := make([]error, len(w.spec.Sources))
	for i, s := range w.spec.Sources {
		sources.Go(func() {
			if errs[i] = s.Run(w.inner, take); errs[i] != nil && w.live {
				w.cancel() // half of what was asked for is not what was asked for
			}
		})
	}
	sources.Wait()
	w.cancel()
	w.queue.close()
	keeper.Wait()
	w.settle()
	if n := w.commands.Stats().Waiting + w.webhooks.Stats().Waiting; n > 0 && ctx.Err() == nil && w.spec.Note != nil {
		w.spec.Note(fmt.Sprintf("%d commands and webhooks are still to be run; Ctrl-C breaks that off", n))
	}
	w.commands.Close()
	w.webhooks.Close()
	runners.Wait()
	return errors.Join(errs...)
}

// keep brings what the sockets gave into the table.
func (w *Watch) keep() {
	var got ready
	for {
		if got = w.queue.get(got); len(got.batch) == 0 {
			return
		}
		// In pieces, so that who looks at the table need not wait for all.
		for rest := got.batch; len(rest) > 0; {
			n := min(len(rest), 64)
			w.apply(rest[:n])
			rest = rest[n:]
		}
	}
}

// apply brings datagrams into the table.
func (w *Watch) apply(ds []Datagram) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range ds {
		d := &ds[i]
		w.now = d.Time
		if !w.live {
			w.advance(time.Second)
		}
		if d.Fragments > 1 {
			w.fragmented++
		}
		// What is wrong with a datagram is counted by the table.
		_, _ = w.table.Apply(d.Time, d.Src.Addr(), d.Payload)
	}
}

// tick lets live time pass.
func (w *Watch) tick() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-w.inner.Done():
			return
		case now := <-t.C:
			w.mu.Lock()
			w.now = now
			w.advance(0)
			w.mu.Unlock()
			w.notes()
		}
	}
}

// notes passes on what sources have to say.
func (w *Watch) notes() {
	for _, s := range w.spec.Sources {
		if n, ok := s.(interface{ Notes() []string }); ok && w.spec.Note != nil {
			for _, line := range n.Notes() {
				w.spec.Note(line)
			}
		}
	}
}

// advance relieves the table of what has run out and asks the rules, if the
// last time was at least that long ago.
func (w *Watch) advance(every time.Duration) {
	if w.now.Sub(w.expired) < every {
		return
	}
	w.expired = w.now
	w.table.Expire(w.now)
	w.fire(w.machine.Tick(w.now))
}

// settle asks the rules once more at the end.
func (w *Watch) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(0)
}

// event is told by the table.
func (w *Watch) event(e *session.Event) {
	if w.spec.Event != nil && e.Kinds&w.spec.Kinds != 0 {
		w.spec.Event(e)
	}
	if len(w.spec.Rules) > 0 {
		w.fire(w.machine.Step(w.now, e))
	}
}

// fire hands over what rules ask for. A recording can wait until there is
// room; the present cannot.
func (w *Watch) fire(fs []session.Firing) {
	for i := range fs {
		f := &fs[i]
		w.fired[f.Rule.Name]++
		j := newJob(f)
		for r, wanted := range map[*Runner]bool{w.commands: f.Rule.Exec != "", w.webhooks: f.Rule.Webhook != ""} {
			switch {
			case wanted && w.live:
				r.Offer(j)
			case wanted:
				r.Insist(j)
			}
		}
	}
}
