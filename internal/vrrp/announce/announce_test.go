package announce_test

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/vrrp/announce"
)

// enter puts the test on a thread in a fresh network namespace with a veth
// pair v0, v1. Thread and namespace end with the test's goroutine.
func enter(t *testing.T) *announce.Announcer {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	ip(t, "link add v0 type veth peer name v1; link set v0 address 02:07:00:00:00:11; link set v0 up; link set v1 up")
	awaitUp(t)
	a, err := announce.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func ip(t *testing.T, commands string) {
	t.Helper()
	for c := range strings.SplitSeq(commands, ";") {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", c, err, out)
		}
	}
}

// awaitUp waits until v0 is operational: it drops packets until then.
func awaitUp(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		out, err := exec.Command("ip", "link", "show", "dev", "v0").CombinedOutput()
		if err != nil {
			t.Fatalf("ip link: %v: %s", err, out)
		}
		if strings.Contains(string(out), " state UP ") {
			return
		}
	}
	t.Fatal("v0 did not come up in 10 s")
}

// listen opens a socket that receives all ARP of an interface.
func listen(t *testing.T, iface string) int {
	t.Helper()
	const proto = 0x0608 // ETH_P_ARP in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.BindToDevice(fd, iface); err != nil {
		t.Fatal(err)
	}
	timeout := unix.NsecToTimeval((5 * time.Second).Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return fd
}

func receive(t *testing.T, fd int) []byte {
	t.Helper()
	b := make([]byte, 2048)
	n, _, err := unix.Recvfrom(fd, b, 0)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return b[:n]
}

// golden is the frame that keepalived 2.2.7 sent as 02:07:00:00:00:11 for
// 10.7.0.100 (capture v2-pass).
var golden = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x07, 0x00, 0x00, 0x00, 0x11, 0x08, 0x06, 0x00, 0x01,
	0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0x07, 0x00, 0x00, 0x00, 0x11, 0x0a, 0x07, 0x00, 0x64,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a, 0x07, 0x00, 0x64,
}

func TestAnnounceAsKeepalived(t *testing.T) {
	t.Parallel()
	a := enter(t)
	fd := listen(t, "v1")
	if err := a.Announce("v0", []netip.Addr{netip.MustParseAddr("10.7.0.100")}, 1); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(golden, receive(t, fd)); d != "" {
		t.Errorf("frame (-keepalived +ours):\n%s", d)
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	a := enter(t)
	fd := listen(t, "v1")
	source, target := netip.MustParseAddr("10.7.0.11"), netip.MustParseAddr("10.7.0.100")
	if err := a.Ask("v0", source, target); err != nil {
		t.Fatal(err)
	}
	p := gopacket.NewPacket(receive(t, fd), layers.LayerTypeEthernet, gopacket.Default)
	arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || arp.Operation != layers.ARPRequest {
		t.Fatalf("not a request: %v", p)
	}
	got := [][]byte{arp.SourceHwAddress, arp.SourceProtAddress, arp.DstHwAddress, arp.DstProtAddress}
	want := [][]byte{{2, 7, 0, 0, 0, 0x11}, source.AsSlice(), make([]byte, 6), target.AsSlice()}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("question (-want +got):\n%s", d)
	}
	if err := a.Ask("v0", source, netip.MustParseAddr("fd00::1")); err == nil {
		t.Error("no error for an IPv6 address")
	}
}

func TestAnnounceOrder(t *testing.T) {
	t.Parallel()
	a := enter(t)
	fd := listen(t, "v1")
	addrs := []netip.Addr{netip.MustParseAddr("10.7.0.100"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("::ffff:10.7.0.101")}
	err := a.Announce("v0", addrs, 3)
	if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.Contains(err.Error(), "fd00::1 on v0: not an IPv4 address") {
		t.Errorf("got %v, want one error about the IPv6 address", err)
	}
	var got []string
	for range 6 {
		p := gopacket.NewPacket(receive(t, fd), layers.LayerTypeEthernet, gopacket.Default)
		arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
		if !ok || arp.Operation != layers.ARPRequest || string(arp.SourceProtAddress) != string(arp.DstProtAddress) {
			t.Fatalf("not a gratuitous request: %v", p)
		}
		addr, _ := netip.AddrFromSlice(arp.SourceProtAddress)
		got = append(got, addr.String())
	}
	want := []string{"10.7.0.100", "10.7.0.101", "10.7.0.100", "10.7.0.101", "10.7.0.100", "10.7.0.101"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("announced (-want +got):\n%s", d)
	}
}

// TestInterfaceReturns: the same name may be another interface the next time.
func TestInterfaceReturns(t *testing.T) {
	t.Parallel()
	a := enter(t)
	vip := []netip.Addr{netip.MustParseAddr("10.7.0.100")}
	ip(t, "link del v0")
	if err := a.Announce("v0", vip, 1); err == nil || !strings.Contains(err.Error(), "announce on v0: no such interface") {
		t.Errorf("got %v, want an error about the missing interface", err)
	}
	ip(t, "link add v0 type veth peer name v1; link set v0 address 02:07:00:00:00:11")
	if err := a.Announce("v0", vip, 1); err == nil || !strings.Contains(err.Error(), "announce 10.7.0.100 on v0: network is down") {
		t.Errorf("got %v, want an error about the link", err)
	}
	ip(t, "link set v0 up; link set v1 up")
	awaitUp(t)
	fd := listen(t, "v1")
	if err := a.Announce("v0", vip, 1); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(golden, receive(t, fd)); d != "" {
		t.Errorf("frame (-keepalived +ours):\n%s", d)
	}
}

func TestAnnounceErrors(t *testing.T) {
	t.Parallel()
	a := enter(t)
	vip := []netip.Addr{netip.MustParseAddr("10.7.0.100")}
	for iface, want := range map[string]string{
		"none0":                   "no such interface",
		"a-name-that-is-too-long": "no such interface",
		"lo":                      "not an Ethernet interface",
	} {
		if err := a.Announce(iface, vip, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", iface, err, want)
		}
	}
}

func TestNotPermitted(t *testing.T) {
	t.Parallel()
	enter(t)
	// The test's thread alone gives its capabilities up; it ends with the test.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := announce.New(); err == nil || !strings.Contains(err.Error(), "needs root or CAP_NET_RAW") {
		t.Errorf("got %v, want an error that names the privilege", err)
	}
}
