package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/kaname-lb/kaname/internal/connsync/watch"
)

// held is something to do that lasts until it is let go.
type held struct {
	mu   sync.Mutex
	jobs []watch.Job
	at   chan string   // keys as they begin
	free chan struct{} // one for each that may end
}

func newHeld() *held { return &held{at: make(chan string, 100), free: make(chan struct{}, 100)} }

func (h *held) do(ctx context.Context, j watch.Job) error {
	h.mu.Lock()
	h.jobs = append(h.jobs, j)
	h.mu.Unlock()
	h.at <- j.Key
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-h.free:
		return nil
	}
}

func (h *held) let(n int) {
	for range n {
		h.free <- struct{}{}
	}
}

func job(key string) watch.Job { return watch.Job{Key: key} }

// running starts a runner and returns what waits for its end.
func running(ctx context.Context, r *watch.Runner, parallel int) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx, parallel) })
	return wg.Wait
}

func TestRunnerMergesWhatWaits(t *testing.T) {
	t.Parallel()
	h := newHeld()
	r := watch.NewRunner(10, h.do)
	wait := running(t.Context(), r, 2)
	r.Offer(job("a"))
	<-h.at
	// While a runs, what comes of a waits as one; b is free to run.
	for n := range 5 {
		r.Offer(watch.Job{Key: "a", Fields: watch.Fields{Count: n}})
	}
	r.Offer(job("b"))
	if key := <-h.at; key != "b" {
		t.Fatalf("%s runs beside a, want b", key)
	}
	r.Close()
	h.let(3)
	wait()
	if n := len(h.jobs); n != 3 || h.jobs[2].Key != "a" || h.jobs[2].Merged != 5 || h.jobs[2].Fields.Count != 4 {
		t.Errorf("jobs: %+v, want the last a with 5 merged, as it was last", h.jobs)
	}
	if s := r.Stats(); s.Runs != 3 || s.Merged != 4 || s.Dropped != 0 || s.Failures != 0 || s.Waiting != 0 || s.Running != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestRunnerDropsWhatHasNoRoom(t *testing.T) {
	t.Parallel()
	h := newHeld()
	r := watch.NewRunner(3, h.do)
	wait := running(t.Context(), r, 1)
	r.Offer(job("running"))
	<-h.at
	var taken int
	for n := range 10 {
		if r.Offer(job(fmt.Sprint(n))) {
			taken++
		}
	}
	if s := r.Stats(); taken != 3 || s.Dropped != 7 || s.Waiting != 3 || s.Running != 1 {
		t.Errorf("%d taken, stats %+v, want 3 taken and 7 dropped", taken, s)
	}
	r.Close()
	if r.Offer(job("late")) {
		t.Error("a closed runner takes something")
	}
	h.let(4)
	wait()
	if s := r.Stats(); s.Runs != 4 || s.Dropped != 8 {
		t.Errorf("stats at the end: %+v", s)
	}
}

// TestRunnerInsist: who can wait loses nothing.
func TestRunnerInsist(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var done []string
	r := watch.NewRunner(2, func(_ context.Context, j watch.Job) error {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, j.Key)
		return errors.New("refused")
	})
	wait := running(t.Context(), r, 3)
	var want []string
	for n := range 500 {
		want = append(want, fmt.Sprintf("%03d", n))
		if !r.Insist(job(want[n])) {
			t.Fatalf("job %d was not taken", n)
		}
	}
	r.Close()
	wait()
	slices.Sort(done)
	if !slices.Equal(done, want) {
		t.Errorf("%d done, want %d", len(done), len(want))
	}
	if s := r.Stats(); s.Failures != 500 || s.LastError != "refused" {
		t.Errorf("stats: %+v", s)
	}
}

// TestRunnerBreaksOff: with its context what runs ends, what waits is dropped,
// and who insists is let go.
func TestRunnerBreaksOff(t *testing.T) {
	t.Parallel()
	h := newHeld()
	ctx, cancel := context.WithCancel(t.Context())
	r := watch.NewRunner(1, h.do)
	wait := running(ctx, r, 1)
	r.Offer(job("a"))
	<-h.at
	r.Offer(job("b"))
	insisted := make(chan bool)
	go func() { insisted <- r.Insist(job("c")) }()
	cancel()
	wait()
	if <-insisted {
		t.Error("c was taken by a runner that has ended")
	}
	if s := r.Stats(); s.Runs != 1 || s.Failures != 1 || s.Dropped != 2 || s.Waiting != 0 {
		t.Errorf("stats: %+v", s)
	}
}
