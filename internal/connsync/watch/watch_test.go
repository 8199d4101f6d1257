package watch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync/connsynctest"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const captures = "../testdata/ipvs-sync"

// everyPort is what the captures use.
var everyPort = func() (ports []uint16) {
	for p := uint16(8848); p < 8900; p++ {
		ports = append(ports, p)
	}
	return ports
}()

func recording(t *testing.T, scenario string) *watch.Capture {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(captures, scenario+".pcap"))
	if err != nil {
		t.Fatal(err)
	}
	return watch.NewCapture(scenario, bytes.NewReader(b), everyPort)
}

// played is a Watch that has heard a whole capture.
func played(t *testing.T, scenario string, o session.Options) *watch.Watch {
	t.Helper()
	x := watch.New(watch.Spec{Sources: []watch.Source{recording(t, scenario)}, Table: o, Parallel: 1})
	if err := x.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x
}

// feed is a live Source by hand.
type feed struct {
	scenario string
	in       chan []watch.Datagram
	err      error
}

func newFeed(scenario string) *feed {
	return &feed{scenario: scenario, in: make(chan []watch.Datagram)}
}

// messages are the scenario's, as if they came now.
func (f *feed) messages(t *testing.T) []watch.Datagram {
	t.Helper()
	var ds []watch.Datagram
	for _, m := range connsynctest.Messages(t, captures, f.scenario) {
		m.Time = time.Now()
		ds = append(ds, watch.Datagram{Datagram: m})
	}
	return ds
}

func (f *feed) give(ds []watch.Datagram) { f.in <- ds }

func (f *feed) Run(ctx context.Context, take func([]watch.Datagram)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case ds := <-f.in:
			if f.err != nil {
				return f.err
			}
			take(ds)
		}
	}
}
func (f *feed) Live() bool     { return true }
func (f *feed) Lost() uint64   { return 0 }
func (f *feed) String() string { return "feed" }

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestEveryCapture: what comes out are the sessions that the table has, each
// with what was announced.
func TestEveryCapture(t *testing.T) {
	t.Parallel()
	for _, scenario := range connsynctest.Scenarios(t, captures) {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			x := played(t, scenario, session.Options{})
			var lines bytes.Buffer
			if err := watch.WriteSessions(&lines, x, nil, 0); err != nil {
				t.Fatal(err)
			}
			n := 0
			for dec := json.NewDecoder(&lines); ; n++ {
				var s watch.SessionFields
				if err := dec.Decode(&s); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if s.Expire < 0 || s.State == "" || !s.Source.IsValid() || s.Director == "unknown" || s.LastSeen.Before(s.FirstSeen) {
					t.Errorf("session %+v", s)
				}
			}
			h := x.Health()
			if n != h.Sessions || n == 0 || h.Table.Created != h.Table.Expired+uint64(n) {
				t.Errorf("%d sessions, of the table %d; %d created, %d expired", n, h.Sessions, h.Table.Created, h.Table.Expired)
			}
		})
	}
}

func TestLiveSourceFails(t *testing.T) {
	t.Parallel()
	bad := newFeed("a-keepalived-dr")
	bad.err = errBroken
	x := watch.New(watch.Spec{Sources: []watch.Source{newFeed("a-keepalived-dr"), bad}})
	done := make(chan error, 1)
	go func() { done <- x.Run(t.Context()) }()
	bad.give(nil)
	if err := <-done; err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v: half of the sources is not what was asked for", err)
	}
}

func TestBrokenCapture(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(captures, "a2-keepalived-failover.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	x := watch.New(watch.Spec{Sources: []watch.Source{watch.NewCapture("cut.pcap", bytes.NewReader(b[:len(b)-5]), everyPort)}})
	if err := x.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cut.pcap: ") {
		t.Errorf("got %v", err)
	}
	if n := x.Health().Table.Datagrams; n != 2 {
		t.Errorf("%d datagrams, want the two before the break", n)
	}
}

