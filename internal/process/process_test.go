package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/process"
)

// sh returns a command that runs a shell script.
func sh(script string, args ...string) process.Command {
	return process.Command{Argv: append([]string{"/bin/sh", "-c", script, "sh"}, args...)}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plain"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		cmd     process.Command
		status  int
		signal  int
		text    string
		wantErr string // part of the error, empty for none
	}{
		{name: "ok", cmd: sh("exit 0"), text: "exited with status 0"},
		{name: "status", cmd: sh("exit 7"), status: 7, text: "exited with status 7"},
		{name: "signal", cmd: sh("kill -USR1 $$"), status: -1, signal: 10, text: "killed by signal 10"},
		{name: "found in PATH", cmd: process.Command{Argv: []string{"true"}}, text: "exited with status 0"},
		{name: "no shell", cmd: process.Command{Argv: []string{"test", "$HOME;", "=", "$HOME;"}}, text: "exited with status 0"},
		{name: "none", cmd: process.Command{}, status: -1, wantErr: "no command"},
		{name: "missing", cmd: process.Command{Argv: []string{dir + "/none"}}, status: -1, wantErr: "no such file"},
		{name: "not executable", cmd: process.Command{Argv: []string{dir + "/plain"}}, status: -1, wantErr: "permission denied"},
		{name: "a directory", cmd: process.Command{Argv: []string{dir}}, status: -1, wantErr: "is a directory"},
		{
			name: "unknown user", status: -1, wantErr: `user "nobody-such" does not exist`,
			cmd: process.Command{Argv: []string{"true"}, User: "nobody-such"},
		},
		{
			name: "unknown group", status: -1, wantErr: `group "nobody-such" does not exist`,
			cmd: process.Command{Argv: []string{"true"}, Group: "nobody-such"},
		},
		{
			name: "reserved id", status: -1, wantErr: "does not exist",
			cmd: process.Command{Argv: []string{"true"}, User: "4294967295"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := tt.cmd.Run(t.Context())
			if r.Status != tt.status || r.Signal != tt.signal || r.TimedOut {
				t.Errorf("got %+v, want status %d, signal %d", r, tt.status, tt.signal)
			}
			if r.OK() != (tt.status == 0) {
				t.Errorf("OK() = %v with %+v", r.OK(), r)
			}
			switch {
			case tt.wantErr == "" && (r.Err != nil || r.String() != tt.text):
				t.Errorf("got %v, %q, want no error, %q", r.Err, r, tt.text)
			case tt.wantErr != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), tt.wantErr)):
				t.Errorf("error %v, want %q in it", r.Err, tt.wantErr)
			}
		})
	}
}

func TestRunEnvironment(t *testing.T) {
	out := filepath.Join(t.TempDir(), "env")
	for _, name := range []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET"} {
		t.Setenv(name, "")
	}
	t.Setenv("KEPT", "1")
	c := sh(`env > "$1"; cat >> "$1"; ps -o pgid= -p $$ >> "$1"; echo $$ >> "$1"`, out)
	c.Env = []string{"EXTRA=2"}
	if r := c.Run(t.Context()); !r.OK() {
		t.Fatalf("run: %v", r)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	text := "\n" + string(b)
	for _, want := range []string{"\nKEPT=1\n", "\nEXTRA=2\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("environment lacks %q:\n%s", want, text)
		}
	}
	for _, name := range []string{"LD_PRELOAD=", "LD_LIBRARY_PATH=", "NOTIFY_SOCKET="} {
		if strings.Contains(text, "\n"+name) {
			t.Errorf("environment holds %q:\n%s", name, text)
		}
	}
	pgid, pid := strings.TrimSpace(lines[len(lines)-2]), lines[len(lines)-1]
	if pgid != pid {
		t.Errorf("process group %s of process %s, want its own", pgid, pid)
	}
}

func TestRunAsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to change the user")
	}
	tests := []struct{ name, user, group, want string }{
		{"user and its group", "nobody", "", "65534 65534 65534"},
		{"user and another group", "nobody", "daemon", "65534 1 1"},
		{"group only", "", "daemon", "0 1 1"},
		{"numbers without an entry", "12345", "", "12345 12345 12345"},
		{"numbers", "12345", "23456", "12345 23456 23456"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			// The temporary directory's parent is closed to others.
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			c := sh(`echo $(id -u) $(id -g) $(id -G) > "$1"`, filepath.Join(dir, "out"))
			c.User, c.Group = tt.user, tt.group
			if r := c.Run(t.Context()); !r.OK() {
				t.Fatalf("run: %v", r)
			}
			b, err := os.ReadFile(filepath.Join(dir, "out"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(string(b)); got != tt.want {
				t.Errorf("uid, gid, groups: got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestStdinAndOutput(t *testing.T) {
	t.Parallel()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := sh(`cat; echo loud >&2`)
	c.Stdin, c.Output = []byte("told\n"), out
	if r := c.Run(t.Context()); !r.OK() {
		t.Fatalf("run: %v", r)
	}
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "told\nloud\n" {
		t.Errorf("output: got %q", got)
	}
	// A command that does not read what it is told is no failure.
	c = sh(`exit 0`)
	c.Stdin = []byte(strings.Repeat("x", 1<<15))
	if r := c.Run(t.Context()); !r.OK() {
		t.Errorf("unread input: %v", r)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		script string
		signal syscall.Signal
	}{
		{"ends on TERM", `sleep 1000`, syscall.SIGTERM},
		{"must be killed", `trap "" TERM; sleep 1000; sleep 1000`, syscall.SIGKILL},
		{"exits with 0 on TERM", `trap "exit 0" TERM; sleep 1000 & wait`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := sh(tt.script)
			c.Timeout = 100 * time.Millisecond
			r := c.Run(t.Context())
			if !r.TimedOut || r.OK() || r.Err != nil || r.Signal != int(tt.signal) || r.String() != "timed out" {
				t.Errorf("got %+v, want a time-out with signal %d", r, tt.signal)
			}
		})
	}
}

func TestTimeoutKillsWholeGroup(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "pid")
	c := sh(`trap "exit 3" TERM; (trap "" TERM; sleep 1000) & echo $! > "$1"; wait`, out)
	c.Timeout = 300 * time.Millisecond
	if r := c.Run(t.Context()); !r.TimedOut {
		t.Fatalf("got %+v, want a time-out", r)
	}
	pid := readPID(t, out)
	waitGone(t, pid)
}

func TestBackgroundChildOfFinishedCommandLives(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "pid")
	if r := sh(`sleep 1000 & echo $! > "$1"`, out).Run(t.Context()); !r.OK() {
		t.Fatalf("run: %v", r)
	}
	pid := readPID(t, out)
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("what a command left running in the background is gone: %v", err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	cause := errors.New("reload")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := sh("sleep 1000").Start(ctx)
	cancel(cause)
	r := <-done
	if !errors.Is(r.Err, cause) || r.OK() || r.TimedOut {
		t.Errorf("got %+v, want the cause of the cancellation", r)
	}
	if r := sh("exit 0").Run(ctx); !errors.Is(r.Err, cause) {
		t.Errorf("started with an ended context: %+v", r)
	}
}

// TestParentDeath kills a process that runs a command: the command must go too.
func TestParentDeath(t *testing.T) {
	if out := os.Getenv("PROCESS_TEST_PARENT"); out != "" {
		sh(`echo $$ > "$1"; exec sleep 1000`, out).Run(context.Background())
		return
	}
	t.Parallel()
	out := filepath.Join(t.TempDir(), "pid")
	parent := exec.Command(os.Args[0], "-test.run=^TestParentDeath$")
	parent.Env = append(os.Environ(), "PROCESS_TEST_PARENT="+out)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := readPID(t, out)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	waitGone(t, pid)
}

// readPID waits until a command has written its process id.
func readPID(t *testing.T, file string) int {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(file); err == nil && strings.HasSuffix(string(b), "\n") {
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("%s was not written in time", file)
	return 0
}

// waitGone waits until a process is dead; a zombie that nobody reaps counts as dead.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("process %d still lives", pid)
}
