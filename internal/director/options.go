package director

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/hostnet"
)

// Exit statuses of `kaname run`, those of keepalived where it has one
// (docs/exit-codes.md).
const (
	ExitOK         = 0
	ExitFailure    = 1 // fatal while running
	ExitConfig     = 2 // the configuration has errors
	ExitPermission = 4 // root or a capability is missing
	ExitNoConfig   = 6 // the file cannot be read
	ExitRunning    = 7 // another kaname holds the socket or the pins
	ExitKernel     = 8 // the kernel lacks something
)

// Options say what a director runs and where it keeps its things.
type Options struct {
	File     string // keepalived.conf
	Instance string // names socket, state and pins; "default"
	RunDir   string // "/run/kaname"
	PinDir   string // below a bpffs; empty: /sys/fs/bpf/kaname/INSTANCE
	ConfigID string // for @id lines; empty: host name up to the first dot
	Version  string
	// Resume: a predecessor was killed just now; go on where it was.
	Resume bool
	// LifelineFD is the descriptor of the lifeline to the keeper; 0 for none.
	LifelineFD int
	// Only is "vrrp" or "checks" for a director of these alone, "" for both.
	Only string
	// PIDFiles are written while the director runs; empty ones are not.
	PIDFiles PIDFiles
	// DumpDir is where dumps on signals go; empty: $TMPDIR, else /tmp.
	DumpDir string
	// Umask is for the dumps; nil: what the configuration says, 0177 by default.
	Umask *int
	// ShowSecrets has passwords in clear in dumps.
	ShowSecrets bool
	// DumpAtStart logs the configuration that runs, as DATA would print it.
	DumpAtStart bool
	// KeepAddresses and KeepDataplane leave these on the host at an orderly stop.
	KeepAddresses, KeepDataplane bool
	// Namespace is the name of the network namespace, for dumps; empty: the default.
	Namespace string
	// StrictIncludes makes every include problem an error.
	StrictIncludes bool
	// Report shows one finding; nil: as `kaname check` does, on Stderr.
	Report func(finding.Finding)
	Stderr io.Writer
	Log    *slog.Logger
}

func (o Options) socket() string    { return filepath.Join(o.RunDir, o.Instance+".sock") }
func (o Options) stateFile() string { return filepath.Join(o.RunDir, o.Instance+".state") }

func (o Options) pinDir() string {
	if o.PinDir != "" {
		return o.PinDir
	}
	// A bpffs takes no dots in names.
	return filepath.Join("/sys/fs/bpf/kaname", strings.ReplaceAll(o.Instance, ".", "_"))
}

// PIDFiles are the files that hold the director's process id.
type PIDFiles struct {
	VRRP   string // there when an instance runs
	Checks string // there when a virtual server does
}

// exitError carries the exit status that an error leads to.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func exit(code int, format string, args ...any) error {
	return exitError{code, fmt.Errorf(format, args...)}
}

// status maps an error to an exit status.
func status(err error) int {
	var e exitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, hostnet.ErrNotPermitted), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ExitPermission
	case errors.Is(err, xdp.ErrInUse):
		return ExitRunning
	case errors.Is(err, errors.ErrUnsupported):
		return ExitKernel
	}
	return ExitFailure
}
