package checker

import (
	"context"
	"fmt"

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
	return failed("%s", r)
}
