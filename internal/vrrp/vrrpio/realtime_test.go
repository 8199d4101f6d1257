package vrrpio

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRealtime: the thread has precedence while it lasts, as far as this
// system permits, and none afterwards.
func TestRealtime(t *testing.T) {
	policy := func() (uint32, int32) {
		t.Helper()
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return attr.Policy, attr.Nice
	}
	before, nice := policy()
	restore := realtime(slog.New(slog.DiscardHandler))
	during, niceDuring := policy()
	if during != unix.SCHED_RR && niceDuring != niceValue {
		// Neither is an error of ours: see whether the system refuses both.
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
		if err := unix.SchedSetAttr(0, &attr, 0); err == nil {
			t.Errorf("policy %d, nice %d, while the system permits a real-time priority", during, niceDuring)
		}
	}
	restore()
	// The goroutine may be on any thread now, none of which may have precedence.
	if after, niceAfter := policy(); after != before || niceAfter != nice {
		t.Errorf("policy %d, nice %d afterwards, before %d, %d", after, niceAfter, before, nice)
	}
}
