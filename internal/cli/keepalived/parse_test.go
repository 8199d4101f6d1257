package keepalived_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaname-lb/kaname/internal/cli/keepalived"
)

// options are the defaults with what f changes.
func options(f func(*keepalived.Options)) keepalived.Options {
	o := keepalived.Options{File: keepalived.DefaultFile, Facility: "daemon", Umask: -1}
	if f != nil {
		f(&o)
	}
	return o
}

func TestOptions(t *testing.T) {
	type opts = keepalived.Options
	for line, want := range map[string]func(*opts){
		"":                       nil,
		"-nlD":                   func(o *opts) { o.DontFork, o.LogConsole, o.LogDetail = true, true, true },
		"-n -l -D -d":            func(o *opts) { o.DontFork, o.LogConsole, o.LogDetail, o.DumpConf = true, true, true, true },
		"-f a.conf":              func(o *opts) { o.File = "a.conf" },
		"-fa.conf":               func(o *opts) { o.File = "a.conf" },
		"-f=a.conf":              func(o *opts) { o.File = "=a.conf" },
		"-nfa.conf":              func(o *opts) { o.DontFork, o.File = true, "a.conf" },
		"-lf a.conf -n":          func(o *opts) { o.LogConsole, o.File, o.DontFork = true, "a.conf", true },
		"--use-file=a.conf":      func(o *opts) { o.File = "a.conf" },
		"--use-file a.conf":      func(o *opts) { o.File = "a.conf" },
		"--use a.conf -f b.conf": func(o *opts) { o.File = "b.conf" },
		"-f -n":                  func(o *opts) { o.File = "-n" }, // the next word, whatever it is
		"-i -t -f x":             func(o *opts) { o.ConfigID, o.File = "-t", "x" },
		"-P -C -B --all":         func(o *opts) { o.VRRP, o.Check, o.NoBFD, o.All = true, true, true, true },
		"--vrrp --check":         func(o *opts) { o.VRRP, o.Check = true, true }, // whole names, though longer ones begin so
		"--no_ --no-":            func(o *opts) { o.NoBFD, o.NoSyslog = true, true },
		"--dont-res --dont-f":    func(o *opts) { o.NoRespawn, o.DontFork = true, true },
		"-S 3":                   func(o *opts) { o.Facility = "local3" },
		"-Slocal7":               func(o *opts) { o.Facility = "local7" },
		"-S user -G":             func(o *opts) { o.Facility, o.NoSyslog = "user", true },
		"-p a -r b -c d -b e":    func(o *opts) { o.PID, o.VRRPPID, o.CheckersPID, o.BFDPID = "a", "b", "d", "e" },
		"--pi=a --vrrp_=b":       func(o *opts) { o.PID, o.VRRPPID = "a", "b" },
		"--checkers=d --bfd=e":   func(o *opts) { o.CheckersPID, o.BFDPID = "d", "e" },
		"-s ns1 -u 022":          func(o *opts) { o.Namespace, o.Umask = "ns1", 0o22 },
		"-u 0x1f":                func(o *opts) { o.Umask = 0x1f },
		"-V -I -R -X -a": func(o *opts) {
			o.KeepVRRP, o.KeepIPVS, o.NoRespawn, o.ReleaseVIPs, o.AddressMonitoring = true, true, true, true, true
		},
		"-x -A unix:/a":            func(o *opts) { o.SNMP, o.AgentSocket = true, "unix:/a" },
		"-m -Mcore.%p":             func(o *opts) { o.CoreDump, o.CorePattern = true, "core.%p" },
		"-M -n":                    func(o *opts) { o.CoreDump, o.DontFork = true, true }, // only what is joined to it
		"--core-dump-pattern=c":    func(o *opts) { o.CoreDump, o.CorePattern = true, "c" },
		"-e --show-secrets":        func(o *opts) { o.AllConfig, o.ShowSecrets = true, true },
		"--instance=a --run-dir=b": func(o *opts) { o.Instance, o.RunDir = "a", "b" },
	} {
		r := keepalived.Parse(strings.Fields(line))
		if r.Kind != keepalived.Run || len(r.Messages) > 0 || len(r.Extra) > 0 {
			t.Errorf("%q: kind %v, messages %q, extra %q", line, r.Kind, r.Messages, r.Extra)
		}
		if diff := cmp.Diff(options(want), r.Options); diff != "" {
			t.Errorf("%q: -want +got\n%s", line, diff)
		}
	}
}

