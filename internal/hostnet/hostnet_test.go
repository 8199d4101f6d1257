package hostnet_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/hostnet"
)

// prefixes lets go-cmp compare addresses.
var prefixes = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.EquateEmpty()}

// enter puts the test on a thread in a fresh network namespace. The thread,
// and the namespace with it, ends with the test's goroutine.
func enter(t *testing.T) *hostnet.Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	n, err := hostnet.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// ip runs ip(8) commands, separated by semicolons, in the thread's namespace.
func ip(t *testing.T, commands string) {
	t.Helper()
	for c := range strings.SplitSeq(commands, ";") {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", c, err, out)
		}
	}
}

// awaitUp waits until links are operational, some time after they were set up.
func awaitUp(t *testing.T, n *hostnet.Network, names ...string) {
	t.Helper()
	for _, name := range names {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			l, err := n.Link(name)
			if err != nil {
				t.Fatal(err)
			}
			if l.Up {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s did not come up in 10 s", name)
			}
		}
	}
}

func address(iface, prefix string) hostnet.Address {
	return hostnet.Address{Interface: iface, Prefix: netip.MustParsePrefix(prefix)}
}

func TestAddRemove(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 type veth peer name p0; link set p0 up; link set v0 up; addr add 10.0.0.1/24 dev v0")

	plain := address("v0", "10.0.0.100/32")
	full := hostnet.Address{
		Interface: "v0", Prefix: netip.MustParsePrefix("10.0.5.101/24"),
		Broadcast: netip.MustParseAddr("10.0.5.255"), Label: "v0:vip", Scope: unix.RT_SCOPE_LINK,
	}
	for range 2 { // the second time there is nothing to do
		for _, a := range []hostnet.Address{plain, full} {
			if err := n.Add(a); err != nil {
				t.Fatal(err)
			}
		}
		got, err := n.Addresses()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]hostnet.Address{plain, full}, got, prefixes); d != "" {
			t.Errorf("addresses that are ours (-want +got):\n%s", d)
		}
	}
	for range 2 {
		if err := errors.Join(n.Remove(plain), n.Remove(full)); err != nil {
			t.Fatal(err)
		}
		got, err := n.Leftovers([]hostnet.Address{plain, full, address("v0", "10.0.0.1/24")})
		if err != nil {
			t.Fatal(err)
		}
		want := []hostnet.Leftover{{Address: hostnet.Address{
			Interface: "v0", Prefix: netip.MustParsePrefix("10.0.0.1/24"),
		}}}
		if d := cmp.Diff(want, got, prefixes); d != "" {
			t.Errorf("addresses left (-want +got):\n%s", d)
		}
	}
}

func TestAddRemoveErrors(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 type veth peer name p0; link set p0 up")
	tests := []struct {
		name string
		err  error
		is   error
		text string
	}{
		{"add, no interface", n.Add(address("none0", "10.0.0.1/32")), hostnet.ErrNoInterface, "add address 10.0.0.1/32 to none0: interface none0: no such interface"},
		{"add, impossible name", n.Add(address("a-name-that-is-too-long", "10.0.0.1/32")), hostnet.ErrNoInterface, "a-name-that-is-too-long"},
		{"add, IPv6", n.Add(address("v0", "fd00::1/64")), nil, "not an IPv4 address"},
		{"add, nothing", n.Add(hostnet.Address{Interface: "v0"}), nil, "not an IPv4 address"},
		{"add, bad label", n.Add(hostnet.Address{Interface: "v0", Prefix: netip.MustParsePrefix("10.0.0.1/32"), Label: strings.Repeat("x", 40)}), nil, "add address 10.0.0.1/32 to v0"},
		{"remove, IPv6", n.Remove(address("v0", "fd00::1/64")), nil, "not an IPv4 address"},
	}
	for _, tt := range tests {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.text) || (tt.is != nil && !errors.Is(tt.err, tt.is)) {
			t.Errorf("%s: got %v, want %v with %q", tt.name, tt.err, tt.is, tt.text)
		}
	}
	if err := n.Remove(address("none0", "10.0.0.1/32")); err != nil {
		t.Errorf("remove from an interface that is gone: %v", err)
	}
	if _, err := n.Link("none0"); !errors.Is(err, hostnet.ErrNoInterface) {
		t.Errorf("link: got %v, want %v", err, hostnet.ErrNoInterface)
	}
	if _, err := n.Primary("none0"); !errors.Is(err, hostnet.ErrNoInterface) {
		t.Errorf("primary: got %v, want %v", err, hostnet.ErrNoInterface)
	}
	if _, err := n.Primary("v0"); !errors.Is(err, hostnet.ErrNoAddress) {
		t.Errorf("primary: got %v, want %v", err, hostnet.ErrNoAddress)
	}
}

