package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/event"
	"github.com/kaname-lb/kaname/internal/process"
)

// errClosed is why a script that outlived the grace of Close was killed.
var errClosed = errors.New("killed: the director stops")

// Notifier runs scripts on events. Its methods are called by one goroutine;
// none but Close waits for a script, not even for its start.
type Notifier struct {
	log   *slog.Logger
	spec  Spec // checked
	start func(context.Context, process.Command) <-chan process.Result
	ctx   context.Context // of all scripts; ends with Close
	kill  context.CancelCauseFunc
	wg    sync.WaitGroup

	mu       sync.Mutex
	waiting  []job // to be started, in order
	starting bool  // a goroutine is at it
	closed   bool
}

// job is one script to start.
type job struct {
	script Script
	argv   []string
}

// New returns a notifier for spec. Scripts that are missing or cannot be
// executed are logged with their position, once, and dropped.
func New(spec Spec, log *slog.Logger) *Notifier {
	n := &Notifier{
		log:   log,
		spec:  checked(spec, log),
		start: func(ctx context.Context, c process.Command) <-chan process.Result { return c.Start(ctx) },
	}
	n.ctx, n.kill = context.WithCancelCause(context.Background())
	return n
}

// Set replaces the scripts (a reload), checking them as New does. Scripts that
// run go on.
func (n *Notifier) Set(spec Spec) { n.spec = checked(spec, n.log) }

// Handle starts the scripts of one event, the specific before the generic, and
// after those of earlier events. It does not wait for them. Events without
// scripts are nothing.
func (n *Notifier) Handle(ev event.Event) {
	switch ev := ev.(type) {
	case event.VRRPTransition:
		n.transition(n.spec.Instances[ev.Instance], "INSTANCE", ev.Instance, ev.State, ev.Priority)
	case event.GroupTransition: // keepalived gives groups the priority 0
		n.transition(n.spec.Groups[ev.Group], "GROUP", ev.Group, ev.State, 0)
	case event.LowerPriority:
		n.enqueue(n.spec.Instances[ev.Instance].LowerPriority)
	case event.ServerChanged:
		n.enqueue(n.spec.Servers[ServerKey{Service: ev.Service, Server: ev.Server}].of(ev.Up))
	case event.QuorumChanged:
		n.enqueue(n.spec.Services[ev.Service].of(ev.Up))
	case event.Reloaded: // keepalived has no script for it
	}
}

func (n *Notifier) transition(s Scripts, kind, name, state string, priority int) {
	switch state {
	case "MASTER", "BACKUP", "FAULT", "STOP":
		n.enqueue(s.of(state))
		n.enqueue(s.Generic, kind, name, state, strconv.Itoa(priority))
	default: // INIT is before anything that keepalived notifies
	}
}

// enqueue lets s be started in its turn.
func (n *Notifier) enqueue(s Script, args ...string) {
	if !s.set() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.waiting = append(n.waiting, job{script: s, argv: slices.Concat(s.Argv, args)})
	if !n.starting {
		n.starting = true
		n.wg.Add(1)
		go n.startAll()
	}
}

// startAll starts what waits, one after the other, until nothing does.
func (n *Notifier) startAll() {
	defer n.wg.Done()
	for {
		j, ok := n.next()
		if !ok {
			return
		}
		done := n.start(n.ctx, process.Command{Argv: j.argv, User: j.script.User, Group: j.script.Group})
		n.wg.Go(func() {
			n.ended(j, <-done)
		})
	}
}

func (n *Notifier) next() (job, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		n.starting, n.waiting = false, nil
		return job{}, false
	}
	j := n.waiting[0]
	n.waiting = n.waiting[1:]
	return j, true
}

// ended tells of a script that did not do well.
func (n *Notifier) ended(j job, r process.Result) {
	if r.OK() {
		n.log.Debug("notify script done", "where", j.script.Where, "script", j.argv, "duration", r.Duration)
		return
	}
	n.log.Warn("notify script failed", "where", j.script.Where, "script", j.argv, "reason", r.String())
}

// Close waits up to grace for scripts that still run. Those left get SIGTERM
// and, two seconds later, SIGKILL; Close returns when they have ended. Nothing
// is started any more.
func (n *Notifier) Close(grace time.Duration) {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	over := time.AfterFunc(grace, func() { n.kill(errClosed) })
	n.wg.Wait()
	over.Stop()
	n.kill(errClosed)
}
