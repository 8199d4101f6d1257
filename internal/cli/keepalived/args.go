package keepalived

import "fmt"

// Args returns a command line that Parse reads as o, for the other processes
// of one run. What only one process does (-t and its like) is not in it.
func (o Options) Args() []string {
	var out []string
	for _, f := range []struct {
		given bool
		as    string
	}{
		{o.DontFork, "-n"},
		{o.LogConsole, "-l"},
		{o.LogDetail, "-D"},
		{o.NoSyslog, "-G"},
		{o.VRRP, "-P"},
		{o.Check, "-C"},
		{o.NoBFD, "-B"},
		{o.All, "--all"},
		{o.ReleaseVIPs, "-X"},
		{o.KeepVRRP, "-V"},
		{o.KeepIPVS, "-I"},
		{o.NoRespawn, "-R"},
		{o.DumpConf, "-d"},
		{o.AddressMonitoring, "-a"},
		{o.SNMP, "-x"},
		{o.CoreDump, "-m"},
		{o.AllConfig, "-e"},
		{o.ShowSecrets, "--show-secrets"},
	} {
		if f.given {
			out = append(out, f.as)
		}
	}
	for _, v := range []struct{ as, value string }{
		{"-f", o.File},
		{"-S", o.Facility},
		{"-p", o.PID},
		{"-r", o.VRRPPID},
		{"-c", o.CheckersPID},
		{"-b", o.BFDPID},
		{"-A", o.AgentSocket},
		{"-s", o.Namespace},
		{"-i", o.ConfigID},
		{"--instance", o.Instance},
		{"--run-dir", o.RunDir},
		{"--pin-dir", o.PinDir},
	} {
		if v.value != "" {
			out = append(out, v.as, v.value)
		}
	}
	if o.CorePattern != "" {
		out = append(out, "-M"+o.CorePattern)
	}
	if o.Umask >= 0 {
		out = append(out, "-u", fmt.Sprintf("0%o", o.Umask))
	}
	return out
}
