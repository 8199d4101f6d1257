package checker

import (
	"context"
	"fmt"
	"os"

	"github.com/kaname-lb/kaname/internal/process"
)

// ProbeMisc is MISC_CHECK: good when the command exits with 0, with
// misc_dynamic also with 2..255, which is a weight of 0..253.
func ProbeMisc(ctx context.Context, t Target) Outcome {
	s := t.Misc
	r := process.Command{
		Argv: s.Argv, User: s.User, Group: s.Group, Env: s.Env, Timeout: s.Timeout,
	}.Run(ctx)
	switch {
	case ctx.Err() != nil:
		return failed("cancelled")
	case r.TimedOut:
		return failed("timed out after %s", s.Timeout)
	case r.OK():
		return Outcome{OK: true, Reason: r.String()}
	case s.Dynamic && r.Err == nil && r.Status >= 2:
		w := r.Status - 2
		return Outcome{OK: true, Weight: w, HasWeight: true, Reason: fmt.Sprintf("%s: weight %d", r, w)}
	}
	return Outcome{Undecided: shortage(r.Err), Reason: r.String()}
}

// Usable returns why the command cannot be run at all, nil when it can.
// Secure is enable_script_security: then a command that runs as root must be
// writable by nobody else. keepalived drops a checker whose command is not
// usable, so that its server counts as up.
func (s MiscSpec) Usable(secure bool) error {
	if len(s.Argv) == 0 {
		return process.ErrNoCommand
	}
	path, err := process.Resolve(s.Argv[0])
	if err != nil {
		return err
	}
	cred, err := process.Credential(s.User, s.Group)
	if err != nil {
		return err
	}
	asRoot := os.Geteuid() == 0
	if cred != nil {
		asRoot = cred.Uid == 0
	}
	if secure && asRoot {
		return process.CheckSecurity(path)
	}
	return nil
}
