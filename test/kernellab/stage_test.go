package kernellab

import (
	"context"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

func modprobe(t *testing.T, modules ...string) {
	t.Helper()
	if out, err := exec.Command("modprobe", append([]string{"-a"}, modules...)...).CombinedOutput(); err != nil {
		t.Fatalf("modprobe: %v\n%s", err, out)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// stage builds a network for the test.
func stage(t *testing.T, top lab.Topology) *lab.Lab {
	t.Helper()
	l, err := lab.Build(top, lab.Options{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// run runs a program on a host; it must succeed.
func run(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	out, err := h.Run(within(t, 20*time.Second), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually polls until check returns nil. Emulation is slow: the limit is
// there to end a test that will not pass.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	limit := time.Minute
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s not %s: %v", limit, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func sortedValues(m map[string]netip.Addr) []netip.Addr {
	return slices.SortedFunc(maps.Values(m), netip.Addr.Compare)
}
