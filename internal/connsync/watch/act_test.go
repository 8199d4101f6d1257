package watch_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// finWait is a session that was established a minute ago at another server.
func finWait() *session.Event {
	s := session.Session{
		Protocol: lvs.TCP, State: lvs.StateFinWait, Flags: connsync.MethodDR | connsync.NoOutput | connsync.Inactive,
		Client: netip.MustParseAddrPort("192.0.2.7:50000"), Virtual: netip.MustParseAddrPort("198.51.100.1:80"),
		Dest: netip.MustParseAddrPort("192.0.2.21:80"), SyncID: 51, Version: 1, Director: netip.MustParseAddr("192.0.2.11"),
		First: noon.Add(-time.Minute), Last: noon, Timeout: 2 * time.Minute,
	}
	return &session.Event{
		Kinds: session.Changed | session.Moved, Time: noon, Session: s,
		Before: session.Before{State: lvs.StateEstablished, Dest: netip.MustParseAddrPort("192.0.2.22:80"), Director: netip.MustParseAddr("192.0.2.12"), SyncID: 51},
	}
}

const finWaitJSON = `{"time":"2026-11-24T12:00:00Z","event":"moved","rule":"r","merged":3,"old_state":"ESTABLISHED",` +
	`"old_destination":"192.0.2.22:80","old_director":"192.0.2.12","protocol":"TCP","expire":120,"state":"FIN_WAIT",` +
	`"source":"192.0.2.7:50000","virtual":"198.51.100.1:80","destination":"192.0.2.21:80","syncid":51,"director":"192.0.2.11",` +
	`"first_seen":"2026-11-24T11:59:00Z","last_seen":"2026-11-24T12:00:00Z","timeout":120,"method":"DR","active":false,` +
	`"flags":["no-output","inactive"],"version":1}`

func finWaitJob() watch.Job {
	f := watch.NewFields(finWait())
	f.Rule = "r"
	return watch.Job{Key: "k", Fields: f, Merged: 3}
}

