package vrrpio

import (
	"log/slog"
	"runtime"

	"golang.org/x/sys/unix"
)

// What is asked for. The lowest real-time priority is above every ordinary
// process; more would only put us above other real-time ones.
const (
	rtPriority = 1
	niceValue  = -10
)

// realtime keeps the calling goroutine on its thread and gives the thread
// precedence: SCHED_RR where that is permitted, else a better nice value, else
// nothing, which is no error. restore gives everything back. Threads and
// processes that the thread starts do not inherit it.
func realtime(log *slog.Logger) (restore func()) {
	runtime.LockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		log.Debug("no precedence for vrrp", "reason", err)
		return runtime.UnlockOSThread
	}
	attr := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR,
		Flags: unix.SCHED_FLAG_RESET_ON_FORK, Priority: rtPriority,
	}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		niceErr := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceValue)
		log.Debug("no real-time priority for vrrp", "reason", err, "nice", niceErr == nil)
	}
	return func() { giveBack(before, log) }
}

// giveBack makes the thread what it was, and releases it. A thread for which
// that fails is left locked: it ends with the goroutine.
func giveBack(before *unix.SchedAttr, log *slog.Logger) {
	if err := unix.SchedSetAttr(0, before, 0); err != nil {
		log.Debug("thread keeps its precedence", "reason", err)
		return
	}
	runtime.UnlockOSThread()
}