// TestRequests: what keepalived 2.2.7 answers at once, refuses, or tells.
func TestRequests(t *testing.T) {
	ignoreOptions := cmpopts.IgnoreFields(keepalived.Request{}, "Options")
	for line, want := range map[string]keepalived.Request{
		"-t":                   {Kind: keepalived.Test},
		"-tlog -f x":           {Kind: keepalived.Test},
		"--config-test=log":    {Kind: keepalived.Test},
		"-tf x":                {Kind: keepalived.Test, Extra: []string{"x"}}, // logs to the file "f"
		"-t -f x one two":      {Kind: keepalived.Test, Extra: []string{"one", "two"}},
		"-t one -f x":          {Kind: keepalived.Test, Extra: []string{"one"}},
		"-t -- -f x":           {Kind: keepalived.Test, Extra: []string{"-f", "x"}},
		"-":                    {Extra: []string{"-"}},
		"-v":                   {Kind: keepalived.Version},
		"-nlv -Z":              {Kind: keepalived.Version},
		"--vers":               {Kind: keepalived.Version},
		"-Z -h":                {Kind: keepalived.Help, Messages: []string{"Unknown option -Z"}},
		"--signum=STOP":        {Kind: keepalived.SigNum, Number: 15},
		"--sig RELOAD":         {Kind: keepalived.SigNum, Number: 1},
		"--signum DATA -Z":     {Kind: keepalived.SigNum, Number: 10},
		"--signum STATS":       {Kind: keepalived.SigNum, Number: 12},
		"--signum STATS_CLEAR": {Kind: keepalived.SigNum, Number: 63},
		"--signum JSON":        {Kind: keepalived.SigNum, Number: 36},
		"--signum HUP":         {Kind: keepalived.Refused, Messages: []string{"Unknown sigfunc HUP"}},
		"--signum=":            {Kind: keepalived.Refused, Messages: []string{"Missing parameter for option --signum"}},
		"-f":                   {Kind: keepalived.Refused, Messages: []string{"Missing parameter for option -f"}},
		"--pid":                {Kind: keepalived.Refused, Messages: []string{"Missing parameter for option --pid"}},
		"-nZ -t":               {Kind: keepalived.Refused, Messages: []string{"Unknown option -Z"}},
		"-Z --nope":            {Kind: keepalived.Refused, Messages: []string{"Unknown option -Z", "Unknown option --nope"}},
		"--check=3":            {Kind: keepalived.Refused, Messages: []string{"Unknown option --check=3"}},
		"--log":                {Kind: keepalived.Refused, Messages: []string{"Unknown option --log"}}, // log-console, log-detail, …
		"--v":                  {Kind: keepalived.Refused, Messages: []string{"Unknown option --v"}},
		"--config":             {Kind: keepalived.Refused, Messages: []string{"Unknown option --config"}},
		"--instan=a":           {Kind: keepalived.Refused, Messages: []string{"Unknown option --instan=a"}}, // ours are written out
		"--=x":                 {Kind: keepalived.Refused, Messages: []string{"Unknown option --=x"}},
		"-S 9 -t":              {Kind: keepalived.Test, Messages: []string{"Invalid log facility '9'"}},
		"-S local9 -t":         {Kind: keepalived.Test, Messages: []string{"Invalid log facility 'local9'"}},
		"-u 1000 -t":           {Kind: keepalived.Test, Messages: []string{"Invalid --umask option 1000"}},
		"-u 08 -t":             {Kind: keepalived.Test, Messages: []string{"Invalid --umask option 08"}},
	} {
		got := keepalived.Parse(strings.Fields(line))
		if diff := cmp.Diff(want, got, ignoreOptions, cmpopts.IgnoreUnexported(keepalived.Request{})); diff != "" {
			t.Errorf("%q: -want +got\n%s", line, diff)
		}
	}
}

// TestEmptyValues: a letter takes an empty word, a long option does not.
func TestEmptyValues(t *testing.T) {
	if r := keepalived.Parse([]string{"-f", "", "-t"}); r.Kind != keepalived.Test || r.File != "" {
		t.Errorf("-f '': kind %v, file %q", r.Kind, r.File)
	}
	if r := keepalived.Parse([]string{"--use-file", "", "-t"}); r.Kind != keepalived.Refused {
		t.Errorf("--use-file '': kind %v", r.Kind)
	}
	for _, line := range []string{"-g x", "--log-file=x", "-T", "-n -T -h"} {
		if r := keepalived.Parse(strings.Fields(line)); r.Kind != keepalived.Refused || len(r.Messages) != 1 {
			t.Errorf("%q: kind %v, messages %q", line, r.Kind, r.Messages)
		}
	}
}

// FuzzParse: no command line makes it panic or go on for ever, and what was
// asked for is one thing.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"-nlD -f x", "-t", "--signum=STOP", "-f", "--", "-- -x", "--=", "-\xff", "--config-test=l -S9", "-u 08"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := keepalived.Parse(strings.Split(line, " "))
		if r.Kind == keepalived.Refused && len(r.Messages) == 0 {
			t.Errorf("%q is refused without a word", line)
		}
	})
}
