package cli

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/director"
	"github.com/kaname-lb/kaname/internal/director/keeper"
)

// The parts that one `kaname run` plays as several processes (package keeper).
const (
	roleKeeper   = "keeper"
	roleDirector = "director"
	roleRelease  = "release"
)

// run is one call of `kaname run`.
type run struct {
	*app
	file, pinDir, configID string
	verbose                bool
	// Hidden: the part of this process, its lifeline, and what belongs to it.
	role        string
	lifeline    int
	directorPID int
	resume      bool
	// face is how it was started as keepalived; nil for `kaname run`.
	face *keepalived.Options
	// tell is the descriptor of the pipe to the process that the shell waits
	// for, when this one was put into the background; 0 for none.
	tell int
}

func newRun(a *app) *cobra.Command {
	r := &run{app: a}
	var asFace bool
	c := &cobra.Command{
		Use:   "run -f FILE",
		Short: "Be a director: elect, check, balance (in the foreground)",
		Long: "run is the daemon. It stays in the foreground and logs to standard error.\n" +
			"SIGHUP reloads the file (a bad one is refused and the old one goes on);\n" +
			"SIGTERM releases everything and ends. It is two processes: a keeper and the\n" +
			"director, each of which replaces the other if it is killed.\n\n" +
			"Exit status: see docs/exit-codes.md.",
		Args: func(c *cobra.Command, given []string) error {
			if asFace {
				return nil // they are keepalived's
			}
			return args(cobra.NoArgs)(c, given)
		},
		RunE: func(c *cobra.Command, given []string) error {
			if asFace {
				face := keepalived.Parse(given).Options
				r.wear(&face)
			}
			return r.play(c.Context())
		},
	}
	f := c.Flags()
	f.StringVarP(&r.file, "file", "f", "/etc/keepalived/keepalived.conf", "configuration `FILE`")
	f.StringVar(&r.pinDir, "pin-dir", "", "`DIR` in a bpffs for pinned programs and maps (default /sys/fs/bpf/kaname/NAME)")
	f.StringVar(&r.configID, "config-id", "", "`ID` that @ID lines are compared with (default the host name up to the first dot)")
	f.BoolVarP(&r.verbose, "verbose", "v", false, "log each operation on the host too")
	f.StringVar(&r.role, "role", "", "")
	f.IntVar(&r.lifeline, "lifeline", 0, "")
	f.IntVar(&r.directorPID, "director", 0, "")
	f.BoolVar(&r.resume, "resume", false, "")
	f.BoolVar(&asFace, asKeepalived[2:], false, "")
	f.IntVar(&r.tell, "tell", 0, "")
	for _, name := range []string{"role", "lifeline", "director", "resume", asKeepalived[2:], "tell"} {
		if err := f.MarkHidden(name); err != nil {
			panic(err) // the flag was defined above
		}
	}
	return c
}

func (r *run) play(ctx context.Context) error {
	if _, err := r.socket(); err != nil {
		return err
	}
	file, err := filepath.Abs(r.file)
	if err != nil {
		return err
	}
	r.file = file
	log := r.logger()
	var code int
	switch r.role {
	case "":
		code, err = r.keep(log, func() (int, error) { return keeper.Run(r.spec(log)) })
	case roleKeeper:
		code, err = r.keep(log, func() (int, error) { return keeper.Adopt(r.spec(log), r.lifeline, r.directorPID) })
	case roleDirector:
		code = director.Run(ctx, r.options(log), func() (*keeper.Lifeline, error) {
			return keeper.NewKeeper(r.spec(log))
		})
	case roleRelease:
		code = director.Release(r.options(log))
	default:
		return usageError("--role %q: no such part", r.role)
	}
	if err == nil && code == 0 {
		return nil
	}
	return &exitError{code, err} // a director has told its own error
}

// keep is the part of a keeper, with the pid file that it has as keepalived.
func (r *run) keep(log *slog.Logger, serve func() (int, error)) (int, error) {
	if r.face != nil {
		return r.keepAsKeepalived(log, serve)
	}
	return serve()
}

func (r *run) logger() *slog.Logger {
	if r.face != nil {
		return r.faceLogger()
	}
	level := slog.LevelInfo
	if r.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(r.env.Stderr, &slog.HandlerOptions{Level: level}))
}

func (r *run) options(log *slog.Logger) director.Options {
	o := director.Options{
		File:       r.file,
		Instance:   r.instance,
		RunDir:     r.runDir,
		PinDir:     r.pinDir,
		ConfigID:   r.configID,
		Version:    Version(),
		Resume:     r.resume,
		LifelineFD: r.lifeline,
		Stderr:     r.env.Stderr,
		Log:        log,
	}
	if r.face != nil {
		r.faceOptions(&o)
	}
	return o
}

// spec says how the other processes of this run are started: with the same
// options, and their part.
func (r *run) spec(log *slog.Logger) keeper.Spec {
	same := func(role string, more ...string) []string {
		if r.face != nil {
			line := append([]string{"run", asKeepalived, "--role", role}, more...)
			return append(append(line, "--"), r.face.Args()...)
		}
		line := []string{
			"run", "--file", r.file, "--instance", r.instance, "--run-dir", r.runDir,
			"--pin-dir", r.pinDir, "--config-id", r.configID, fmt.Sprintf("--verbose=%t", r.verbose),
			"--role", role,
		}
		return append(line, more...)
	}
	return keeper.Spec{
		Serving: r.serving, NoRestart: r.face != nil && r.face.NoRespawn,
		Director: func(fd int, resume bool) []string {
			return same(roleDirector, "--lifeline", strconv.Itoa(fd), fmt.Sprintf("--resume=%t", resume))
		},
		Release: func() []string { return same(roleRelease) },
		Keeper: func(fd, pid int) []string {
			return same(roleKeeper, "--lifeline", strconv.Itoa(fd), "--director", strconv.Itoa(pid))
		},
		Log: log,
	}
}
