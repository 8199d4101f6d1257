package notify

import "net/netip"

// Script is one configured command. Where is its place in the configuration,
// for messages. A Script without Argv is not configured.
type Script struct {
	Argv        []string
	User, Group string // empty: the defaults of the Spec, then as we run
	Where       string // "keepalived.conf:12:5"
}

func (s Script) set() bool { return len(s.Argv) > 0 }

// Scripts are those of one vrrp_instance or vrrp_sync_group. Generic gets
// `TYPE NAME STATE PRIORITY` appended, the others nothing.
type Scripts struct {
	Master, Backup, Fault, Stop, Generic, LowerPriority Script
}

// of returns the specific script of a state, none for other states.
func (s Scripts) of(state string) Script {
	switch state {
	case "MASTER":
		return s.Master
	case "BACKUP":
		return s.Backup
	case "FAULT":
		return s.Fault
	case "STOP":
		return s.Stop
	}
	return Script{}
}

// ServerKey names a real server of a virtual server.
type ServerKey struct {
	Service string
	Server  netip.AddrPort
}

// ServerScripts are notify_up and notify_down of a real server, or quorum_up
// and quorum_down of a virtual server.
type ServerScripts struct{ Up, Down Script }

func (s ServerScripts) of(up bool) Script {
	if up {
		return s.Up
	}
	return s.Down
}

// Spec is every script of a configuration.
type Spec struct {
	Instances map[string]Scripts          // by instance name
	Groups    map[string]Scripts          // by sync group name
	Services  map[string]ServerScripts    // quorum scripts by virtual server name
	Servers   map[ServerKey]ServerScripts // notify_up and notify_down
	// User and Group are script_user. Empty: the user keepalived_script when
	// there is one, else as we run, but with Secure not at all.
	User, Group string
	// Secure is enable_script_security: a script that somebody else than root
	// can write is not run as root.
	Secure bool
}