func TestNotPermitted(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 type veth peer name p0; link set p0 up")
	// The test's thread alone gives its capabilities up; it ends with the test.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"add":    n.Add(address("v0", "10.0.0.1/32")),
		"remove": n.Remove(address("v0", "10.0.0.1/32")),
	} {
		if !errors.Is(err, hostnet.ErrNotPermitted) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("%s: got %v, want %v", name, err, hostnet.ErrNotPermitted)
		}
	}
	if _, err := n.Monitor(t.Context()); err != nil {
		t.Errorf("monitor needs no privilege, got %v", err)
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 type veth peer name p0; link set p0 up; link add v1 type veth peer name p1;"+
		"addr add 10.0.0.1/24 dev v0; addr add 10.0.0.100/32 dev v0; addr add 10.0.0.100/32 dev v1")
	if err := n.Add(address("v1", "10.0.0.102/32")); err != nil {
		t.Fatal(err)
	}
	// Another run finds them: nothing is remembered but on the host.
	next, err := hostnet.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close() })
	got, err := next.Leftovers([]hostnet.Address{address("v0", "10.0.0.100/24")})
	if err != nil {
		t.Fatal(err)
	}
	want := []hostnet.Leftover{
		{Address: address("v0", "10.0.0.100/32")},
		{Address: address("v1", "10.0.0.102/32"), Marked: true},
	}
	if d := cmp.Diff(want, got, prefixes); d != "" {
		t.Errorf("left over (-want +got):\n%s", d)
	}
}

func TestPrimary(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 type veth peer name p0; link set p0 up; link set v0 up; addr add 169.254.1.1/16 dev v0 scope link")
	want := func(addr string) {
		t.Helper()
		got, err := n.Primary("v0")
		if err != nil || got.String() != addr {
			t.Errorf("primary address %s, %v, want %s", got, err, addr)
		}
	}
	want("169.254.1.1")
	if err := n.Add(address("v0", "10.0.0.9/24")); err != nil {
		t.Fatal(err)
	}
	want("169.254.1.1") // ours is not meant
	ip(t, "addr add 10.0.0.8/32 dev v0; addr add 10.0.1.2/24 dev v0; addr add 10.0.1.1/24 dev v0")
	want("10.0.0.8")
	n.SetVirtual([]netip.Addr{netip.MustParseAddr("10.0.0.8")})
	want("10.0.1.2")
	ip(t, "addr del 10.0.1.2/24 dev v0") // takes the secondary one along, or promotes it
	n.SetVirtual(nil)
	want("10.0.0.8")
}

func TestLookup(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link set lo up; link add v0 type veth peer name p0; link set p0 up; link set v0 up; addr add 10.0.0.1/24 dev v0; addr add fd00::1/64 dev v0 nodad;"+
		"route add 10.9.0.0/16 via 10.0.0.254; route add blackhole 10.8.0.0/16")
	v0, err := n.Link("v0")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		dst  string
		want hostnet.Route
		err  string
	}{
		{dst: "10.0.0.7", want: hostnet.Route{Index: v0.Index, Interface: "v0", Source: netip.MustParseAddr("10.0.0.1")}},
		{dst: "10.9.1.1", want: hostnet.Route{
			Index: v0.Index, Interface: "v0",
			Gateway: netip.MustParseAddr("10.0.0.254"), Source: netip.MustParseAddr("10.0.0.1"),
		}},
		{dst: "10.0.0.1", want: hostnet.Route{Index: 1, Interface: "lo", Source: netip.MustParseAddr("10.0.0.1"), Local: true}},
		{dst: "fd00::7", want: hostnet.Route{Index: v0.Index, Interface: "v0", Source: netip.MustParseAddr("fd00::1")}},
		{dst: "10.8.0.1", err: "route to 10.8.0.1: "},
		{dst: "192.0.2.1", err: "route to 192.0.2.1: network is unreachable"},
	}
	for _, tt := range tests {
		got, err := n.Lookup(netip.MustParseAddr(tt.dst))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %+v, %v, want error %q", tt.dst, got, err, tt.err)
			}
			continue
		}
		if d := cmp.Diff(tt.want, got, prefixes); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.dst, err, d)
		}
	}
	if _, err := n.Lookup(netip.Addr{}); err == nil {
		t.Error("no error for no destination")
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 mtu 1400 type veth peer name v1; link set v0 address 02:00:00:00:00:01; link set v0 up")
	l, err := n.Link("v0")
	if err != nil {
		t.Fatal(err)
	}
	if l.Kind != "veth" || l.MTU != 1400 || l.MAC.String() != "02:00:00:00:00:01" || l.Up {
		t.Errorf("got %+v, want a veth that is down, since its peer is", l)
	}
	ip(t, "link set v1 up")
	awaitUp(t, n, "v0", "v1")
	all, err := n.Links()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range all {
		names = append(names, fmt.Sprintf("%s %v", l.Name, l.Up))
	}
	if d := cmp.Diff([]string{"lo false", "v1 true", "v0 true"}, names); d != "" {
		t.Errorf("interfaces (-want +got):\n%s", d)
	}
}

