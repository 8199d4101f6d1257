package checker_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/health/checker"
)

// recorder is a run function that takes a second, and what it saw.
type recorder struct {
	mu            sync.Mutex
	running, most map[checker.Kind]int
	cancelled     int
	results       []health.Result
}

func newRecorder() *recorder {
	return &recorder{running: map[checker.Kind]int{}, most: map[checker.Kind]int{}}
}

func (r *recorder) run(ctx context.Context, t checker.Target) checker.Outcome {
	r.add(t.Kind, 1)
	defer r.add(t.Kind, -1)
	select {
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cancelled++
		return checker.Outcome{Reason: "cancelled"}
	case <-time.After(time.Second):
		return checker.Outcome{OK: true, Weight: 7, HasWeight: true, Reason: "fine", Duration: time.Second}
	}
}

func (r *recorder) add(k checker.Kind, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[k] += n
	r.most[k] = max(r.most[k], r.running[k])
}

func (r *recorder) report(res health.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.results)
}

func probe(n int) health.Probe {
	return health.Probe{Checker: health.CheckerID{Service: "s", Key: fmt.Sprint(n)}, Seq: uint64(n)}
}

func TestRunnerBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		r := checker.NewFakeRunner(checker.Limits{Network: 10, Processes: 2}, rec.report, rec.run)
		start := time.Now()
		for n := range 40 {
			kind := checker.TCP
			if n%4 == 0 {
				kind = checker.Misc
			}
			r.Start(probe(n), checker.Target{Kind: kind})
			r.Start(probe(n), checker.Target{Kind: kind}) // once is enough
		}
		time.Sleep(4*time.Second + time.Millisecond)
		synctest.Wait()
		if got := rec.count(); got != 30+8 {
			t.Errorf("after 4 s: %d results, want 30 of the network and 8 of processes", got)
		}
		time.Sleep(time.Second)
		r.Close()
		if rec.most[checker.TCP] != 10 || rec.most[checker.Misc] != 2 || len(rec.results) != 40 {
			t.Errorf("at most %v at once, %d results", rec.most, len(rec.results))
		}
		seen := map[string]bool{}
		for _, res := range rec.results {
			if !res.OK || res.Weight != 7 || !res.HasWeight || res.Reason != "fine" ||
				res.Checker.Key != fmt.Sprint(res.Seq) || seen[res.Checker.Key] {
				t.Errorf("result %+v", res)
			}
			seen[res.Checker.Key] = true
		}
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("took %s", d)
		}
	})
}

func TestRunnerCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		r := checker.NewFakeRunner(checker.Limits{Network: 2}, rec.report, rec.run)
		for n := range 6 {
			r.Start(probe(n), checker.Target{Kind: checker.TCP})
		}
		synctest.Wait()
		r.Cancel(health.Cancel(probe(0)))  // runs
		r.Cancel(health.Cancel(probe(3)))  // waits
		r.Cancel(health.Cancel(probe(99))) // is not known
		time.Sleep(10 * time.Second)
		r.Close()
		var got []uint64
		for _, res := range rec.results {
			got = append(got, res.Seq)
		}
		if len(got) != 4 || rec.cancelled != 1 {
			t.Errorf("results of %v, %d cancelled; want all but 0 and 3, the one that ran cancelled", got, rec.cancelled)
		}
		for _, seq := range got {
			if seq == 0 || seq == 3 {
				t.Errorf("result of %d after its cancel", seq)
			}
		}
	})
}

func TestRunnerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		r := checker.NewFakeRunner(checker.Limits{Network: 2}, rec.report, rec.run)
		for n := range 6 {
			r.Start(probe(n), checker.Target{Kind: checker.TCP})
		}
		synctest.Wait()
		start := time.Now()
		r.Close()
		r.Close()
		r.Start(probe(7), checker.Target{Kind: checker.TCP})
		if len(rec.results) != 0 || rec.cancelled != 2 || !time.Now().Equal(start) {
			t.Errorf("%d results, %d cancelled, took %s", len(rec.results), rec.cancelled, time.Since(start))
		}
	})
}

