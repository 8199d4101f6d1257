package track

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/process"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

// host pretends to run commands: each takes as long, and ends, as its
// arguments say. It writes down what happens, with the time since the start.
type host struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (h *host) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf("%v %s", time.Since(h.start), fmt.Sprintf(format, args...)))
}

// take returns what was written down since the last call.
func (h *host) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := h.lines
	h.lines = nil
	return lines
}

func (h *host) report(r vrrp.ScriptResult) {
	h.note("%s ok=%v status=%d timed-out=%v", r.Script, r.OK, r.Status, r.TimedOut)
}

// execute runs {"NAME", "DURATION", "STATUS"}.
func (h *host) execute(ctx context.Context, c process.Command) process.Result {
	h.note("start %s", c.Argv[0])
	takes, err := time.ParseDuration(c.Argv[1])
	if err != nil {
		return process.Result{Status: -1, Err: err}
	}
	begin := time.Now()
	r := process.Result{}
	if _, err := fmt.Sscan(c.Argv[2], &r.Status); err != nil {
		return process.Result{Status: -1, Err: err}
	}
	select {
	case <-time.After(min(takes, c.Timeout)):
		if takes > c.Timeout {
			r = process.Result{Status: -1, Signal: 15, TimedOut: true}
		}
	case <-ctx.Done():
		h.note("kill %s", c.Argv[0])
		time.Sleep(10 * time.Millisecond) // dying takes a moment
		r = process.Result{Status: -1, Signal: 15, Err: ctx.Err()}
	}
	r.Duration = time.Since(begin)
	return r
}

func script(name string, interval time.Duration, takes, status string) Script {
	return Script{Name: name, Interval: interval, Command: process.Command{Argv: []string{name, takes, status}}}
}

// tracked starts a Tracker over a host in the present bubble. stop ends it and
// waits for its end.
func tracked(log *slog.Logger, scripts ...Script) (t *Tracker, h *host, stop func()) {
	h = &host{start: time.Now()}
	t = New(log, h.report)
	t.execute = h.execute
	t.Update(scripts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- t.Run(ctx) }()
	return t, h, func() {
		cancel()
		<-done
	}
}

func diff(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what happened (-want +got):\n%s", d)
	}
}

func TestIntervalCountsFromStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h, stop := tracked(slog.New(slog.DiscardHandler), script("a", 2*time.Second, "500ms", "1"))
		time.Sleep(5 * time.Second)
		stop()
		diff(t, h.take(),
			"0s start a", "500ms a ok=false status=1 timed-out=false",
			"2s start a", "2.5s a ok=false status=1 timed-out=false",
			"4s start a", "4.5s a ok=false status=1 timed-out=false")
	})
}

func TestTimeoutIsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h, stop := tracked(slog.New(slog.DiscardHandler), script("a", 2*time.Second, "1h", "0"))
		time.Sleep(2500 * time.Millisecond)
		stop()
		got := h.take()
		if len(got) < 2 || got[1] != "2s a ok=false status=-1 timed-out=true" {
			t.Errorf("got %q, want a time-out after the interval", got)
		}
	})
}

func TestNeverTwiceAtATime(t *testing.T) {
	var logged bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s := script("a", time.Second, "2500ms", "0")
		s.Command.Timeout = time.Minute
		_, h, stop := tracked(slog.New(slog.NewTextHandler(&logged, nil)), s)
		time.Sleep(5800 * time.Millisecond)
		stop()
		diff(t, h.take(),
			"0s start a", "2.5s a ok=true status=0 timed-out=false",
			"3s start a", "5.5s a ok=true status=0 timed-out=false")
	})
	if n := strings.Count(logged.String(), "still running"); n != 1 {
		t.Errorf("logged %d times that a run was skipped, want once:\n%s", n, &logged)
	}
}

func TestCannotStartIsToldOnce(t *testing.T) {
	var logged bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		tr, h, stop := tracked(slog.New(slog.NewTextHandler(&logged, nil)))
		tr.execute = func(context.Context, process.Command) process.Result {
			return process.Result{Status: -1, Err: errors.New("command /no: no such file")}
		}
		tr.Update([]Script{script("a", time.Second, "0s", "0")})
		time.Sleep(2500 * time.Millisecond)
		stop()
		diff(t, h.take(),
			"0s a ok=false status=-1 timed-out=false",
			"1s a ok=false status=-1 timed-out=false",
			"2s a ok=false status=-1 timed-out=false")
	})
	if n := strings.Count(logged.String(), "command /no: no such file"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, &logged)
	}
}

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same, changed := script("same", 10*time.Second, "3s", "0"), script("changed", 10*time.Second, "3s", "0")
		tr, h, stop := tracked(slog.New(slog.DiscardHandler), same, changed, script("gone", 10*time.Second, "3s", "0"))
		time.Sleep(time.Second)
		h.take() // three starts in any order

		tr.Update([]Script{same, script("changed", 10*time.Second, "1s", "4"), script("same", time.Second, "1s", "9")})
		time.Sleep(5 * time.Millisecond)
		got := map[string]bool{}
		for _, l := range h.take() {
			got[l] = true
		}
		want := map[string]bool{"1s kill changed": true, "1s kill gone": true, "1s start changed": true}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("at the update (-want +got):\n%s", d)
		}
		time.Sleep(9500 * time.Millisecond)
		diff(t, h.take(),
			"2s changed ok=false status=4 timed-out=false",
			"3s same ok=true status=0 timed-out=false",
			"10s start same")
		stop()
		diff(t, h.take(), "10.505s kill same")
	})
}

func TestBadIntervalIsDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h, stop := tracked(slog.New(slog.DiscardHandler), script("a", -1, "1ms", "0"))
		time.Sleep(1500 * time.Millisecond)
		stop()
		diff(t, h.take(),
			"0s start a", "1ms a ok=true status=0 timed-out=false",
			"1s start a", "1.001s a ok=true status=0 timed-out=false")
	})
}

// TestRealCommand runs a real script, whose result follows a file.
func TestRealCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "up")
	results := make(chan vrrp.ScriptResult, 1000)
	tr := New(slog.New(slog.DiscardHandler), func(r vrrp.ScriptResult) { results <- r })
	tr.Update([]Script{{
		Name: "file", Interval: 20 * time.Millisecond,
		Command: process.Command{Argv: []string{"test", "-e", file}, Timeout: 10 * time.Second},
	}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- tr.Run(ctx) }()
	until := func(want vrrp.ScriptResult) {
		t.Helper()
		limit := time.After(10 * time.Second)
		for {
			select {
			case got := <-results:
				if got == want {
					return
				}
			case <-limit:
				t.Fatalf("no result %+v", want)
			}
		}
	}
	until(vrrp.ScriptResult{Script: "file", Status: 1})
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(vrrp.ScriptResult{Script: "file", OK: true})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