// expect reads changes until the last wanted one and compares them as text.
func expect(t *testing.T, changes <-chan hostnet.Change, want ...string) {
	t.Helper()
	limit := time.After(10 * time.Second)
	var got []string
	for len(got) < len(want) {
		select {
		case c, ok := <-changes:
			if !ok {
				t.Fatalf("the channel was closed after %q, want %q", got, want)
			}
			got = append(got, text(c))
		case <-limit:
			t.Fatalf("changes: got %q, want %q", got, want)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
}

func text(c hostnet.Change) string {
	switch c := c.(type) {
	case hostnet.LinkChange:
		return fmt.Sprintf("link %s up=%v gone=%v", c.Interface, c.Up, c.Gone)
	case hostnet.Synced:
		return "synced"
	case hostnet.PrimaryChange:
		return fmt.Sprintf("primary %s %s", c.Interface, c.Addr)
	case hostnet.AddressChange:
		return fmt.Sprintf("address %s %s added=%v marked=%v", c.Interface, c.Prefix, c.Added, c.Marked)
	}
	return fmt.Sprintf("unknown %T", c)
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 type veth peer name v1; link set v0 up; link set v1 up; addr add 10.0.0.1/24 dev v0")
	awaitUp(t, n, "v0", "v1")
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := n.Monitor(ctx)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, changes,
		"link lo up=false gone=false", "link v1 up=true gone=false", "link v0 up=true gone=false",
		"address v0 10.0.0.1/24 added=true marked=false", "primary v0 10.0.0.1", "synced")

	ip(t, "link set v1 down") // no carrier on v0
	expectSet(t, changes, "link v0 up=false gone=false", "link v1 up=false gone=false")
	ip(t, "link set v1 up")
	expectSet(t, changes, "link v0 up=true gone=false", "link v1 up=true gone=false")

	if err := n.Add(address("v0", "10.0.0.100/32")); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "address v0 10.0.0.100/32 added=true marked=true")
	ip(t, "addr del 10.0.0.100/32 dev v0")
	expect(t, changes, "address v0 10.0.0.100/32 added=false marked=true")
	ip(t, "addr add 10.0.0.2/32 dev v0; addr del 10.0.0.1/24 dev v0")
	expect(t, changes,
		"address v0 10.0.0.2/32 added=true marked=false",
		"address v0 10.0.0.1/24 added=false marked=false", "primary v0 10.0.0.2")
	n.SetVirtual([]netip.Addr{netip.MustParseAddr("10.0.0.2")})
	expect(t, changes, "primary v0 invalid IP")
	n.SetVirtual(nil)
	expect(t, changes, "primary v0 10.0.0.2")

	// A port that leaves a bridge is told with the same message as its end.
	ip(t, "link add br0 type bridge; link set v0 master br0; link set v0 nomaster; link del br0")
	expect(t, changes, "link br0 up=false gone=false", "link br0 up=false gone=true")

	ip(t, "link set v0 down; link set v0 name w0; link del w0")
	expectSet(t, changes,
		"link v0 up=false gone=false", "link v1 up=false gone=false",
		"address v0 10.0.0.2/32 added=false marked=false", "primary v0 invalid IP", "link v0 up=false gone=true",
		"link w0 up=false gone=false", "address w0 10.0.0.2/32 added=true marked=false", "primary w0 10.0.0.2",
		"address w0 10.0.0.2/32 added=false marked=false", "primary w0 invalid IP", "link w0 up=false gone=true",
		"link v1 up=false gone=true")
	cancel()
	for c := range changes {
		t.Errorf("change after the end: %s", text(c))
	}
}

// expectSet is expect for changes whose order is the kernel's affair.
func expectSet(t *testing.T, changes <-chan hostnet.Change, want ...string) {
	t.Helper()
	left := map[string]bool{}
	for _, w := range want {
		left[w] = true
	}
	for limit := time.After(10 * time.Second); len(left) > 0; {
		select {
		case c := <-changes:
			if !left[text(c)] {
				t.Errorf("change that was not expected: %s", text(c))
			}
			delete(left, text(c))
		case <-limit:
			t.Fatalf("changes that did not come: %v", left)
		}
	}
}

// TestMonitorKeepsUp changes more than any socket buffer holds while nobody
// receives, and finds the present state in the end.
func TestMonitorKeepsUp(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ip(t, "link add v0 type veth peer name p0; link set p0 up")
	changes, err := n.Monitor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const count = 2000
	addr := netip.MustParseAddr("10.1.0.0")
	for range count {
		addr = addr.Next()
		if err := n.Add(address("v0", addr.String()+"/32")); err != nil {
			t.Fatal(err)
		}
	}
	have := map[netip.Prefix]bool{}
	limit := time.After(20 * time.Second)
	for len(have) < count {
		select {
		case c := <-changes:
			if a, ok := c.(hostnet.AddressChange); ok && a.Added {
				have[a.Prefix] = true
			}
		case <-limit:
			t.Fatalf("%d of %d addresses told", len(have), count)
		}
	}
}
