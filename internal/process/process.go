package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How a command that has to end is brought to its end, as keepalived does it.
const (
	killAfter = 2 * time.Second
	killEvery = 10 * time.Second
)

// ErrNoCommand is the error of a Command without Argv.
var ErrNoCommand = errors.New("no command")

// Command is a configured command. The zero User and Group run it as this
// process runs. There is no shell: Argv[0] is a path, or a name looked up in PATH.
type Command struct {
	Argv []string
	// User and Group are names or numbers. A user without a group brings its
	// own primary group. Supplementary groups are dropped with either.
	User, Group string
	// Env is added to the environment, as "NAME=value".
	Env []string
	// Stdin is what the command reads on its standard input. It should fit into
	// a pipe (64 KiB): more keeps Run waiting as long as anything the command
	// left behind holds the pipe.
	Stdin []byte
	// Output takes what the command writes to standard output and standard
	// error; nil discards it.
	Output *os.File
	// Timeout limits the run, 0 for none.
	Timeout time.Duration
}

// Result is the end of one run.
type Result struct {
	// Status is the exit status, -1 when a signal ended the command or it
	// could not be started.
	Status int
	// Signal ended the command, 0 when it exited.
	Signal int
	// TimedOut says that the time-out passed; the command was killed.
	TimedOut bool
	Duration time.Duration
	// Err says why the command could not be started or was cancelled. An exit
	// status other than 0 is not an error here.
	Err error
}

// OK reports whether the command ran and exited with 0 in time.
func (r Result) OK() bool { return r.Err == nil && r.Status == 0 && !r.TimedOut }

// String says in a few words how the run ended: "exited with status 1",
// "killed by signal 9", "timed out".
func (r Result) String() string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case r.TimedOut:
		return "timed out"
	case r.Signal != 0:
		return fmt.Sprintf("killed by signal %d", r.Signal)
	}
	return fmt.Sprintf("exited with status %d", r.Status)
}

// Run starts the command and waits for its end. When ctx ends the command is
// killed as on a time-out and Result.Err is ctx's cause.
//
// The command is a child of the calling thread and inherits its network
// namespace; the thread is held until the command ended, since the
// parent-death signal follows the thread and not the process.
func (c Command) Run(ctx context.Context) Result { return c.run(ctx, func() {}) }

// run is Run; it calls started once when the command runs or cannot.
func (c Command) run(ctx context.Context, started func()) Result {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	cmd, err := c.start(ctx)
	started()
	if err != nil {
		return Result{Status: -1, Duration: time.Since(start), Err: err}
	}
	r := await(ctx, cmd, c.Timeout)
	r.Duration = time.Since(start)
	return r
}

// Start runs the command in a goroutine of its own and hands its Result to
// the returned channel, which has room for it: nobody need receive. When it
// returns the command has begun, or never will: so commands can be started in
// an order.
func (c Command) Start(ctx context.Context) <-chan Result {
	done, started := make(chan Result, 1), make(chan struct{})
	go func() { done <- c.run(ctx, func() { close(started) }) }()
	<-started
	return done
}

// start starts the command, or says which command and what is wrong with it.
func (c Command) start(ctx context.Context) (*exec.Cmd, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, ErrNoCommand
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	path, err := Resolve(c.Argv[0])
	if err != nil {
		return nil, err
	}
	cred, err := Credential(c.User, c.Group)
	if err != nil {
		return nil, fmt.Errorf("command %s: %w", path, err)
	}
	cmd := &exec.Cmd{
		Path: path,
		Args: c.Argv,
		Env:  environment(c.Env),
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:    true,
			Pdeathsig:  syscall.SIGTERM,
			Credential: cred,
		},
	}
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	if c.Output != nil {
		cmd.Stdout, cmd.Stderr = c.Output, c.Output
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start command: %w", err)
	}
	return cmd, nil
}

// await waits for the command's end, which it enforces after timeout or ctx.
func await(ctx context.Context, cmd *exec.Cmd, timeout time.Duration) Result {
	k := &killer{group: cmd.Process.Pid}
	stop := context.AfterFunc(ctx, func() { k.begin(false) })
	defer stop()
	if timeout > 0 {
		t := time.AfterFunc(timeout, func() { k.begin(true) })
		defer t.Stop()
	}
	waitUnreaped(cmd.Process.Pid)
	killed, timedOut := k.end()
	err := cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return Result{Status: -1, Err: fmt.Errorf("wait for command %s: %w", cmd.Path, err)}
	}
	r := Result{Status: cmd.ProcessState.ExitCode(), TimedOut: timedOut}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.Signal = int(ws.Signal())
	}
	if killed && !timedOut {
		r.Err = context.Cause(ctx)
	}
	return r
}

// waitUnreaped waits until the process ended and leaves it a zombie, so that
// its id cannot be somebody else's while it may still be signalled.
func waitUnreaped(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// killer ends a process group by steps.
type killer struct {
	mu       sync.Mutex
	group    int
	began    bool
	timedOut bool
	ended    bool
	timer    *time.Timer
}

// begin sends SIGTERM and arms the steps that follow.
func (k *killer) begin(timedOut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.began || k.ended {
		return
	}
	k.began, k.timedOut = true, timedOut
	k.signal(syscall.SIGTERM)
	k.timer = time.AfterFunc(killAfter, k.kill)
}

// kill sends SIGKILL, and again later: a process stuck in the kernel dies
// when it comes out.
func (k *killer) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	k.signal(syscall.SIGKILL)
	k.timer = time.AfterFunc(killEvery, k.kill)
}

// signal sends to the whole group. Its only error is that nobody is left.
func (k *killer) signal(s syscall.Signal) { _ = syscall.Kill(-k.group, s) }

// end says that the leader is dead: nothing is signalled any more, but for
// what is left of a group that had to be killed. It reports whether it had to
// be, and whether for a time-out.
func (k *killer) end() (killed, timedOut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	if k.timer != nil {
		k.timer.Stop()
	}
	if k.began {
		k.signal(syscall.SIGKILL)
	}
	return k.began, k.timedOut
}
