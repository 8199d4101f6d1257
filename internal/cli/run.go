package cli

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

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
}

func newRun(a *app) *cobra.Command {
	r := &run{app: a}
	c := &cobra.Command{
		Use:   "run -f FILE",
		Short: "Be a director: elect, check, balance (in the foreground)",
		Long: "run is the daemon. It stays in the foreground and logs to standard error.\n" +
			"SIGHUP reloads the file (a bad one is refused and the old one goes on);\n" +
			"SIGTERM releases everything and ends. It is two processes: a keeper and the\n" +
			"director, each of which replaces the other if it is killed.\n\n" +
			"Exit status: see docs/exit-codes.md.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return r.play(c) },
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
	for _, name := range []string{"role", "lifeline", "director", "resume"} {
		if err := f.MarkHidden(name); err != nil {
			panic(err) // the flag was defined above
		}
	}
	return c
}

func (r *run) play(c *cobra.Command) error {
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
		code, err = keeper.Run(r.spec(log))
	case roleKeeper:
		code, err = keeper.Adopt(r.spec(log), r.lifeline, r.directorPID)
	case roleDirector:
		code = director.Run(c.Context(), r.options(log), func() (*keeper.Lifeline, error) {
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

func (r *run) logger() *slog.Logger {
	level := slog.LevelInfo
	if r.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(r.env.Stderr, &slog.HandlerOptions{Level: level}))
}

func (r *run) options(log *slog.Logger) director.Options {
	return director.Options{
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
}

// spec says how the other processes of this run are started: with the same
// options, and their part.
func (r *run) spec(log *slog.Logger) keeper.Spec {
	same := func(role string, more ...string) []string {
		line := []string{
			"run", "--file", r.file, "--instance", r.instance, "--run-dir", r.runDir,
			"--pin-dir", r.pinDir, "--config-id", r.configID, fmt.Sprintf("--verbose=%t", r.verbose),
			"--role", role,
		}
		return append(line, more...)
	}
	return keeper.Spec{
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