func TestCommandIsTold(t *testing.T) {
	t.Parallel()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := watch.Command{Timeout: 10 * time.Second, Output: out}
	script := `cat; echo "$KANAME_EVENT $KANAME_OLD_STATE $KANAME_STATE $KANAME_SOURCE_ADDRESS $KANAME_SOURCE_PORT $KANAME_MERGED $KANAME_FLAGS ${KANAME_COUNT-unset}"`
	if err := c.Run(t.Context(), script, finWaitJob()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := finWaitJSON + "\nmoved ESTABLISHED FIN_WAIT 192.0.2.7 50000 3 no-output,inactive unset\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCommandFails(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name, script, want string
		ctx                context.Context
	}{
		{"status", "exit 3", "exited with status 3", t.Context()},
		{"too slow", "sleep 1000 & sleep 1000", "timed out", t.Context()},
		{"broken off", "true", "broken off", ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := watch.Command{Timeout: 300 * time.Millisecond}.Run(c.ctx, c.script, finWaitJob())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// answering is a web server that answers with these statuses one after the
// other, and keeps what it was sent.
func answering(t *testing.T, statuses ...int) (address string, asked *atomic.Int32, last *atomic.Value) {
	t.Helper()
	asked, last = &atomic.Int32{}, &atomic.Value{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		last.Store(r.Method + " " + r.Header.Get("Content-Type") + " " + string(b))
		status := statuses[min(n, len(statuses))-1]
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked, last
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		statuses []int
		attempts int32
		want     string // of the error
	}{
		{"taken", []int{204}, 1, ""},
		{"taken the third time", []int{500, 429, 200}, 3, ""},
		{"never", []int{503}, 3, "attempt 3: the server answers 503"},
		{"refused", []int{403}, 1, "attempt 1: the server answers 403"},
		{"sent elsewhere", []int{302}, 1, "302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, asked, last := answering(t, c.statuses...)
			w := watch.NewWebhook()
			w.Backoff = []time.Duration{time.Millisecond, time.Millisecond}
			err := w.Post(t.Context(), address, finWaitJob())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if asked.Load() != c.attempts {
				t.Errorf("%d attempts, want %d", asked.Load(), c.attempts)
			}
			if diff := cmp.Diff("POST application/json "+finWaitJSON+"\n", last.Load()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWebhookWithoutServer(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	address := s.URL
	s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	w := watch.NewWebhook()
	w.Backoff = []time.Duration{time.Hour}
	done := make(chan error)
	go func() { done <- w.Post(ctx, address, finWaitJob()) }()
	cancel()
	if err := <-done; err == nil {
		t.Error("a server that is not there took something")
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"https://alarm.example.com/x": true, "http://[::1]:8080": true, "ftp://example.com/": false, "/path": false, "http://": false, "http://%zz": false,
	} {
		if err := watch.CheckURL(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSlowCommandKeepsNobodyWaiting: while the one command that may run has
// not ended, every datagram goes into the table; what was asked for meanwhile is
// merged, dropped or still waiting, and adds up.
func TestSlowCommandKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	filter, err := session.ParseFilter("state=TIME_WAIT")
	if err != nil {
		t.Fatal(err)
	}
	src := newFeed("b-nat-tcp-udp")
	x := watch.New(watch.Spec{
		Sources: []watch.Source{src}, Parallel: 1, Command: watch.Command{Timeout: time.Minute},
		Rules: []session.Rule{{Name: "slow", When: filter, On: session.AllKinds | session.Refreshed, Exec: "while ! [ -e " + gate + " ]; do sleep 0.01; done"}},
	})
	done := make(chan error, 1)
	go func() { done <- x.Run(t.Context()) }()
	const rounds = 20
	messages := src.messages(t)
	for range rounds {
		src.give(messages)
	}
	within(t, "every datagram to be in the table", func() bool { return x.Health().Table.Datagrams == uint64(rounds*len(messages)) })
	h := x.Health()
	if h.Commands.Runs != 0 || h.Commands.Running != 1 {
		t.Errorf("commands: %+v, want the first one still running", h.Commands)
	}
	if h.Overruns != 0 {
		t.Errorf("%d datagrams lost", h.Overruns)
	}
	if s := h.Commands; h.Fired["slow"] == 0 || h.Fired["slow"] != s.Merged+s.Dropped+uint64(s.Waiting+s.Running) {
		t.Errorf("%d firings, %+v: they do not add up", h.Fired["slow"], s)
	}
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	x.Stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := x.Health().Commands; s.Waiting != 0 || s.Failures != 0 || h.Fired["slow"] != s.Merged+s.Dropped+s.Runs {
		t.Errorf("at the end: %+v, of %d firings", s, h.Fired["slow"])
	}
}

func TestFieldsOfThreshold(t *testing.T) {
	t.Parallel()
	var told atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told.Store(b)
	}))
	defer s.Close()
	rules, fs := session.ParseRules("rules", `trigger many { on "state=TIME_WAIT"; count > 100 per server; webhook "`+s.URL+`" }`)
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	x := watch.New(watch.Spec{Sources: []watch.Source{recording(t, "b-nat-tcp-udp")}, Rules: rules, Parallel: 1, Webhook: watch.NewWebhook()})
	if err := x.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, ok := told.Load().([]byte)
	if !ok {
		t.Fatalf("nothing was told: %+v", x.Health().Webhooks)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got["event"] != "threshold" || got["rule"] != "many" || got["count"] != 101.0 || !strings.HasPrefix(got["group"].(string), "server 10.7.0.2") || got["since"] == nil || got["state"] != nil {
		t.Errorf("told %s", b)
	}
	if n := x.Health().Fired["many"]; n != 2 {
		t.Errorf("fired %d times, want once for each of two servers", n)
	}
}

var errBroken = errors.New("broken")
