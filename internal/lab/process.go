package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Program is a program to start in a host.
type Program struct {
	Args []string // Args[0] is looked up in PATH
	// Env is added to the environment of the lab's process. LAB_HOST_DIR is
	// always set, to Host.Dir.
	Env []string
	// Name is the base name of its log, by default that of Args[0].
	Name string
	// Notify gives it a NOTIFY_SOCKET (sd_notify(3)) for Process.WaitReady.
	Notify bool
}

// Process is a program running in a host.
type Process struct {
	host    *Host
	cmd     *exec.Cmd
	logPath string
	notify  *net.UnixConn
	exited  chan struct{}
	result  error // valid once exited is closed
}

// Start starts a program in the host. Its standard output and error go to a
// log file. It is killed when the lab ends, however the lab ends; its children
// are killed by Close or, if the lab crashed, by the next CleanStale.
func (h *Host) Start(p Program) (*Process, error) {
	if len(p.Args) == 0 {
		return nil, fmt.Errorf("host %s: start: no program named", h.spec.Name)
	}
	if p.Name == "" {
		p.Name = filepath.Base(p.Args[0])
	}
	h.mu.Lock()
	h.starts++
	n := h.starts
	h.mu.Unlock()
	proc := &Process{host: h, exited: make(chan struct{}), logPath: filepath.Join(h.Dir(), fmt.Sprintf("%s.%d.log", p.Name, n))}
	env := append(os.Environ(), "LAB_HOST_DIR="+h.Dir())
	env = append(env, p.Env...)
	if p.Notify {
		sock := filepath.Join(h.Dir(), fmt.Sprintf("notify.%d", n))
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: sock, Net: "unixgram"})
		if err != nil {
			return nil, fmt.Errorf("host %s: notify socket: %w", h.spec.Name, err)
		}
		proc.notify = conn
		env = append(env, "NOTIFY_SOCKET="+sock)
	}
	if err := proc.start(p, env); err != nil {
		if proc.notify != nil {
			_ = proc.notify.Close() // the start has failed already
		}
		return nil, fmt.Errorf("host %s: start %s: %w", h.spec.Name, p.Args[0], err)
	}
	h.mu.Lock()
	h.procs = append(h.procs, proc)
	h.mu.Unlock()
	return proc, nil
}

func (p *Process) start(prog Program, env []string) error {
	log, err := os.Create(p.logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := p.host.programs.do(func() error {
		p.cmd = exec.Command(prog.Args[0], prog.Args[1:]...)
		p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, log, log
		p.cmd.SysProcAttr = programAttr()
		return p.cmd.Start()
	}); err != nil {
		return err
	}
	go func() {
		p.result = p.cmd.Wait()
		close(p.exited)
		if p.notify != nil {
			// Wakes WaitReady, which then finds exited closed. The socket stays:
			// a successor of the process may go on using it (MAINPID).
			_ = p.notify.SetReadDeadline(time.Unix(1, 0))
		}
	}()
	return nil
}

// programAttr keeps a terminal's Ctrl-C from the program (the lab decides who
// dies) and binds its life to the lab's.
func programAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// PID is the process id, as the machine sees it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode is the exit status, or -1 while it runs or when a signal ended it.
func (p *Process) ExitCode() int {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// Signal sends a signal to the process alone, not to its children.
func (p *Process) Signal(s unix.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("host %s: %s to process %d: %w", p.host.spec.Name, s, p.PID(), err)
	}
	return nil
}

// forgetNotify closes the notify socket; the process and its successors are
// gone.
func (p *Process) forgetNotify() {
	if p.notify != nil {
		_ = p.notify.Close() // nobody is left who would care
	}
}

// Kill is kill -9 of the process alone.
func (p *Process) Kill() error { return p.Signal(unix.SIGKILL) }

// Wait waits for the end of the process and returns its outcome as os/exec
// does; or the error of ctx.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.result
	case <-ctx.Done():
		return fmt.Errorf("host %s: process %d still runs: %w", p.host.spec.Name, p.PID(), ctx.Err())
	}
}

// Log is what the process has written so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// WaitReady waits until the process says READY=1 on its notify socket. It
// fails at once when the process ends, with the end of its log.
func (p *Process) WaitReady(ctx context.Context) error {
	if p.notify == nil {
		return errors.New("the program was started without Notify")
	}
	stop := context.AfterFunc(ctx, func() { _ = p.notify.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 4096)
	for {
		n, _, err := p.notify.ReadFromUnix(buf)
		if err != nil {
			return fmt.Errorf("host %s: process %d is not ready: %w; its log ends:\n%s", p.host.spec.Name, p.PID(), p.why(ctx, err), tail(p.Log(), 20))
		}
		for line := range strings.SplitSeq(string(buf[:n]), "\n") {
			if line == "READY=1" {
				return nil
			}
		}
	}
}

func (p *Process) why(ctx context.Context, err error) error {
	select {
	case <-p.exited:
		if p.result != nil {
			return p.result
		}
		return errors.New("it ended with status 0")
	default:
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// tail is the last n lines of s.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Run runs a program in the host to its end and returns its standard output.
// A failure tells what it wrote to standard error; the output is returned too.
func (h *Host) Run(ctx context.Context, args ...string) (string, error) {
	if len(args) == 0 {
		return "", fmt.Errorf("host %s: run: no program named", h.spec.Name)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = programAttr()
	// A grandchild that keeps the pipe open must not keep us.
	cmd.WaitDelay = time.Second
	if err := h.programs.do(cmd.Start); err != nil {
		return "", fmt.Errorf("host %s: run %s: %w", h.spec.Name, args[0], err)
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("host %s: run %s: %w: %s", h.spec.Name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// PIDs are all living processes of the host, with those that its programs
// started.
func (h *Host) PIDs() ([]int, error) { return processesIn(h.id) }

// KillAll is kill -9 of every process in the host at once, its cables left
// plugged in.
func (h *Host) KillAll() error {
	if err := killAll(h.id); err != nil {
		return fmt.Errorf("host %s: %w", h.spec.Name, err)
	}
	return nil
}
