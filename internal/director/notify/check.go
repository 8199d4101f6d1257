package notify

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/process"
)

// scriptUser runs scripts for which the configuration names no user.
const scriptUser = "keepalived_script"

var errNoUser = errors.New("enable_script_security needs script_user, or the user " + scriptUser + ", to run it as")

// checked returns spec without the scripts that cannot be run, each of which
// is logged, and with the user of each filled in.
func checked(spec Spec, log *slog.Logger) Spec {
	c := checker{user: spec.User, group: spec.Group, secure: spec.Secure, log: log}
	if c.user == "" {
		if _, err := process.Credential(scriptUser, ""); err == nil {
			c.user = scriptUser
		}
	}
	out := Spec{
		Instances: map[string]Scripts{}, Groups: map[string]Scripts{},
		Services: map[string]ServerScripts{}, Servers: map[ServerKey]ServerScripts{},
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Instances)) {
		out.Instances[name] = c.scripts("vrrp_instance "+name, spec.Instances[name])
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Groups)) {
		out.Groups[name] = c.scripts("vrrp_sync_group "+name, spec.Groups[name])
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Services)) {
		s := spec.Services[name]
		what := "virtual_server " + name
		out.Services[name] = ServerScripts{Up: c.script(what, "quorum_up", s.Up), Down: c.script(what, "quorum_down", s.Down)}
	}
	for _, key := range slices.SortedFunc(maps.Keys(spec.Servers), compareKeys) {
		s := spec.Servers[key]
		what := "real_server " + key.Server.String() + " of virtual_server " + key.Service
		out.Servers[key] = ServerScripts{Up: c.script(what, "notify_up", s.Up), Down: c.script(what, "notify_down", s.Down)}
	}
	return out
}

func compareKeys(a, b ServerKey) int {
	return cmp.Or(strings.Compare(a.Service, b.Service), a.Server.Compare(b.Server))
}

type checker struct {
	user, group string // defaults
	secure      bool
	log         *slog.Logger
}

func (c *checker) scripts(what string, s Scripts) Scripts {
	return Scripts{
		Master:        c.script(what, "notify_master", s.Master),
		Backup:        c.script(what, "notify_backup", s.Backup),
		Fault:         c.script(what, "notify_fault", s.Fault),
		Stop:          c.script(what, "notify_stop", s.Stop),
		Generic:       c.script(what, "notify", s.Generic),
		LowerPriority: c.script(what, "notify_master_rx_lower_pri", s.LowerPriority),
	}
}

// script returns s with its user, or nothing after logging why it is dropped.
func (c *checker) script(what, keyword string, s Script) Script {
	if !s.set() {
		return Script{}
	}
	if s.User == "" {
		s.User, s.Group = c.user, cmp.Or(s.Group, c.group)
	}
	if err := c.usable(s); err != nil {
		c.log.Error("notify script cannot be run and is dropped",
			"where", s.Where, "of", what, "keyword", keyword, "script", s.Argv[0], "reason", err.Error())
		return Script{}
	}
	return s
}

func (c *checker) usable(s Script) error {
	path, err := process.Resolve(s.Argv[0])
	if err != nil {
		return err
	}
	cred, err := process.Credential(s.User, s.Group)
	if err != nil {
		return err
	}
	if !c.secure {
		return nil
	}
	if s.User == "" {
		return errNoUser
	}
	asRoot := os.Geteuid() == 0
	if cred != nil {
		asRoot = cred.Uid == 0
	}
	if asRoot {
		return process.CheckSecurity(path)
	}
	return nil
}