// TestRunnerCloseDuringReport has nobody who takes results when it closes.
func TestRunnerCloseDuringReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		release := make(chan struct{})
		r := checker.NewFakeRunner(checker.Limits{Network: 2}, func(health.Result) { <-release }, rec.run)
		for n := range 6 {
			r.Start(probe(n), checker.Target{Kind: checker.TCP})
		}
		time.Sleep(10 * time.Second)
		r.Close()
		close(release)
		synctest.Wait()
		if rec.most[checker.TCP] != 2 || rec.cancelled != 0 {
			t.Errorf("%d at once, %d cancelled; want 2 and none: the others never began", rec.most[checker.TCP], rec.cancelled)
		}
	})
}

// TestRunnerReal runs all kinds for real.
func TestRunnerReal(t *testing.T) {
	t.Parallel()
	results := make(chan health.Result, 3)
	r := checker.NewRunner(checker.Limits{}, func(res health.Result) { results <- res })
	defer r.Close()
	closed := closedPort(t)
	r.Start(probe(1), checker.Target{Kind: checker.TCP, Connect: checker.Connect{To: closed}})
	r.Start(probe(2), checker.Target{Kind: checker.Misc, Misc: checker.MiscSpec{Argv: []string{"/bin/true"}}})
	r.Start(probe(3), checker.Target{
		Kind: checker.HTTP, Connect: checker.Connect{To: closed},
		HTTP: checker.HTTPSpec{URLs: []checker.URL{{Path: "/"}}},
	})
	want := map[uint64]string{1: "connect: connection refused", 2: "exited with status 0", 3: "connect: connection refused"}
	for range 3 {
		res := <-results
		if res.Reason != want[res.Seq] || res.OK != (res.Seq == 2) || res.Duration <= 0 {
			t.Errorf("got %+v, want %q", res, want[res.Seq])
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	to := netip.MustParseAddrPort("10.0.0.1:80")
	conn := checker.Connect{To: to, Timeout: time.Second}
	targets := map[string]checker.Target{
		`TCP_CHECK 10.0.0.1:80`: {Kind: checker.TCP, Connect: conn},
		`TCP_CHECK 10.0.0.1:80 from 10.0.0.9 port 7 dev "eth0"`: {Kind: checker.TCP, Connect: checker.Connect{
			To: to, From: netip.MustParseAddr("10.0.0.9"), FromPort: 7, Device: "eth0",
		}},
		`HTTP_GET 10.0.0.1:80 HTTP/1.0 url "/" status 200-299`: {
			Kind: checker.HTTP, Connect: conn, HTTP: checker.HTTPSpec{URLs: []checker.URL{{Path: "/"}}},
		},
		`HTTP_GET 10.0.0.1:80 HTTP/1.1 url "/a" status 200, 301-302 host "h" digest "ab"`: {
			Kind: checker.HTTP, Connect: conn, HTTP: checker.HTTPSpec{Version: "1.1", URLs: []checker.URL{{
				Path: "/a", Host: "h", Digest: "AB", Statuses: []checker.StatusRange{{200, 200}, {301, 302}},
			}}},
		},
		`MISC_CHECK ["/x" "a b"]`: {Kind: checker.Misc, Misc: checker.MiscSpec{Argv: []string{"/x", "a b"}}},
		`MISC_CHECK ["/x"] user "u" group "g" env ["A=b"] dynamic`: {Kind: checker.Misc, Misc: checker.MiscSpec{
			Argv: []string{"/x"}, User: "u", Group: "g", Env: []string{"A=b"}, Dynamic: true,
		}},
	}
	for want, target := range targets {
		if got := target.Key(); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		slower := target
		slower.Connect.Timeout, slower.Misc.Timeout = time.Minute, time.Minute
		if slower.Key() != want {
			t.Errorf("%s: the time-out counts: %s", want, slower.Key())
		}
	}
}
