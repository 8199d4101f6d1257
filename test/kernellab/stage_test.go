package kernellab

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// group is where IPVS announces connections.
var group = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 81), Port: 8848}

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
	limit := 30 * time.Second
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

// announcer is a socket of the host that sends to the sync group.
func announcer(t *testing.T, h *lab.Host) net.PacketConn {
	t.Helper()
	c, err := h.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// kernelTable reads the kernel's `ipvsadm -Lnc`: client, virtual and
// destination to protocol and state.
func kernelTable(t *testing.T, h *lab.Host) map[string]string {
	t.Helper()
	return connections(t, run(t, h, "ipvsadm", "-Lnc"))
}

func connections(t *testing.T, listing string) map[string]string {
	t.Helper()
	table := map[string]string{}
	for line := range strings.Lines(listing) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] == "pro" || f[0] == "IPVS" {
			continue
		}
		key := fmt.Sprintf("%s %s %s", f[3], f[4], f[5])
		if old, ok := table[key]; ok {
			t.Errorf("listed twice: %s (%s, %s %s)", key, old, f[0], f[2])
		}
		table[key] = f[0] + " " + f[2]
	}
	return table
}

func sortedValues(m map[string]netip.Addr) []netip.Addr {
	return slices.SortedFunc(maps.Values(m), netip.Addr.Compare)
}
