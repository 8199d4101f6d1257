package notify_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/director/notify"
	"github.com/kaname-lb/kaname/internal/event"
	"github.com/kaname-lb/kaname/internal/process"
)

var server = netip.MustParseAddrPort("10.0.0.1:80")

// spec has every script there is, made by script from a label.
func spec(script func(label string) notify.Script) notify.Spec {
	all := func(of string) notify.Scripts {
		return notify.Scripts{
			Master: script(of + "-master"), Backup: script(of + "-backup"), Fault: script(of + "-fault"),
			Stop: script(of + "-stop"), Generic: script(of + "-notify"), LowerPriority: script(of + "-lower"),
		}
	}
	return notify.Spec{
		Instances: map[string]notify.Scripts{"VI 1": all("vi")},
		Groups:    map[string]notify.Scripts{"G": all("g")},
		Services:  map[string]notify.ServerScripts{"192.0.2.1 80": {Up: script("quorum-up"), Down: script("quorum-down")}},
		Servers: map[notify.ServerKey]notify.ServerScripts{
			{Service: "192.0.2.1 80", Server: server}: {Up: script("rs-up"), Down: script("rs-down")},
		},
	}
}

var events = []struct {
	name  string
	event event.Event
	want  []string // in the order of their start
}{
	{"master", event.VRRPTransition{Instance: "VI 1", From: "BACKUP", State: "MASTER", Priority: 150}, []string{"vi-master", "vi-notify INSTANCE|VI 1|MASTER|150"}},
	{"backup", event.VRRPTransition{Instance: "VI 1", From: "INIT", State: "BACKUP", Priority: 100}, []string{"vi-backup", "vi-notify INSTANCE|VI 1|BACKUP|100"}},
	{"fault", event.VRRPTransition{Instance: "VI 1", From: "MASTER", State: "FAULT", Priority: 150}, []string{"vi-fault", "vi-notify INSTANCE|VI 1|FAULT|150"}},
	{"stop", event.VRRPTransition{Instance: "VI 1", From: "MASTER", State: "STOP", Priority: 150}, []string{"vi-stop", "vi-notify INSTANCE|VI 1|STOP|150"}},
	{"init", event.VRRPTransition{Instance: "VI 1", State: "INIT"}, nil},
	{"unknown instance", event.VRRPTransition{Instance: "VI_2", State: "MASTER"}, nil},
	{"group", event.GroupTransition{Group: "G", State: "FAULT"}, []string{"g-fault", "g-notify GROUP|G|FAULT|0"}},
	{"group master", event.GroupTransition{Group: "G", State: "MASTER"}, []string{"g-master", "g-notify GROUP|G|MASTER|0"}},
	{"lower priority", event.LowerPriority{Instance: "VI 1", Priority: 3}, []string{"vi-lower"}},
	{"quorum up", event.QuorumChanged{Service: "192.0.2.1 80", Up: true}, []string{"quorum-up"}},
	{"quorum down", event.QuorumChanged{Service: "192.0.2.1 80"}, []string{"quorum-down"}},
	{"server up", event.ServerChanged{Service: "192.0.2.1 80", Server: server, Up: true}, []string{"rs-up"}},
	{"server down", event.ServerChanged{Service: "192.0.2.1 80", Server: server}, []string{"rs-down"}},
	{"same server elsewhere", event.ServerChanged{Service: "192.0.2.2 80", Server: server}, nil},
	{"reloaded", event.Reloaded{}, nil},
}

// TestScripts runs real processes, which write down their arguments.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, tc := range events {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			n := notify.New(spec(func(label string) notify.Script {
				return notify.Script{
					Argv: []string{"/bin/sh", "-c", `IFS="|"; a="$*"; echo "$0${a:+ }$a" >>'` + out + `'`, label}, Where: "f:1:1",
				}
			}), slog.New(slog.DiscardHandler))
			n.Handle(tc.event)
			n.Close(10 * time.Second)
			text, err := os.ReadFile(out)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(string(text)) {
				got = append(got, strings.TrimSpace(line))
			}
			slices.Sort(got) // they run in parallel
			want := slices.Sorted(slices.Values(tc.want))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("scripts (-want +got):\n%s", diff)
			}
		})
	}
}

// fake starts commands that take a second, and writes down when.
type fake struct {
	mu      sync.Mutex
	started []string
	ended   int
	killed  int
}

func (f *fake) start(ctx context.Context, c process.Command) <-chan process.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, strings.TrimSpace(c.Argv[1]+" "+strings.Join(c.Argv[2:], "|")))
	done := make(chan process.Result, 1)
	go func() {
		select {
		case <-ctx.Done():
			f.count(&f.killed)
			done <- process.Result{Status: -1, Signal: 15, Err: context.Cause(ctx)}
		case <-time.After(time.Second):
			f.count(&f.ended)
			done <- process.Result{}
		}
	}()
	return done
}

func (f *fake) count(n *int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*n++
}

func labelled(label string) notify.Script {
	return notify.Script{Argv: []string{"/bin/true", label}, Where: "f:1:1"}
}

// TestOrder sees the order in which the scripts of many events are started,
// that none waits for another, and that Handle waits for none.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fake
		n := notify.New(spec(labelled), slog.New(slog.DiscardHandler))
		n.SetStart(f.start)
		begin := time.Now()
		var want []string
		for range 20 {
			for _, tc := range events {
				n.Handle(tc.event)
				want = append(want, tc.want...)
			}
		}
		n.Close(time.Minute)
		if diff := cmp.Diff(want, f.started); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("all together took %s, want the second of each", d)
		}
		if f.ended != len(want) || f.killed != 0 {
			t.Errorf("%d ended, %d killed, want %d and 0", f.ended, f.killed, len(want))
		}
	})
}

func TestCloseAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fake
		n := notify.New(spec(labelled), slog.New(slog.DiscardHandler))
		n.SetStart(f.start)
		n.Handle(events[0].event)
		begin := time.Now()
		n.Close(300 * time.Millisecond)
		if d := time.Since(begin); d != 300*time.Millisecond || f.killed != 2 {
			t.Errorf("closed after %s, %d killed; want 300ms and 2", d, f.killed)
		}
		n.Handle(events[0].event)
		synctest.Wait()
		if len(f.started) != 2 {
			t.Errorf("started after Close: %q", f.started)
		}
		n.Close(time.Second)
	})
}

// TestCloseKills has a real process that ignores what it can.
func TestCloseKills(t *testing.T) {
	t.Parallel()
	var log logBuffer
	n := notify.New(notify.Spec{Instances: map[string]notify.Scripts{"V": {
		Stop: notify.Script{Argv: []string{"/bin/sh", "-c", "sleep 60"}, Where: "k.conf:3:5"},
	}}}, log.logger())
	n.Handle(event.VRRPTransition{Instance: "V", State: "STOP"})
	n.Close(50 * time.Millisecond)
	want := `level=WARN msg="notify script failed" where=k.conf:3:5 script="[/bin/sh -c sleep 60]" reason="killed: the director stops"` + "\n"
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fake
		n := notify.New(spec(labelled), slog.New(slog.DiscardHandler))
		n.SetStart(f.start)
		n.Set(notify.Spec{Instances: map[string]notify.Scripts{"VI 1": {Master: labelled("new")}}})
		for _, tc := range events {
			n.Handle(tc.event)
		}
		n.Close(time.Minute)
		if diff := cmp.Diff([]string{"new"}, f.started); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
	})
}

// logBuffer keeps log lines as text, without their time.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}
