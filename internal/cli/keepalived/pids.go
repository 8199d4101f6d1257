package keepalived

import (
	"path"

	"github.com/kaname-lb/kaname/internal/config"
)

// Directories of pid files. The second is used with net_namespace, -s,
// instance or use_pid_dir; with a namespace a directory of its name below it,
// which keepalived 2.2.7 mounts over the former inside.
const (
	pidDir    = "/run"
	ownPIDDir = "/run/keepalived"
)

// OwnPIDDir reports whether dir is one that keepalived makes and removes.
func OwnPIDDir(dir string) bool {
	return dir == ownPIDDir || path.Dir(dir) == ownPIDDir
}

// Settle fills in what the options leave to the configuration: the namespace,
// kaname's instance and the names of the pid files.
func (o *Options) Settle(p config.Process) {
	if o.Namespace == "" {
		o.Namespace = p.NetNamespace
	}
	if o.Instance == "" {
		o.Instance = p.Instance
	}
	if o.Instance == "" {
		o.Instance = o.Namespace
	}
	if o.Instance == "" {
		o.Instance = "default"
	}
	if o.RunDir == "" {
		o.RunDir = "/run/kaname"
	}
	dir, suffix := pidDir, ""
	if o.Namespace != "" || p.Instance != "" || p.UsePIDDir {
		dir = path.Join(ownPIDDir, o.Namespace)
	}
	if p.Instance != "" {
		suffix = "_" + p.Instance
	}
	for _, f := range []struct {
		to   *string
		name string
	}{{&o.PID, "keepalived"}, {&o.VRRPPID, "vrrp"}, {&o.CheckersPID, "checkers"}, {&o.BFDPID, "bfd"}} {
		if *f.to == "" {
			*f.to = path.Join(dir, f.name+suffix+".pid")
		}
	}
}

// NoEffect lists the options that were given and do nothing here, each with
// the reason.
func (o Options) NoEffect() []string {
	var out []string
	for _, f := range []struct {
		given bool
		what  string
	}{
		{o.ReleaseVIPs, "-X has no effect here: an address always goes when its instance is not MASTER any more"},
		{o.AddressMonitoring, "-a has no effect here: kaname status and ip monitor show addresses"},
		{o.SNMP || o.AgentSocket != "", "-x and -A have no effect here: there is no SNMP agent"},
		{o.CoreDump, "-m and -M have no effect here: a crash prints its stack"},
		{o.NoBFD, "-B has no effect here: BFD is not built yet"},
	} {
		if f.given {
			out = append(out, f.what)
		}
	}
	return out
}
