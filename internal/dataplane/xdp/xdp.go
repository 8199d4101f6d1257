package xdp

import (
	"context"
	"errors"
	"log/slog"

	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// Mode is the hook through which packets reach the dataplane.
type Mode string

// The modes. Auto takes native XDP where the driver is known to do it well,
// TC elsewhere, and generic XDP where there is no TC.
const (
	Auto    Mode = "auto"
	Native  Mode = "native"
	TC      Mode = "tc"
	Generic Mode = "generic"
)

// Spec is what a dataplane is opened with.
type Spec struct {
	// PinDir is this instance's directory in a bpffs, "/sys/fs/bpf/kaname/NAME".
	// It is created; two processes cannot have one open at a time.
	PinDir string
	// Connections is the number of entries that the connection table holds,
	// 0 for the default: 1,048,576 on a host with 4 GiB or more, less below.
	// An adopted table keeps its size.
	Connections int
	// Mode is the mode for every interface; empty is Auto.
	Mode Mode
	// Log receives state changes; nil discards them.
	Log *slog.Logger
}

// Errors that a caller may want to tell apart.
var (
	// ErrInUse is returned by Open when another process has PinDir open.
	ErrInUse = errors.New("in use by another process")
	// ErrSchema is returned by Open when what is pinned was written by a
	// version whose maps this one does not understand.
	ErrSchema = errors.New("pinned maps have another layout")
	// ErrConflict is returned when another program holds an interface's hook.
	ErrConflict = errors.New("another program is attached")
	// ErrMode is returned when an explicit mode is not possible on an interface.
	ErrMode = errors.New("mode not possible")
)

// Dataplane is one instance's programs, maps and links. Its methods are safe
// for concurrent use.
type Dataplane struct{}

// Open adopts what an earlier process left pinned in s.PinDir, or creates it,
// all or nothing. The caller ends with Close (everything goes on) or Remove
// (nothing is left). It belongs to the network namespace of the calling
// thread. It needs CAP_BPF, CAP_NET_ADMIN and, to mount a bpffs, CAP_SYS_ADMIN.
func Open(s Spec) (*Dataplane, error) { return nil, errors.ErrUnsupported }

// Adopted reports whether Open found a running dataplane and took it over.
func (d *Dataplane) Adopted() bool { return false }

// Set makes services the whole of what is balanced. It may be repeated: equal
// input writes nothing. A service or server that is gone is removed as LVS
// removes it by default: no new connections, and packets of its living ones
// are dropped until they time out, unless it comes back before.
//
// It goes on after an error and returns all of them joined.
func (d *Dataplane) Set(services []lvs.ServiceSet) error { return errors.ErrUnsupported }

// SetTimeouts sets the three timeouts; a 0 keeps what is in force.
func (d *Dataplane) SetTimeouts(t lvs.Timeouts) error { return errors.ErrUnsupported }

// SetInterfaces makes names the interfaces on which packets are looked at. One
// that does not exist is attached when it appears; its absence is no error
// (Status says it). Those left out are detached.
func (d *Dataplane) SetInterfaces(names []string) error { return errors.ErrUnsupported }

// Services returns what Set was given with live counts, counters and rates.
func (d *Dataplane) Services() []lvs.ServiceStatus { return nil }

// Connections yields every living entry of the connection table once, as
// `ipvs -Lnc` lists them; the order is the table's.
func (d *Dataplane) Connections(yield func(lvs.Connection) bool) {}

// Status says how the traffic is carried right now.
func (d *Dataplane) Status() snapshot.Dataplane { return snapshot.Dataplane{} }

// Conditions returns the lasting problems of the dataplane: an interface that
// is missing or in a slower mode than wanted, a real server whose MAC address
// is not known, a full connection table.
func (d *Dataplane) Conditions() []snapshot.Condition { return nil }

// Run does what must go on while the process lives: expiry and audit of the
// connection table, neighbours, rates, interfaces. It returns nil when ctx
// ends.
func (d *Dataplane) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Close gives up this process's handles and leaves everything pinned and
// forwarding, for the next Open.
func (d *Dataplane) Close() error { return nil }

// Remove detaches and unpins everything: the orderly stop. It implies Close.
func (d *Dataplane) Remove() error { return nil }
