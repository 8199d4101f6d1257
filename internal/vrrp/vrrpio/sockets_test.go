package vrrpio_test

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// packet returns an IPv4 packet to the VRRP group.
func packet(protocol byte, payload string) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[1], b[8], b[9] = 0x45, 0xc0, 255, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(b[4:], 4711) // else the kernel chooses one
	copy(b[12:], []byte{10, 0, 0, 9})       // nobody: a host drops packets from itself
	group := vrrp.Group.As4()
	copy(b[16:], group[:])
	return append(b, payload...)
}

// sockets opens a Transport on a host.
func sockets(t *testing.T, h *host, ifaces ...vrrpio.Interface) *vrrpio.Sockets {
	t.Helper()
	var s *vrrpio.Sockets
	var err error
	h.do(func() {
		if s, err = vrrpio.Listen(); err == nil {
			s.Open(ifaces)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// receive waits for one packet and returns its interface and payload.
func receive(t *testing.T, s *vrrpio.Sockets) (string, string) {
	t.Helper()
	limit := time.Now().Add(5 * time.Second)
	for time.Now().Before(limit) {
		if iface, p, ok := s.Receive(limit); ok {
			return iface, string(p[20:])
		}
	}
	t.Fatal("no packet in 5 s")
	return "", ""
}

func TestSocketsSendAndReceive(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	connect(a, b)
	a.ip("link add w0 type veth peer name w0 netns " + b.path + "; link set w0 up")
	b.ip("link set w0 up")
	a.awaitLink("w0", " state UP ")
	b.awaitLink("w0", " state UP ")
	from := sockets(t, a, vrrpio.Interface{Name: "v0"}, vrrpio.Interface{Name: "w0"})
	to := sockets(t, b, vrrpio.Interface{Name: "v0", AH: true}, vrrpio.Interface{Name: "w0"})

	for _, tt := range []struct {
		iface, payload string
		protocol       byte
		want           bool
	}{
		{"v0", "plain on v0", vrrp.ProtocolVRRP, true},
		{"w0", "plain on w0", vrrp.ProtocolVRRP, true},
		{"v0", "ah on v0", vrrp.ProtocolAH, true},
		{"w0", "ah on w0, where there is none", vrrp.ProtocolAH, false},
		{"v0", "plain on v0 again", vrrp.ProtocolVRRP, true},
	} {
		if err := from.Send(tt.iface, packet(tt.protocol, tt.payload)); err != nil {
			t.Fatal(err)
		}
		if !tt.want {
			continue
		}
		if iface, payload := receive(t, to); iface != tt.iface || payload != tt.payload {
			t.Errorf("got %q on %s, want %q on %s", payload, iface, tt.payload, tt.iface)
		}
	}
	// A sender does not hear itself, and a past deadline takes only what is there.
	if iface, p, ok := from.Receive(time.Now()); ok {
		t.Errorf("the sender received %q on %s", p, iface)
	}
	if err := from.Send("x0", packet(vrrp.ProtocolVRRP, "")); err == nil || !strings.Contains(err.Error(), "x0: not opened") {
		t.Errorf("send on an interface that was not asked for: %v", err)
	}
	// Two that wait are both taken although the deadline has passed.
	for _, payload := range []string{"one", "two"} {
		if err := from.Send("v0", packet(vrrp.ProtocolVRRP, payload)); err != nil {
			t.Fatal(err)
		}
	}
	if iface, p, ok := to.Receive(time.Now().Add(-time.Second)); !ok || iface != "v0" || string(p[20:]) != "one" {
		t.Errorf("with a past deadline: %q, %v, want the packet that waits", p, ok)
	}
	if _, payload := receive(t, to); payload != "two" {
		t.Errorf("got %q, want the second packet", payload)
	}
}

func TestSocketsWake(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := sockets(t, h)
	s.Wake() // before it waits
	if _, _, ok := s.Receive(time.Time{}); ok {
		t.Error("a packet out of nothing")
	}
	go func() { // while it waits
		time.Sleep(20 * time.Millisecond)
		s.Wake()
	}()
	if _, _, ok := s.Receive(time.Time{}); ok {
		t.Error("a packet out of nothing")
	}
}

// TestSocketsFollowInterface: the interface is missing, comes, goes and comes
// back as another one with the same name.
func TestSocketsFollowInterface(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	v0 := []vrrpio.Interface{{Name: "v0"}}
	s := sockets(t, a, v0...)
	if err := s.Troubles()["v0"]; err == nil || !strings.Contains(err.Error(), "no such interface") {
		t.Errorf("trouble %v, want that the interface is missing", err)
	}
	connect(a, b)
	peer := sockets(t, b, v0...)
	// Nobody says that it is there: it is tried again by itself. Receive does
	// that, in the namespace of its thread.
	eventually(t, "v0 opened", func() bool {
		a.do(func() { s.Receive(time.Now().Add(50 * time.Millisecond)) })
		return s.Troubles() == nil
	})
	exchange := func() {
		t.Helper()
		if err := s.Send("v0", packet(vrrp.ProtocolVRRP, "there")); err != nil {
			t.Fatal(err)
		}
		if _, payload := receive(t, peer); payload != "there" {
			t.Errorf("got %q", payload)
		}
		if err := peer.Send("v0", packet(vrrp.ProtocolVRRP, "back")); err != nil {
			t.Fatal(err)
		}
		if _, payload := receive(t, s); payload != "back" {
			t.Errorf("got %q", payload)
		}
	}
	exchange()

	a.ip("link del v0")
	b.ip("link del v0")
	connect(a, b)
	a.do(func() { s.Open(v0) })
	b.do(func() { peer.Open(v0) })
	exchange()

	a.ip("link set v0 down")
	if err := s.Send("v0", packet(vrrp.ProtocolVRRP, "lost")); err == nil {
		t.Error("no error while the link is down")
	}
	a.ip("link set v0 up")
	eventually(t, "send again", func() bool { return s.Send("v0", packet(vrrp.ProtocolVRRP, "there")) == nil })
}

func TestSocketsFirewall(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	connect(a, b)
	s := sockets(t, a, vrrpio.Interface{Name: "v0"})
	nft(t, a, "output")
	err := s.Send("v0", packet(vrrp.ProtocolVRRP, "no way"))
	if err == nil || !strings.Contains(err.Error(), "packet filter drops outgoing VRRP") {
		t.Errorf("got %v, want an error that names the cause", err)
	}
}

// nft drops protocol 112 in one of the host's hooks.
func nft(t *testing.T, h *host, hook string) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft, of the package nftables")
	}
	for _, args := range []string{
		"add table ip f", "add chain ip f c { type filter hook " + hook + " priority 0 ; }",
		"add rule ip f c ip protocol 112 drop",
	} {
		if out, err := h.run("nft", strings.Fields(args)...); err != nil {
			t.Fatalf("nft %s: %v: %s", args, err, out)
		}
	}
}

func TestNotPermitted(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.do(func() {
		// The namespace's thread alone gives its capabilities up.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Error(err)
		}
		if _, err := vrrpio.Listen(); err == nil || !strings.Contains(err.Error(), "needs root or CAP_NET_RAW") {
			t.Errorf("sockets: got %v, want an error that names the privilege", err)
		}
		if _, err := vrrpio.NewTap(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "needs root or CAP_NET_RAW") {
			t.Errorf("tap: got %v, want an error that names the privilege", err)
		}
	})
}

// TestTwoDirectors runs two Drivers on a real segment: election, loss of the
// link, orderly stop, and a firewall that makes both master.
func TestTwoDirectors(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	connect(a, b)
	tap := observe(t, b)
	first, second := direct(a, "10.0.0.1", election(150)), direct(b, "10.0.0.2", election(100))
	first.becomes(vrrp.Active)
	if second.state() != vrrp.Backup || b.has(vip) {
		t.Errorf("the lower priority is %v, has the address: %v", second.state(), b.has(vip))
	}
	saw(t, tap, "ARP", func(o vrrpio.Observation) bool {
		return o.Kind == vrrpio.ForeignARP && o.VIP.String() == vip && o.Interface == "v0"
	})

	// Loss of the link: the backup hears nothing any more.
	first.Send(vrrp.LinkChanged{Interface: "v0", Up: false})
	a.ip("link set v0 down")
	first.becomes(vrrp.Fault)
	second.becomes(vrrp.Active)
	a.ip("link set v0 up")
	first.Send(vrrp.LinkChanged{Interface: "v0", Up: true})
	first.becomes(vrrp.Active)
	second.becomes(vrrp.Backup)

	// Stop: priority 0, the backup takes over after Skew_Time (0.6 s).
	first.stop()
	second.becomes(vrrp.Active)
	heardRelease(t, second)
	if a.has(vip) {
		t.Error("the stopped director left its address behind")
	}
}

// TestFirewallMakesTwoMasters: b's packet filter drops protocol 112. Both are
// master, and the tap shows why: the adverts are on the wire.
func TestFirewallMakesTwoMasters(t *testing.T) {
	t.Parallel()
	a, b := newHost(t), newHost(t)
	connect(a, b)
	nft(t, b, "input")
	tap := observe(t, b)
	first, second := direct(a, "10.0.0.1", election(150)), direct(b, "10.0.0.2", election(100))
	first.becomes(vrrp.Active)
	second.becomes(vrrp.Active)
	o := saw(t, tap, "advert", func(o vrrpio.Observation) bool { return o.Kind == vrrpio.AdvertOnWire })
	if o.From != netip.MustParseAddr("10.0.0.1") || o.VRID != 51 || o.Priority != 150 || o.Count < 1 {
		t.Errorf("observed %+v", o)
	}
	saw(t, tap, "ARP", func(o vrrpio.Observation) bool { return o.Kind == vrrpio.ForeignARP })
	if got := second.Status().Interfaces["v0"].Delivered; got != 0 {
		t.Errorf("%d packets delivered through the firewall", got)
	}
	eventually(t, "the side without a firewall hears the other and tells of it", func() bool {
		s := first.Status()
		return s.Interfaces["v0"].Delivered > 0 && s.Instances["VI"].Contended > 0
	})
}

// observe starts a Tap for VRID 51 and the virtual address on v0 and waits
// until it runs.
func observe(t *testing.T, h *host) *vrrpio.Tap {
	t.Helper()
	var tap *vrrpio.Tap
	var err error
	h.do(func() { tap, err = vrrpio.NewTap(slog.New(slog.DiscardHandler)) })
	if err != nil {
		t.Fatal(err)
	}
	tap.Watch([]vrrpio.TapInterface{{Name: "v0", VRIDs: []uint8{51}, VIPs: []netip.Addr{netip.MustParseAddr(vip)}}})
	t.Cleanup(func() {
		if err := tap.Close(); err != nil {
			t.Error(err)
		}
		for range tap.Observations() {
			continue
		}
	})
	return tap
}

// saw waits for an observation.
func saw(t *testing.T, tap *vrrpio.Tap, what string, want func(vrrpio.Observation) bool) vrrpio.Observation {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		select {
		case o := <-tap.Observations():
			if want(o) {
				return o
			}
		case <-limit:
			t.Fatalf("the tap saw no %s in 10 s", what)
		}
	}
}
