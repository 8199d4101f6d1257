package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/director"
	"github.com/kaname-lb/kaname/internal/finding"
)

// asKeepalived starts the other processes of a run as keepalived; keepalived's
// options stand behind "--".
const asKeepalived = "--as-keepalived"

// netnsDir is where ip-netns(8) has its names.
const netnsDir = "/run/netns"

// tellFD is where a process in the background finds its pipe.
const tellFD = 3

// keepalivedRun starts a director as keepalived does: in the background, but
// for -n.
func (a *app) keepalivedRun(ctx context.Context, o keepalived.Options) int {
	if err := a.settle(&o); err != nil {
		fmt.Fprintln(a.env.Stderr, "kaname:", err)
		return exitFace
	}
	r := &run{app: a}
	r.wear(&o)
	log := r.faceLogger()
	for _, file := range []string{o.PID, o.VRRPPID, o.CheckersPID} {
		if pid, ok := living(file); ok {
			log.Warn("daemon is already running", "pid", pid, "file", file)
			return ExitOK // as keepalived 2.2.7
		}
	}
	if o.Umask >= 0 {
		unix.Umask(o.Umask)
	}
	switch {
	case !o.DontFork:
		return a.background(&o)
	case o.Namespace != "":
		return a.moved(&o)
	}
	return a.status(r.play(ctx))
}

// settle fills in what the file says about the daemon itself. Whether the file
// is good is the director's matter.
func (a *app) settle(o *keepalived.Options) error {
	var err error
	if o.File, err = filepath.Abs(o.File); err != nil { // the working directory will be /
		return err
	}
	id := o.ConfigID
	if id == "" {
		id = a.configID()
	}
	cfg, _, _ := config.Load(a.env.Files, o.File, a.loadOptions(id))
	o.Settle(cfg.Process)
	return nil
}

// background starts the keeper without a terminal and returns when its
// director serves, or with its status when it does not.
func (a *app) background(o *keepalived.Options) int {
	told, tell, err := os.Pipe()
	if err != nil {
		return a.status(err)
	}
	defer told.Close()
	var cmd *exec.Cmd
	err = inNamespace(o.Namespace, func() error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd = exec.Command(self, a.partArgs(o, "--tell", strconv.Itoa(tellFD))...)
		cmd.Args[0] = "keepalived"
		cmd.Dir = "/"
		cmd.ExtraFiles = []*os.File{tell}
		cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		return cmd.Start()
	})
	tell.Close()
	if err != nil {
		return a.status(err)
	}
	if n, _ := told.Read(make([]byte, 1)); n == 1 {
		return ExitOK
	}
	// It ended, or is about to: the pipe's other end is gone.
	_ = cmd.Wait() // the state has it
	return cmd.ProcessState.ExitCode()
}

// moved goes on in another network namespace: only a process that starts there
// has all its threads there.
func (a *app) moved(o *keepalived.Options) int {
	return a.status(inNamespace(o.Namespace, func() error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		return unix.Exec(self, append([]string{"keepalived"}, a.partArgs(o)...), os.Environ())
	}))
}

func (a *app) partArgs(o *keepalived.Options, more ...string) []string {
	return append(append(append([]string{"run", asKeepalived}, more...), "--"), o.Args()...)
}

// inNamespace calls f on a thread in the named network namespace, which
// processes started by it inherit; "" is the present one. The thread is not
// used for anything else.
func inNamespace(name string, f func() error) error {
	if name == "" {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		done <- func() error {
			fd, err := unix.Open(filepath.Join(netnsDir, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("network namespace %s: %w: make it with ip netns add %[1]s", name, err)
			}
			defer func() { _ = unix.Close(fd) }() // it was only read
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("network namespace %s: %w", name, err)
			}
			return f()
		}()
	}()
	return <-done
}

// living reports the process that a pid file names, when it runs and is a
// keepalived or kaname: numbers are used again.
func living(file string) (int, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 || pid == os.Getpid() {
		return 0, false
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return 0, false
	}
	name := strings.TrimSpace(string(comm))
	return pid, strings.HasPrefix(name, "keepalived") || strings.HasPrefix(name, "kaname")
}

