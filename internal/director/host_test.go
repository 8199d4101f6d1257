package director

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/hostnet"
)

func TestFacts(t *testing.T) {
	p := netip.MustParsePrefix("192.0.2.1/24")
	var f facts
	for i, tt := range []struct {
		change hostnet.Change
		want   bool
	}{
		{hostnet.LinkChange{Interface: "eth0", Up: true}, true},
		{hostnet.LinkChange{Interface: "eth0", Up: true}, false},
		{hostnet.AddressChange{Interface: "eth0", Prefix: p, Added: true}, true},
		{hostnet.AddressChange{Interface: "eth0", Prefix: p, Added: true}, false},
		{hostnet.PrimaryChange{Interface: "eth0", Addr: p.Addr()}, false},
		{hostnet.Synced{}, false},
		{hostnet.LinkChange{Interface: "eth0"}, true},
		{hostnet.AddressChange{Interface: "eth0", Prefix: p}, true},
		{hostnet.AddressChange{Interface: "eth0", Prefix: p}, false},
		{hostnet.LinkChange{Interface: "eth0", Gone: true}, true},
		{hostnet.AddressChange{Interface: "eth0", Prefix: p}, false}, // late: it went with its interface
	} {
		if got := f.apply(tt.change); got != tt.want {
			t.Errorf("change %d, %+v: %t, want %t", i, tt.change, got, tt.want)
		}
	}
	if len(f.links) != 0 {
		t.Errorf("links %v are left of an interface that is gone", f.links)
	}
}

func TestHostAddress(t *testing.T) {
	for word, scope := range map[string]uint8{"": 0, "global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255} {
		a := address("eth0", "192.0.2.1/24")
		a.Scope, a.Label = word, "eth0:1"
		got, err := hostAddress(a)
		want := hostnet.Address{Interface: "eth0", Prefix: a.Prefix, Label: "eth0:1", Scope: scope}
		if d := cmp.Diff(want, got, addrs); err != nil || d != "" {
			t.Errorf("scope %q: %v (-want +got):\n%s", word, err, d)
		}
	}
	if _, err := hostAddress(desired.Address{Scope: "galaxy"}); err == nil || !strings.Contains(err.Error(), "galaxy") {
		t.Errorf("an unknown scope: %v", err)
	}
}

func TestAddressesOf(t *testing.T) {
	var got []string
	for _, a := range addressesOf(parse(t, serviceConfig)) {
		got = append(got, a.String())
	}
	if d := cmp.Diff([]string{"192.0.2.1", "10.0.0.1", "10.0.0.2", "10.0.0.9"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// enter puts the test on a thread in a fresh network namespace that ends with it.
func enter(t *testing.T) *hostnet.Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	runtime.LockOSThread() // and never unlocked: the thread dies with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "add", "b0", "type", "bridge").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
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

// The book knows its own addresses from those of another kaname on the host,
// which carry the same mark, and those that a predecessor left.
func TestAddressBook(t *testing.T) {
	t.Parallel()
	n := enter(t)
	ours, theirs, left := address("b0", "192.0.2.1/32"), address("b0", "192.0.2.2/24"), address("b0", "192.0.2.3/32")
	ours.Scope = "link"
	for _, a := range []desired.Address{theirs, left} {
		if err := newAddressBook(n).Add(a); err != nil {
			t.Fatal(err)
		}
	}
	b := newAddressBook(n)
	b.know([]desired.Address{left, address("b0", "192.0.2.9/32")}) // the last one is gone meanwhile
	if !b.lacks([]desired.Address{left, ours}) || b.lacks([]desired.Address{left}) {
		t.Error("lacks: want what is new, and nothing else")
	}
	if err := b.Add(ours); err != nil {
		t.Fatal(err)
	}
	got, err := b.Addresses()
	if d := cmp.Diff([]desired.Address{ours, left}, got, addrs); err != nil || d != "" {
		t.Errorf("addresses: %v (-want +got):\n%s", err, d)
	}
	if err := b.Remove(left); err != nil {
		t.Fatal(err)
	}
	if got, err = b.Addresses(); err != nil || len(got) != 1 || got[0] != ours {
		t.Errorf("after the removal: %v, %v", got, err)
	}
	if want := []desired.Address{ours, theirs, address("b0", "192.0.2.9/32")}; !cmp.Equal(want, b.with([]desired.Address{theirs}), addrs) {
		t.Errorf("with another: %v, want %v", b.with([]desired.Address{theirs}), want)
	}
}
