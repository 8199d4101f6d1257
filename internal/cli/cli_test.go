package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/cli"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

func TestMain(m *testing.M) {
	program := func() { os.Exit(cli.Main(context.Background(), cli.OSEnv(), os.Args)) }
	testscript.Main(m, map[string]func(){"kaname": program, "ipvsadm": program})
}

// TestScripts plays testdata/script. Besides kaname and ipvsadm, scripts have
//
//	director FILE [SOCKET]   a control socket (default run/default.sock) that
//	                         answers from a JSON file with the fields of played
//	status N COMMAND...      COMMAND exits with N; its output is in stdout, stderr
//
// and $CAPTURES, the directory of recorded sync messages.
func TestScripts(t *testing.T) {
	recorded, err := filepath.Abs(captures)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("CAPTURES", recorded)
			return nil
		},
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Cmds:               map[string]func(*testscript.TestScript, bool, []string){"director": director, "status": status},
	})
}

// played is a director made by hand: what its control socket answers.
type played struct {
	Status      *snapshot.Snapshot  `json:"status"`
	Table       []lvs.ServiceStatus `json:"services"`
	Entries     []lvs.Connection    `json:"connections"`
	Reloaded    api.ReloadResult    `json:"reload"`
	ReloadError string              `json:"reload_error"`
}

func (p *played) Snapshot() *snapshot.Snapshot           { return p.Status }
func (p *played) Services() ([]lvs.ServiceStatus, error) { return p.Table, nil }

func (p *played) Connections(yield func(lvs.Connection) bool) error {
	for _, c := range p.Entries {
		if !yield(c) {
			break
		}
	}
	return nil
}

func (p *played) Reload(context.Context) (api.ReloadResult, error) {
	if p.ReloadError != "" {
		return api.ReloadResult{}, errors.New(p.ReloadError)
	}
	return p.Reloaded, nil
}

func director(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: director FILE [SOCKET]")
	}
	p := &played{}
	dec := json.NewDecoder(openFile(ts, args[0]))
	dec.DisallowUnknownFields()
	ts.Check(dec.Decode(p))
	path := ts.MkAbs("run/default.sock")
	if len(args) == 2 {
		path = ts.MkAbs(args[1])
	}
	ln, err := api.Listen(path)
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.NewServer(p, nil).Serve(ctx, ln) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-done)
		ln.Close()
	})
}

func openFile(ts *testscript.TestScript, name string) *os.File {
	f, err := os.Open(ts.MkAbs(name))
	ts.Check(err)
	ts.Defer(func() { f.Close() })
	return f
}

// status runs a command and checks its exit status, which exec cannot.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND [ARGS]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		b, jerr := json.Marshal(exit.ExitCode())
		ts.Check(jerr)
		got = string(b)
	} else {
		ts.Check(err)
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}