// removeStale removes a pid file that names nobody who is living.
func removeStale(file string) error {
	if _, ok := living(file); ok {
		return nil
	}
	if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// wear makes the run that of keepalived with these options.
func (r *run) wear(o *keepalived.Options) {
	r.face = o
	r.file, r.configID, r.verbose = o.File, o.ConfigID, o.LogDetail
	r.instance, r.runDir, r.pinDir = o.Instance, o.RunDir, o.PinDir
}

// faceLogger logs as keepalived does: to syslog, and to the console with -l. A
// process in the foreground that has neither uses the console.
func (r *run) faceLogger() *slog.Logger {
	var outs []func(keepalived.Line)
	if !r.face.NoSyslog {
		if out, err := keepalived.Syslog(r.face.Facility); err == nil {
			outs = append(outs, out)
		}
	}
	if r.face.LogConsole || len(outs) == 0 && r.face.DontFork && !r.face.NoSyslog {
		outs = append(outs, keepalived.Console(r.env.Stderr, time.Now))
	}
	return slog.New(&keepalived.Handler{
		Detail: r.face.LogDetail, Ident: keepalived.IdentParent,
		Out: func(l keepalived.Line) {
			for _, out := range outs {
				out(l)
			}
		},
	})
}

// faceOptions are what a director does otherwise when it was started as
// keepalived.
func (r *run) faceOptions(o *director.Options) {
	f := r.face
	o.PIDFiles = director.PIDFiles{VRRP: f.VRRPPID, Checks: f.CheckersPID}
	o.ShowSecrets, o.DumpAtStart, o.Namespace, o.StrictIncludes = f.ShowSecrets, f.DumpConf, f.Namespace, f.AllConfig
	o.KeepAddresses, o.KeepDataplane = f.KeepVRRP, f.KeepIPVS
	if f.VRRP != f.Check && !f.All {
		o.Only = "checks"
		if f.VRRP {
			o.Only = "vrrp"
		}
	}
	if f.Umask >= 0 {
		o.Umask = &f.Umask
	}
	log := o.Log
	o.Stderr = logged{log}
	o.Report = func(found finding.Finding) {
		switch {
		case found.Severity == finding.Error:
			log.Error(keepalived.Message(found))
		case keepalived.Told(found, f.LogDetail):
			log.Warn(keepalived.Message(found))
		}
	}
	name(log)
}

// logged makes lines of text records of the log.
type logged struct{ log *slog.Logger }

func (w logged) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		w.log.Error(strings.TrimSuffix(line, "\n"))
	}
	return len(b), nil
}

// keepAsKeepalived is a keeper with keepalived's pid file and its first and
// last lines.
func (r *run) keepAsKeepalived(log *slog.Logger, serve func() (int, error)) (int, error) {
	name(log)
	if r.tell != 0 {
		unix.CloseOnExec(r.tell)
	}
	if err := director.WritePIDFile(r.face.PID); err != nil {
		log.Error("pid file", "file", r.face.PID, "reason", err)
	}
	if r.role == "" {
		log.Info("Starting " + keepalived.VersionLine(Version()))
		log.Info("Configuration file " + r.file)
		for _, what := range r.face.NoEffect() {
			log.Warn(what)
		}
	}
	code, err := serve()
	// A director that was killed has left its files.
	err = errors.Join(err, director.RemovePIDFile(r.face.PID), removeStale(r.face.VRRPPID), removeStale(r.face.CheckersPID))
	for dir := filepath.Dir(r.face.PID); keepalived.OwnPIDDir(dir); dir = filepath.Dir(dir) {
		_ = os.Remove(dir) // not when another's file is in it
	}
	if err != nil {
		log.Error(err.Error())
		code = max(code, director.ExitFailure)
	}
	log.Info("Stopped " + keepalived.VersionLine(Version()))
	return code, nil // it is told
}

// name makes the process keepalived in ps and for killall. The threads keep
// theirs.
func name(log *slog.Logger) {
	if err := os.WriteFile("/proc/self/comm", []byte("keepalived"), 0); err != nil {
		log.Debug("process not named", "reason", err)
	}
}

// serving tells the process that the shell waits for that the director serves.
func (r *run) serving() {
	if r.tell == 0 {
		return
	}
	f := os.NewFile(uintptr(r.tell), "tell")
	_, _ = f.Write([]byte{1}) // who waited may be gone
	f.Close()
}
