package checker

import "github.com/kaname-lb/kaname/internal/health"

// Limits bound how many probes run at once; more wait their turn in the order
// of their start.
type Limits struct {
	Network   int // TCP_CHECK, HTTP_GET: sockets; 0 is 4096
	Processes int // MISC_CHECK; 0 is 256
}

// Runner executes probes. Its methods may be called from any goroutine.
type Runner struct {
	report func(health.Result)
}

// NewRunner returns a runner that tells every end of a probe by report, from a
// goroutine of its own; a slow report holds up only its own probe.
func NewRunner(limits Limits, report func(health.Result)) *Runner { return &Runner{report: report} }

// Start runs the probe that p asks for against t. It does not block.
func (r *Runner) Start(p health.Probe, t Target) {}

// Cancel ends a probe; its result is not reported any more. A probe that is
// not known is no error.
func (r *Runner) Cancel(c health.Cancel) {}

// Close cancels all probes and waits until they have ended.
func (r *Runner) Close() {}
