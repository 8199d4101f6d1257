package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// probes are the kinds that are built.
var probes = map[Kind]Probe{
	TCP:  ProbeTCP,
	HTTP: ProbeHTTP,
	Misc: ProbeMisc,
}

// Run probes t by its kind and measures how long it takes.
func Run(ctx context.Context, t Target) Outcome {
	probe := probes[t.Kind]
	if probe == nil {
		return failed("no checker of kind %q", string(t.Kind))
	}
	start := time.Now()
	o := probe(ctx, t)
	o.Duration = time.Since(start)
	return o
}

func failed(format string, args ...any) Outcome {
	return Outcome{Reason: fmt.Sprintf(format, args...)}
}

// shortages are errors that speak of this host and not of the server: with no
// descriptor left for a socket, taking every server out would be the outage.
var shortages = []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN}

func shortage(err error) bool {
	return slices.ContainsFunc(shortages, func(e error) bool { return errors.Is(err, e) })
}

// reason returns err as one line without the addresses that the reader knows
// ("connect: connection refused").
func reason(ctx context.Context, err error, timeout time.Duration) string {
	switch {
	case ctx.Err() != nil:
		return "cancelled"
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return fmt.Sprintf("timed out after %s", timeout)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if _, ok := errors.AsType[*os.SyscallError](op.Err); ok {
			return op.Err.Error()
		}
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
