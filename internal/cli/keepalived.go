package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/process"
)

// exitFace is keepalived's status for a command line that it refuses.
const exitFace = 1

// keepalived is the program called as keepalived, with the arguments after its
// name. It returns the exit status.
func (a *app) keepalived(ctx context.Context, args []string) int {
	r := keepalived.Parse(args)
	for _, m := range r.Messages {
		fmt.Fprintln(a.env.Stderr, m)
	}
	if len(r.Extra) > 0 {
		fmt.Fprintf(a.env.Stdout, "Unexpected argument(s): %s\n", strings.Join(r.Extra, " "))
	}
	switch r.Kind {
	case keepalived.Version:
		fmt.Fprintln(a.env.Stderr, keepalived.VersionLine(Version()))
	case keepalived.Help:
		fmt.Fprint(a.env.Stderr, keepalived.HelpText)
	case keepalived.SigNum:
		fmt.Fprintln(a.env.Stdout, r.Number)
	case keepalived.Test:
		return a.keepalivedTest(r.Options)
	case keepalived.Run:
		return a.keepalivedRun(ctx, r.Options)
	default:
		return exitFace
	}
	return ExitOK
}

// keepalivedTest is `keepalived -t`.
func (a *app) keepalivedTest(o keepalived.Options) int {
	out, done, err := a.testLog(o.TestLog)
	if err != nil {
		fmt.Fprintf(a.env.Stderr, "kaname: the log of -t: %v: name a file that can be written, or none for standard error\n", err)
		return exitFace
	}
	defer done()
	fs := a.keepalivedFindings(o)
	for _, f := range fs {
		if keepalived.Told(f, o.LogDetail) {
			fmt.Fprintln(out, keepalived.Message(f))
		}
	}
	return keepalived.ExitCode(fs)
}

// testLog opens FILE of -tFILE, which is root's alone: messages quote lines.
func (a *app) testLog(file string) (w io.Writer, done func(), err error) {
	if file == "" {
		return a.env.Stderr, func() {}, nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { _ = f.Close() }, nil
}

// keepalivedFindings is what the file and this host have against each other.
func (a *app) keepalivedFindings(o keepalived.Options) []finding.Finding {
	id := o.ConfigID
	if id == "" {
		id = a.configID()
	}
	opt := a.loadOptions(id)
	opt.StrictIncludes = o.AllConfig
	cfg, tree, fs := config.Load(a.env.Files, o.File, opt)
	fs = append(fs, slices.DeleteFunc(lint.Check(cfg, tree), func(f finding.Finding) bool {
		return f.Rule == "no-script-security" // the host tells better: only scripts that there are count
	})...)
	o.Settle(cfg.Process)
	fs = append(fs, a.hostFindings(o, cfg)...)
	finding.Sort(fs, tree.Files)
	return fs
}

// hostFindings asks this host, in the network namespace that the director
// would be in. Where that is missing, there is nothing to ask.
func (a *app) hostFindings(o keepalived.Options, cfg *config.Config) []finding.Finding {
	var fs []finding.Finding
	err := inNamespace(o.Namespace, func() error {
		fs = keepalived.HostFindings(cfg, a.env.Host)
		return nil
	})
	if err != nil {
		fs = append(fs, finding.Finding{
			Severity: finding.Warning, Rule: "no-namespace",
			What: "interfaces and scripts were not looked for: " + err.Error(), // with what to do
		})
	}
	return fs
}

// thisHost answers for the machine that the process runs on.
func thisHost() keepalived.Host {
	return keepalived.Host{
		Interface: func(name string) (exists, loopback bool) {
			i, err := net.InterfaceByName(name)
			return err == nil, err == nil && i.Flags&net.FlagLoopback != 0
		},
		Program: func(name string) error {
			_, err := process.Resolve(name)
			return err
		},
		Secure: func(name string, as config.User) error {
			path, err := process.Resolve(name)
			if err != nil {
				return err
			}
			cred, err := process.Credential(as.Name, as.Group)
			if err != nil || cred != nil && cred.Uid != 0 || cred == nil && os.Geteuid() != 0 {
				return err // root does not run it
			}
			return process.CheckSecurity(path)
		},
		User: func(name, group string) error {
			_, err := process.Credential(name, group)
			return err
		},
	}
}
