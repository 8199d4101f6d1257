package hostnet

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMonitorOverrun: more happens than the socket holds, before anybody
// reads. What was lost is found by looking.
func TestMonitorOverrun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	runtime.LockOSThread() // the thread, and the namespace with it, ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	n, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if out, err := exec.Command("ip", strings.Fields("link add v0 type veth peer name v1")...).CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	m, err := n.newMonitor(1) // the kernel makes it its minimum
	if err != nil {
		t.Fatal(err)
	}
	const count = 500
	addr := netip.MustParseAddr("10.1.0.0")
	for range count {
		addr = addr.Next()
		if err := n.Add(Address{Interface: "v0", Prefix: netip.PrefixFrom(addr, 32)}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.start(ctx)
	have := map[netip.Prefix]bool{}
	for limit := time.After(10 * time.Second); len(have) < count; {
		select {
		case c := <-m.out:
			if a, ok := c.(AddressChange); ok && a.Added {
				have[a.Prefix] = true
			}
		case <-limit:
			t.Fatalf("%d of %d addresses told", len(have), count)
		}
	}
	cancel()
	for range m.out {
		continue
	}
	if m.overruns == 0 {
		t.Error("nothing was lost: the test does not test what it should")
	}
}
