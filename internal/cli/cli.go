package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/config/configio"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/diagnose/observe"
)

// Exit statuses, described in docs/exit-codes.md with those of `kaname run`
// (package director) and of the ipvs face (package ipvsadm).
const (
	ExitOK           = 0
	ExitFailed       = 1  // what was asked for failed; check: the file has errors; fmt --list: a file would change
	ExitWarnings     = 2  // check --strict: warnings and no errors
	ExitUnusable     = 2  // fmt: a file cannot be read or written
	ExitNotRunning   = 3  // no director answers on the control socket
	ExitNoPermission = 4  // root, or a capability, is needed
	ExitUsage        = 64 // the command line makes no sense
)

// Env is what the program has of the world around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Getenv looks up an environment variable.
	Getenv func(name string) string
	// Files reads configurations.
	Files syntax.Files
	// Open opens other files for reading (/etc/services).
	Open func(name string) (io.ReadCloser, error)
	// HostName returns this host's name.
	HostName func() (string, error)
	// HostOf names an address for listings without -n, "" when it has no name.
	HostOf func(ctx context.Context, a netip.Addr) string
	// Host is what `keepalived -t` asks.
	Host keepalived.Host
	// Observe is what `check --host` asks.
	Observe func(context.Context, lint.Questions) lint.Host
	// Root says that the user may ask everything.
	Root bool
}

// OSEnv returns the Env of this process.
func OSEnv() Env {
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv:   os.Getenv,
		Files:    configio.OS{},
		Open:     func(name string) (io.ReadCloser, error) { return os.Open(name) },
		HostName: os.Hostname,
		HostOf: func(ctx context.Context, a netip.Addr) string {
			names, err := net.DefaultResolver.LookupAddr(ctx, a.String())
			if err != nil || len(names) == 0 {
				return ""
			}
			return strings.TrimSuffix(names[0], ".")
		},
		Host:    thisHost(),
		Observe: observe.Host,
		Root:    os.Geteuid() == 0,
	}
}

// app is one call of the program.
type app struct {
	env      Env
	instance string
	runDir   string
}

// subcommands make the commands below the root, in the order of the help.
var subcommands = []func(*app) *cobra.Command{
	newRun, newCheck, newFmt, newDump, newStatus, newIPVS, newReload, newWatch, newLab, newVersion,
}

// exitError is an error with the exit status it means. A nil err has been
// told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Main runs the program with args (args[0] is its name) and returns its exit
// status. It ends early when ctx does.
func Main(ctx context.Context, env Env, args []string) int {
	if len(args) == 0 {
		args = []string{"kaname"}
	}
	a := &app{env: env}
	switch filepath.Base(args[0]) {
	case "ipvsadm":
		args = append([]string{args[0], "ipvs"}, args[1:]...)
	case "keepalived":
		// Its own other processes are started as `keepalived run --as-keepalived`.
		if len(args) < 3 || args[1] != "run" || args[2] != asKeepalived {
			return a.keepalived(ctx, args[1:])
		}
	}
	root := a.root()
	root.SetArgs(args[1:])
	return a.status(root.ExecuteContext(ctx))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kaname",
		Short: "Layer-4 load balancer and failover daemon",
		Long: "kaname runs an unchanged keepalived.conf: it elects a director by VRRP, checks\n" +
			"real servers, and carries the traffic in its own XDP dataplane.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return c.Help()
			}
			return unknownCommand(c, given[0])
		},
		SuggestionsMinimumDistance: 2,
	}
	cobra.EnableCommandSorting = false // the order of subcommands is a help in itself
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exitError{ExitUsage, fmt.Errorf("%w: see `%s --help`", err, c.CommandPath())}
	})
	f := root.PersistentFlags()
	f.StringVar(&a.instance, "instance", "default", "`NAME` of the director, when several run on a host")
	f.StringVar(&a.runDir, "run-dir", "/run/kaname", "`DIR` of control sockets and run-time files")
	for _, newCommand := range subcommands {
		root.AddCommand(newCommand(a))
	}
	return root
}

// unknownCommand says which ones may have been meant.
func unknownCommand(c *cobra.Command, name string) error {
	if near := c.SuggestionsFor(name); len(near) > 0 {
		return usageError("unknown command %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return usageError("unknown command %q: see `%s --help`", name, c.CommandPath())
}

// status tells what went wrong and returns the exit status for it.
func (a *app) status(err error) int {
	if err == nil {
		return ExitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{codeFor(err), err}
	}
	if exit.err != nil {
		fmt.Fprintf(a.env.Stderr, "kaname: %s\n", exit.err)
	}
	return exit.code
}

// codeFor returns the exit status for an error that carries none.
func codeFor(err error) int {
	var (
		notRunning *api.NotRunningError
		permission *api.PermissionError
	)
	switch {
	case errors.As(err, &notRunning):
		return ExitNotRunning
	case errors.As(err, &permission):
		return ExitNoPermission
	}
	return ExitFailed
}

// usageError is a command line that makes no sense.
func usageError(format string, args ...any) error {
	return &exitError{ExitUsage, fmt.Errorf(format, args...)}
}

// args wraps cobra's checks of positional arguments in our exit status.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := check(c, given); err != nil {
			return usageError("%w: see `%s --help`", err, c.CommandPath())
		}
		return nil
	}
}

// socket returns the path of the control socket.
func (a *app) socket() (string, error) {
	if a.instance == "" || strings.ContainsAny(a.instance, "/\x00") || strings.HasPrefix(a.instance, ".") {
		return "", usageError("--instance %q: a name without slashes that does not begin with a dot", a.instance)
	}
	return filepath.Join(a.runDir, a.instance+".sock"), nil
}

// client returns a client of the director's control socket.
func (a *app) client() (*api.Client, error) {
	path, err := a.socket()
	if err != nil {
		return nil, err
	}
	return api.NewClient(path), nil
}
