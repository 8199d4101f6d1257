package keeper_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/director/keeper"
)

// The test binary plays all parts: TestMain looks at the first argument.
const (
	asKeeper   = "as-keeper"
	asAdopter  = "as-adopter"
	asDirector = "as-director"
	asRelease  = "as-release"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		dir := os.Args[2]
		switch os.Args[1] {
		case asKeeper:
			note(dir, "keeper")
			os.Exit(outcome(keeper.Run(spec(dir))))
		case asAdopter:
			note(dir, "keeper")
			os.Exit(outcome(keeper.Adopt(spec(dir), number(os.Args[3]), number(os.Args[4]))))
		case asDirector:
			os.Exit(direct(dir, number(os.Args[3]), os.Args[4]))
		case asRelease:
			note(dir, "release")
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func outcome(code int, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	return code
}

func spec(dir string) keeper.Spec {
	_, err := os.Stat(filepath.Join(dir, "once"))
	return keeper.Spec{
		NoRestart: err == nil,
		Serving:   func() { touch(dir, "serving") },
		Director: func(fd int, resume bool) []string {
			return []string{asDirector, dir, strconv.Itoa(fd), strconv.FormatBool(resume)}
		},
		Release: func() []string { return []string{asRelease, dir} },
		Keeper: func(fd, pid int) []string {
			return []string{asAdopter, dir, strconv.Itoa(fd), strconv.Itoa(pid)}
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

// direct is a director that serves until SIGTERM, or dies at once as long as
// the file "crash" is there.
func direct(dir string, fd int, resume string) int {
	line, err := keeper.Attach(fd)
	if err != nil {
		panic(err)
	}
	note(dir, "director resume="+resume)
	if _, err := os.Stat(filepath.Join(dir, "crash")); err == nil {
		return 2 // no bye: a crash, whatever the status
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	if err := line.Ready(); err != nil {
		panic(err)
	}
	for {
		select {
		case <-line.Lost():
			if line, err = keeper.NewKeeper(spec(dir)); err != nil {
				panic(err)
			}
		case <-stop:
			if err := line.Bye(7); err != nil {
				panic(err)
			}
			return 7
		}
	}
}

// note appends "ROLE PID" to the journal: one write, so that lines stay whole.
func note(dir, role string) {
	f, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %d\n", role, os.Getpid())
}

func touch(dir, name string) {
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
		panic(err)
	}
}

// play starts a keeper in a fresh directory with the named files.
func play(t *testing.T, files ...string) (dir string, cmd *exec.Cmd) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range files {
		touch(dir, name)
	}
	cmd = exec.Command(os.Args[0], asKeeper, dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, l := range journal(dir) {
			unix.Kill(l.pid, unix.SIGKILL)
		}
	})
	return dir, cmd
}

type entry struct {
	role string
	pid  int
}

func journal(dir string) []entry {
	f, err := os.Open(filepath.Join(dir, "journal"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []entry
	for s := bufio.NewScanner(f); s.Scan(); {
		i := strings.LastIndexByte(s.Text(), ' ')
		out = append(out, entry{s.Text()[:i], number(s.Text()[i+1:])})
	}
	return out
}

// await polls until the journal has n entries and returns the last.
func await(t *testing.T, dir string, n int) entry {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if j := journal(dir); len(j) >= n {
			return j[n-1]
		}
	}
	t.Fatalf("journal has %v, want %d entries", journal(dir), n)
	return entry{}
}

// settled waits until the director has said that it is ready: it then waits
// in poll, and a kill is answered by a resume.
func settled(t *testing.T) { t.Helper(); time.Sleep(100 * time.Millisecond) }

func TestDirectorKilledIsResumed(t *testing.T) {
	dir, cmd := play(t)
	first := await(t, dir, 2)
	settled(t)
	unix.Kill(first.pid, unix.SIGKILL)
	next := await(t, dir, 3)
	if next.role != "director resume=true" {
		t.Fatalf("after a kill came %q, want a director that resumes", next.role)
	}
	settled(t)
	unix.Kill(cmd.Process.Pid, unix.SIGTERM)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit status %d, want the director's 7", code)
	}
}

func TestKeeperKilledIsReplaced(t *testing.T) {
	dir, cmd := play(t)
	director := await(t, dir, 2)
	settled(t)
	cmd.Process.Kill()
	cmd.Wait()
	second := await(t, dir, 3)
	if second.role != "keeper" {
		t.Fatalf("after the keeper's death came %q, want a keeper", second.role)
	}
	settled(t)
	// The adopted director dies too: the new keeper must notice without being its parent.
	unix.Kill(director.pid, unix.SIGKILL)
	if next := await(t, dir, 4); next.role != "director resume=true" {
		t.Fatalf("after the director's death came %q, want a director that resumes", next.role)
	}
	settled(t)
	unix.Kill(second.pid, unix.SIGTERM)
	gone(t, second.pid)
	for _, e := range journal(dir) {
		gone(t, e.pid)
	}
}

// TestNoRestart: what a director left is released, and that is the end.
func TestNoRestart(t *testing.T) {
	dir, cmd := play(t, "once")
	first := await(t, dir, 2)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "serving")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody was told that the director serves")
		}
	}
	unix.Kill(first.pid, unix.SIGKILL)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 99 {
		t.Errorf("exit status %d, want that of an error", code)
	}
	var roles []string
	for _, e := range journal(dir) {
		roles = append(roles, e.role)
	}
	if got, want := strings.Join(roles, ", "), "keeper, director resume=false, release"; got != want {
		t.Errorf("processes: %s, want %s", got, want)
	}
}

func TestCrashLoopReleases(t *testing.T) {
	dir, cmd := play(t)
	first := await(t, dir, 2)
	settled(t)
	if err := os.WriteFile(filepath.Join(dir, "crash"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unix.Kill(first.pid, unix.SIGKILL)
	want := []string{"keeper", "director resume=false", "director resume=true", "director resume=false", "release"}
	await(t, dir, len(want))
	for i, e := range journal(dir)[:len(want)] {
		if e.role != want[i] {
			t.Errorf("entry %d: %q, want %q", i, e.role, want[i])
		}
	}
	unix.Kill(cmd.Process.Pid, unix.SIGTERM)
	cmd.Wait()
}

func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}
