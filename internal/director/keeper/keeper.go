package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// lifelineFD is the descriptor under which a child finds its lifeline.
const lifelineFD = 3

// stopLimit bounds an orderly stop; a director that hangs longer is killed
// and its leavings are released.
const stopLimit = 15 * time.Second

// Spec says how processes of this binary are started. The functions return the
// arguments after the program's name.
type Spec struct {
	// Director starts a director with its lifeline on descriptor fd.
	Director func(fd int, resume bool) []string
	// Release takes away what a dead director left on the host, then exits.
	Release func() []string
	// Keeper starts a keeper for the running director pid.
	Keeper func(fd, pid int) []string
	// Serving is called once, when a director of this keeper serves for the first
	// time; nil for nobody. It is not called by a keeper that adopts one.
	Serving func()
	// NoRestart: a director that dies is not replaced; what it left is released.
	NoRestart bool
	Log       *slog.Logger
}

// Signals that a director answers with a dump, by keepalived's numbers: those
// that glibc gives SIGRTMAX-1 and SIGRTMIN+2.
const (
	SignalData       = unix.SIGUSR1
	SignalStats      = unix.SIGUSR2
	SignalStatsClear = unix.Signal(63)
	SignalJSON       = unix.Signal(36)
)

// DumpSignals are all of them; a keeper passes them on.
var DumpSignals = []os.Signal{SignalData, SignalStats, SignalStatsClear, SignalJSON}

// Run starts a director and keeps it alive. It returns the exit status of the
// director that ended in an orderly way.
func Run(spec Spec) (int, error) {
	// Before the director: a signal in between would end the keeper alone.
	k := newKeeper(spec)
	defer signal.Stop(k.signals)
	if err := k.start(false); err != nil {
		return 0, err
	}
	return k.loop()
}

// Adopt keeps a director that runs already, with the lifeline on descriptor fd.
func Adopt(spec Spec, fd, pid int) (int, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return 0, fmt.Errorf("lifeline descriptor %d: %w", fd, err)
	}
	k := newKeeper(spec)
	defer signal.Stop(k.signals)
	k.line, k.pid, k.ready = os.NewFile(uintptr(fd), "lifeline"), pid, true
	k.tell(fmt.Sprintf("MAINPID=%d", os.Getpid()))
	return k.loop()
}

// NewKeeper is called by a director whose keeper is gone: it starts the next
// one and returns the new lifeline.
func NewKeeper(spec Spec) (*Lifeline, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	cmd, err := spawn(spec.Keeper(lifelineFD, os.Getpid()), theirs)
	theirs.Close()
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("start a new keeper: %w", err)
	}
	go cmd.Wait() //nolint:errcheck // only reaps: the lifeline tells when it is gone
	return newLifeline(ours), nil
}

func spawn(args []string, line *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	if line != nil {
		cmd.ExtraFiles = []*os.File{line}
	}
	return cmd, cmd.Start()
}

// keeper is one keeper's state; all of it belongs to the goroutine of loop.
type keeper struct {
	spec     Spec
	signals  chan os.Signal
	policy   policy
	line     *os.File
	pid      int
	ready    bool
	stopping bool
	// restarted: the present director follows one that died.
	restarted bool
	child     *exec.Cmd // nil for an adopted director
}

func newKeeper(spec Spec) *keeper {
	k := &keeper{spec: spec, signals: make(chan os.Signal, 8)}
	// SIGPIPE too: who reads the log may go away, and the director goes on.
	signal.Notify(k.signals, append([]os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE}, DumpSignals...)...)
	return k
}

func (k *keeper) start(resume bool) error {
	ours, theirs, err := pair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	cmd, err := spawn(k.spec.Director(lifelineFD, resume), theirs)
	if err != nil {
		ours.Close()
		return fmt.Errorf("start the director: %w", err)
	}
	k.line, k.pid, k.ready, k.child = ours, cmd.Process.Pid, false, cmd
	return nil
}

// loop serves one director after another until one ends in an orderly way.
func (k *keeper) loop() (int, error) {
	for {
		code, orderly := k.serve()
		k.reap()
		if orderly {
			if code != 0 && k.restarted && !k.ready {
				k.release() // the successor refused: what the dead one left is nobody's
			}
			return code, nil
		}
		if k.stopping {
			k.release()
			if !k.ready {
				return 0, nil // it was asked to stop before it had begun
			}
			return 1, errors.New("the director died while stopping; its addresses were released")
		}
		if k.spec.NoRestart {
			k.release()
			return 1, errors.New("the director died and is not restarted, as asked for")
		}
		if err := k.restart(); err != nil {
			k.release()
			return 1, err
		}
	}
}

// serve waits for the end of the present director. Signals are passed on.
func (k *keeper) serve() (code int, orderly bool) {
	messages := make(chan message, 4)
	go listen(k.line, messages)
	var limit <-chan time.Time
	for {
		select {
		case m := <-messages:
			switch {
			case m.ready:
				k.ready = true
				k.tell(daemon.SdNotifyReady)
				k.serving()
			case m.bye:
				code, orderly = m.code, true
			case m.gone:
				return code, orderly
			}
		case s := <-k.signals:
			k.forward(s)
			if k.stopping && limit == nil {
				limit = time.After(stopLimit)
			}
		case <-limit:
			k.spec.Log.Error("the director does not stop: killing it", "pid", k.pid)
			k.kill(unix.SIGKILL)
		}
	}
}

func (k *keeper) serving() {
	if k.spec.Serving != nil {
		k.spec.Serving()
		k.spec.Serving = nil
	}
}

// reap closes the lifeline and collects the child, whose end the lifeline told.
func (k *keeper) reap() {
	k.line.Close()
	if k.child == nil {
		return
	}
	err := k.child.Wait()
	if !k.stopping && err != nil {
		k.spec.Log.Debug("the director ended", "pid", k.pid, "status", k.child.ProcessState.String())
	}
}

func (k *keeper) restart() error {
	v := k.policy.Crashed(time.Now(), k.ready)
	k.restarted = true
	k.spec.Log.Error("the director died: starting the next one",
		"pid", k.pid, "resume", v.Resume, "delay", v.Delay.String())
	if v.Release {
		k.release()
	}
	if v.Delay > 0 {
		select {
		case <-time.After(v.Delay):
		case s := <-k.signals:
			if s == unix.SIGTERM || s == unix.SIGINT {
				return errors.New("stopped while waiting to restart a director that keeps dying")
			}
		}
	}
	return k.start(v.Resume)
}

func (k *keeper) forward(s os.Signal) {
	sig, ok := s.(unix.Signal)
	if !ok || sig == unix.SIGPIPE {
		return
	}
	if sig == unix.SIGINT {
		sig = unix.SIGTERM
	}
	if sig == unix.SIGTERM && !k.stopping {
		k.stopping = true
		k.tell(daemon.SdNotifyStopping)
	}
	k.kill(sig)
}

func (k *keeper) kill(sig unix.Signal) {
	if err := unix.Kill(k.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		k.spec.Log.Error("signal the director", "pid", k.pid, "signal", unix.SignalName(sig), "err", err)
	}
}

// tell informs systemd, when it started us (sd_notify(3)). NotifyAccess=all is
// needed for a keeper that was started by the director.
func (k *keeper) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		k.spec.Log.Warn("tell the service manager", "state", state, "err", err)
	}
}

// release runs the process that takes away what a dead director left.
func (k *keeper) release() {
	cmd, err := spawn(k.spec.Release(), nil)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		k.spec.Log.Error("release what the dead director left", "err", err, "fix", "start kaname again, or remove its addresses by hand")
	}
}
