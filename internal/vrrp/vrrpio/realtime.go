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
	attr := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR,
		Flags: unix.SCHED_FLAG_RESET_ON_FORK, Priority: rtPriority,
	}
	rtErr := unix.SchedSetAttr(0, &attr, 0)
	if rtErr == nil {
		return func() { ordinary(log) }
	}
	niceErr := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceValue)
	log.Debug("no real-time priority for vrrp", "reason", rtErr, "nice", niceErr == nil)
	return func() { ordinary(log) }
}

// ordinary makes the thread what it was, and releases it. A thread that cannot
// be made ordinary is left locked: it ends with the goroutine.
func ordinary(log *slog.Logger) {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		log.Debug("thread keeps its priority", "reason", err)
		return
	}
	runtime.UnlockOSThread()
}
