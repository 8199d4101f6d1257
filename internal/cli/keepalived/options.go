package keepalived

// takes is whether an option has a value.
type takes uint8

const (
	nothing  takes = iota
	value          // the rest of the argument, or the next argument
	optional       // only what stands in the same argument
)

// option is one that keepalived 2.2.7 knows, as Debian builds it, or one of
// ours, which has no letter and cannot be abbreviated.
type option struct {
	long  string
	short byte // 0 for none
	takes takes
	ours  bool
	set   func(*Request, string)
}

func flag(long string, short byte, field func(*Options) *bool) option {
	return option{long, short, nothing, false, func(r *Request, _ string) { *field(&r.Options) = true }}
}

func text(long string, short byte, field func(*Options) *string) option {
	return option{long, short, value, false, func(r *Request, v string) { *field(&r.Options) = v }}
}

func own(o option) option {
	o.ours = true
	return o
}

// table is the command line.
var table = []option{
	text("use-file", 'f', func(o *Options) *string { return &o.File }),
	flag("vrrp", 'P', func(o *Options) *bool { return &o.VRRP }),
	flag("check", 'C', func(o *Options) *bool { return &o.Check }),
	flag("no_bfd", 'B', func(o *Options) *bool { return &o.NoBFD }),
	flag("all", 0, func(o *Options) *bool { return &o.All }),
	flag("log-console", 'l', func(o *Options) *bool { return &o.LogConsole }),
	flag("log-detail", 'D', func(o *Options) *bool { return &o.LogDetail }),
	{"log-facility", 'S', value, false, (*Request).facility},
	flag("no-syslog", 'G', func(o *Options) *bool { return &o.NoSyslog }),
	{"log-file", 'g', optional, false, (*Request).logFile},
	{"umask", 'u', value, false, (*Request).umask},
	flag("release-vips", 'X', func(o *Options) *bool { return &o.ReleaseVIPs }),
	flag("dont-release-vrrp", 'V', func(o *Options) *bool { return &o.KeepVRRP }),
	flag("dont-release-ipvs", 'I', func(o *Options) *bool { return &o.KeepIPVS }),
	flag("dont-respawn", 'R', func(o *Options) *bool { return &o.NoRespawn }),
	flag("dont-fork", 'n', func(o *Options) *bool { return &o.DontFork }),
	flag("dump-conf", 'd', func(o *Options) *bool { return &o.DumpConf }),
	text("pid", 'p', func(o *Options) *string { return &o.PID }),
	text("vrrp_pid", 'r', func(o *Options) *string { return &o.VRRPPID }),
	text("checkers_pid", 'c', func(o *Options) *string { return &o.CheckersPID }),
	text("bfd_pid", 'b', func(o *Options) *string { return &o.BFDPID }),
	{"genhash", 'T', nothing, false, (*Request).genhash},
	flag("address-monitoring", 'a', func(o *Options) *bool { return &o.AddressMonitoring }),
	flag("snmp", 'x', func(o *Options) *bool { return &o.SNMP }),
	text("snmp-agent-socket", 'A', func(o *Options) *string { return &o.AgentSocket }),
	text("namespace", 's', func(o *Options) *string { return &o.Namespace }),
	flag("core-dump", 'm', func(o *Options) *bool { return &o.CoreDump }),
	{"core-dump-pattern", 'M', optional, false, func(r *Request, v string) { r.CoreDump, r.CorePattern = true, v }},
	flag("all-config", 'e', func(o *Options) *bool { return &o.AllConfig }),
	text("config-id", 'i', func(o *Options) *string { return &o.ConfigID }),
	{"signum", 0, value, false, (*Request).signum},
	{"config-test", 't', optional, false, (*Request).test},
	{"version", 'v', nothing, false, func(r *Request, _ string) { r.Kind = Version }},
	{"help", 'h', nothing, false, func(r *Request, _ string) { r.Kind = Help }},

	own(text("instance", 0, func(o *Options) *string { return &o.Instance })),
	own(text("run-dir", 0, func(o *Options) *string { return &o.RunDir })),
	own(text("pin-dir", 0, func(o *Options) *string { return &o.PinDir })),
	own(flag("show-secrets", 0, func(o *Options) *bool { return &o.ShowSecrets })),
}