// TestFollower: a slow terminal loses events and not datagrams, and says how
// many; a recording waits.
func TestFollower(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := &watch.Follower{Format: watch.EventJSON, Wait: true, Count: 7}
	x := watch.New(watch.Spec{Sources: []watch.Source{recording(t, "b-nat-tcp-udp")}, Event: f.Event, Kinds: session.AllKinds})
	f.Done = x.Stop
	finish := f.Start(&out)
	if err := x.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 7 {
		t.Errorf("%d lines, want 7:\n%s", n, &out)
	}
}

func TestFollowerWhoseReaderIsGone(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.Close()
	f := &watch.Follower{Format: watch.EventText, Wait: true}
	x := watch.New(watch.Spec{Sources: []watch.Source{recording(t, "i-burst")}, Event: f.Event, Kinds: session.AllKinds | session.Refreshed})
	f.Done = x.Stop
	finish := f.Start(w)
	if err := x.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := finish(); err == nil || !strings.Contains(err.Error(), "closed pipe") {
		t.Errorf("got %v, want that the output is gone", err)
	}
}

func TestEventText(t *testing.T) {
	t.Parallel()
	got, err := watch.EventText(finWait())
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(got), " moved ")
	want := "    TCP  192.0.2.7:50000       198.51.100.1:80       192.0.2.22:80->192.0.2.21:80 ESTABLISHED->FIN_WAIT   192.0.2.12->192.0.2.11\n"
	if rest != want {
		t.Errorf("got %q\nwant %q", rest, want)
	}
}

// TestServer asks the pages for what a capture of templates, IPv6 or refused
// datagrams gave.
func TestServer(t *testing.T) {
	t.Parallel()
	x := played(t, "n-injected", session.Options{})
	s := httptest.NewServer((&watch.Server{Watch: x}).Handler())
	defer s.Close()
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	_, metrics := get("/metrics")
	golden(t, "metrics.txt", []byte(metrics))
	for _, c := range []struct {
		path   string
		status int
		lines  int
		want   string
	}{
		{"/", 200, -1, "metrics"},
		{"/sessions", 200, x.Health().Sessions, `"state":"ESTABLISHED"`},
		{"/sessions?limit=3", 200, 3, `"protocol":"TCP"`},
		{"/sessions?filter=proto%3Dudp%20and%20dport%3D80&limit=0", 200, -1, `"protocol":"UDP"`},
		{"/sessions?filter=prot", 400, 1, "no field"},
		{"/sessions?limit=-1", 400, 1, "want a number"},
		{"/summary?top=1", 200, 1, `"director_list":[{"director":"10.7.0.`},
		{"/else", 404, 1, "not found"},
	} {
		status, body := get(c.path)
		if status != c.status || c.lines >= 0 && strings.Count(body, "\n") != c.lines || !strings.Contains(body, c.want) {
			t.Errorf("%s: status %d, %d lines:\n%.300s", c.path, status, strings.Count(body, "\n"), body)
		}
	}
	resp, err := http.Post(s.URL+"/sessions", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", resp.StatusCode)
	}
}

func TestParsePorts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]uint16{
		"8848": {8848}, "8848-8850": {8848, 8849, 8850}, "65535": {65535}, "0": nil, "8850-8848": nil, "x": nil, "1-65": nil, "65536": nil, "8848-": nil,
	} {
		got, err := watch.ParsePorts(text)
		if (err == nil) != (want != nil) || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := watch.Listen(watch.Multicast{}); err == nil {
		t.Error("listening to nothing is no error")
	}
}

// TestCaptureOfOtherPorts: what is not to the ports is counted.
func TestCaptureOfOtherPorts(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(captures, "j-ports-group.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	c := watch.NewCapture("j", bytes.NewReader(b), []uint16{8848})
	x := watch.New(watch.Spec{Sources: []watch.Source{c}})
	if err := x.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := x.Health(); h.Table.Datagrams != 0 || c.Other() == 0 || c.Stats().Packets == 0 {
		t.Errorf("%d datagrams, %d to other ports", h.Table.Datagrams, c.Other())
	}
}
