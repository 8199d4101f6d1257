package lab_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// A director that does not work must make the demo fail, say why, and leave
// nothing. (That the demo works with the real one is test/e2e's to show.)
func TestDemoTellsFailure(t *testing.T) {
	t.Parallel()
	needRoot(t)
	tests := []struct {
		name   string
		script string
		want   string // in the error
		shown  string // in the narration
	}{
		{"ends at once", "echo cannot start >&2; exit 8", "exit status 8", "cannot start"},
		{"is ready and does nothing", `exec "$KANAME_TEST_BINARY"`, "promised: lb1 has 192.0.2.100", "Both are ready"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := filepath.Join(t.TempDir(), "kaname")
			text := "#!/bin/sh\nexport " + playEnv + "=notify KANAME_TEST_BINARY=" + os.Args[0] + "\n" + tt.script + "\n"
			if err := os.WriteFile(fake, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err := lab.Demo(t.Context(), &out, lab.DemoOptions{Binary: fake})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			for _, want := range []string{tt.shown, "All namespaces, links, processes and files of the demo are gone."} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the demo does not say %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestDemoStopsWithItsContext(t *testing.T) {
	t.Parallel()
	needRoot(t)
	ctx, cancel := context.WithCancel(t.Context())
	fake := filepath.Join(t.TempDir(), "kaname")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\nexec sleep 300\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	result := make(chan error)
	go func() { result <- lab.Demo(ctx, &out, lab.DemoOptions{Binary: fake}) }()
	time.AfterFunc(300*time.Millisecond, cancel)
	if err := <-result; err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("error %v, want one that says it was cancelled", err)
	}
	if !strings.Contains(out.String(), "are gone.") {
		t.Errorf("not cleaned up:\n%s", out.String())
	}
}

// A signal closes the labs of the process before it does its work.
func TestCloseOnSignal(t *testing.T) {
	t.Parallel()
	needRoot(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), playEnv+"=crash", "KANAME_LAB_TEST_SIGNALS=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	n, err := out.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(string(buf[:n]), " ")
	if err := child.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "interrupt") {
		t.Errorf("the child ended with %v, want the signal's own effect", err)
	}
	all, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.ID == id {
			t.Errorf("left after the signal: %+v", r)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	all, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.ID == l.ID() {
			if r.Name != t.Name() || r.PID != os.Getpid() || !r.Alive() || len(r.Namespaces()) != 3 {
				t.Errorf("record %+v, namespaces %v, want this test's name, its process and 3 namespaces", r, r.Namespaces())
			}
			return
		}
	}
	t.Errorf("no record of %s: %+v", l.ID(), all)
}
