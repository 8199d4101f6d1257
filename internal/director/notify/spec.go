package notify

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/event"
)

// Script is one configured command. Where is its place in the configuration,
// for messages. A Script without Argv is not configured.
type Script struct {
	Argv        []string
	User, Group string // empty: the defaults of the Spec, then as we run
	Where       string // "keepalived.conf:12:5"
}

// Scripts are those of one vrrp_instance or vrrp_sync_group. Generic gets
// `TYPE NAME STATE PRIORITY` appended, the others nothing.
type Scripts struct {
	Master, Backup, Fault, Stop, Generic, LowerPriority Script
}

// ServerKey names a real server of a virtual server.
type ServerKey struct {
	Service string
	Server  netip.AddrPort
}

// ServerScripts are notify_up and notify_down of a real server, or quorum_up
// and quorum_down of a virtual server.
type ServerScripts struct{ Up, Down Script }

// Spec is every script of a configuration.
type Spec struct {
	Instances map[string]Scripts          // by instance name
	Groups    map[string]Scripts          // by sync group name
	Services  map[string]ServerScripts    // quorum scripts by virtual server name
	Servers   map[ServerKey]ServerScripts // notify_up and notify_down
	// User and Group are script_user; empty as we run.
	User, Group string
	// Secure is enable_script_security: a script that somebody else than root
	// can write is not run as root.
	Secure bool
}

// Notifier runs scripts on events. Its methods are called by one goroutine.
type Notifier struct {
	log *slog.Logger
}

// New returns a notifier for spec. Scripts that are missing or cannot be
// executed are logged with their position, once, and dropped.
func New(spec Spec, log *slog.Logger) *Notifier { return &Notifier{log: log} }

// Set replaces the scripts (a reload), checking them as New does. Scripts that
// run go on.
func (n *Notifier) Set(spec Spec) {}

// Handle starts the scripts of one event, the specific before the generic. It
// does not wait for them. Events without scripts are nothing.
func (n *Notifier) Handle(ev event.Event) {}

// Close waits up to grace for scripts that still run, then kills them and
// waits for their end. Nothing is started any more.
func (n *Notifier) Close(grace time.Duration) {}
