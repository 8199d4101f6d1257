package parity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/cli"
)

// keepalived is the program whose verdict counts, 2.2.7 of Debian.
const keepalived = "/usr/sbin/keepalived"

// stage is where both programs look at the files: a network namespace without
// a name, with eth0 and eth1, and a directory. Both go with the test.
type stage struct {
	dir string
	ns  *os.File
}

func newStage(t *testing.T) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	if _, err := os.Stat(keepalived); err != nil {
		t.Skipf("compares with keepalived 2.2.7, which is not installed: %v", err)
	}
	if out, err := exec.Command(keepalived, "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), "Keepalived v2.2.7 ") {
		t.Fatalf("the verdicts are those of keepalived 2.2.7; here is: %s %v", out, err)
	}
	s := &stage{dir: t.TempDir()}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		made <- s.makeNamespace()
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ns.Close() })
	return s
}

// network is what the files may name.
const network = `
link set lo up
link add eth0 type veth peer name eth1
addr add 10.0.0.1/24 dev eth0
addr add 10.1.0.1/24 dev eth1
addr add fd00::1/64 dev eth0 nodad
link set eth0 up
link set eth1 up`

func (s *stage) makeNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	for line := range strings.Lines(strings.TrimSpace(network)) {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.TrimSpace(line), err, out)
		}
	}
	var err error
	s.ns, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	return err
}

// write puts a file into the stage's directory and returns its path.
func (s *stage) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// verdict is how a program ended, and what it said.
type verdict struct {
	exit int
	said string
}

// workers is how many programs run at once; there are other tests.
const workers = 2

// each runs do for every number below n, in threads that are in the namespace.
func (s *stage) each(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	jobs, errs := make(chan int), make(chan error, n+workers)
	for range workers {
		wg.Go(func() {
			runtime.LockOSThread()
			err := unix.Setns(int(s.ns.Fd()), unix.CLONE_NEWNET)
			for i := range jobs {
				if err == nil {
					errs <- do(i)
				}
			}
			errs <- err
		})
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// patience is how long a program may look at a file before it counts as hanging,
// exit code 124 as of timeout(1).
const patience = 5 * time.Second

// ask has a program test a file. A program that a signal ended exits with 128
// and the signal's number, as a shell says it.
func (s *stage) ask(program, file string) (verdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-t", "-f", file)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	v := verdict{said: string(out)}
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		v.exit = 124
	case errors.As(err, &ended):
		v.exit = ended.ExitCode()
		if st, ok := ended.Sys().(syscall.WaitStatus); ok && st.Signaled() {
			v.exit = 128 + int(st.Signal())
		}
	case err != nil:
		return v, fmt.Errorf("%s -t -f %s: %w", program, file, err)
	}
	return v, nil
}

// call has kaname test a file under the name of keepalived, without a process of
// its own: that costs more than the test.
func (s *stage) call(file string) verdict {
	var said bytes.Buffer
	env := cli.OSEnv()
	env.Stdout, env.Stderr = &said, &said
	code := cli.Main(context.Background(), env, []string{"keepalived", "-t", "-f", filepath.Join(s.dir, file)})
	return verdict{code, said.String()}
}
