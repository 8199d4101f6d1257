package connsyncio_test

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/lab"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		master, backup connsyncio.Spec
		refused        string // reason
		failed         string // what the catch-up says
	}{
		"the master has none":       {connsyncio.Spec{}, connsyncio.Spec{Secret: "s"}, "auth", ""},
		"the master has another":    {connsyncio.Spec{Secret: "x"}, connsyncio.Spec{Secret: "s"}, "auth", ""},
		"the backup has none":       {connsyncio.Spec{Secret: "s"}, connsyncio.Spec{}, "", "this director has none"},
		"both have the same":        {connsyncio.Spec{Secret: "s"}, connsyncio.Spec{Secret: "s"}, "", ""},
		"another syncid":            {connsyncio.Spec{SyncID: 1}, connsyncio.Spec{SyncID: 2}, "syncid", ""},
		"a backup takes all of 0":   {connsyncio.Spec{SyncID: 1}, connsyncio.Spec{SyncID: 0}, "", ""},
		"syncid 0 is for 0s only":   {connsyncio.Spec{SyncID: 0}, connsyncio.Spec{SyncID: 2}, "syncid", ""},
		"keyed and the same syncid": {connsyncio.Spec{Secret: "s", SyncID: 9}, connsyncio.Spec{Secret: "s"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := segment(t, "a", "b")
			tt.master.CatchUp, tt.backup.CatchUp = true, true
			ta := newFake()
			ta.Change(connections(0, 10)...)
			a := start(t, l.Host("a"), tt.master, ta, true, false)
			b := start(t, l.Host("b"), tt.backup, newFake(), false, true)
			if tt.refused != "" {
				await(t, "messages are refused", 10*time.Second, func() bool { return b.Status().Received.Refused[tt.refused] > 1 })
				if c, ok := b.condition("sync-refused"); !ok || !strings.Contains(c.What, "192.0.2.1 ("+tt.refused+")") {
					t.Errorf("condition %+v", c)
				}
				if s := b.Status(); b.table.len() != 0 || len(s.Peers) != 0 || s.CatchUp != nil {
					t.Errorf("a refused sender got through: %+v", s)
				}
				return
			}
			b.hears(t, 1)
			a.table.Change(connections(100, 10)...)
			want := 20
			if tt.failed != "" {
				want = 10
				await(t, "the catch-up fails", 10*time.Second, func() bool {
					c := b.Status().CatchUp
					return c != nil && c.State == "failed" && strings.Contains(c.Error, tt.failed)
				})
				if _, ok := b.condition("sync-catch-up"); !ok {
					t.Error("no condition")
				}
			}
			await(t, "connections arrive", 10*time.Second, func() bool { return b.table.len() == want })
		})
	}
}

// TestWrongKeyGetsNothing asks a master for its table with another key.
func TestWrongKeyGetsNothing(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b")
	ta := newFake()
	ta.Change(connections(0, 10)...)
	start(t, l.Host("a"), connsyncio.Spec{CatchUp: true, Secret: "right"}, ta, true, false)
	// What a master with another key announces leads nowhere; ask all the same.
	b := start(t, l.Host("b"), connsyncio.Spec{CatchUp: true, Secret: "wrong"}, newFake(), false, true)
	await(t, "the master is there", 5*time.Second, func() bool { return b.Status().Received.Refused["auth"] > 0 })
	err := b.Ask(netip.MustParseAddrPort("192.0.2.1:8848"))
	if err == nil || !strings.Contains(err.Error(), "sync_key") {
		t.Errorf("asking with a wrong key: %v", err)
	}
	if n := b.table.len(); n != 0 {
		t.Errorf("%d connections were given out", n)
	}
}

func TestReplayIsRefused(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b", "c")
	spec := connsyncio.Spec{Secret: "s"}
	b := start(t, l.Host("b"), spec, newFake(), false, true)
	a := start(t, l.Host("a"), spec, newFake(), true, false)
	b.hears(t, 1)
	capture, err := l.Host("b").Capture(iface)
	if err != nil {
		t.Fatal(err)
	}
	a.table.Change(connections(0, 5)...)
	await(t, "the connections arrive", 5*time.Second, func() bool { return b.table.len() == 5 })
	a.stop()
	recorded := payloads(capture.Stop())
	if len(recorded) == 0 {
		t.Fatal("nothing was captured")
	}
	before := b.Status().Received
	replay(t, l.Host("a"), recorded)
	await(t, "the replay is refused", 5*time.Second, func() bool {
		return b.Status().Received.Refused["replay"] == before.Refused["replay"]+uint64(len(recorded))
	})
	replay(t, l.Host("c"), recorded)
	await(t, "so it is from another address", 5*time.Second, func() bool {
		return b.Status().Received.Refused["auth"] == uint64(len(recorded))
	})
	if after := b.Status().Received; after.Connections != before.Connections {
		t.Errorf("%d connections were taken from a replay", after.Connections-before.Connections)
	}
}

func TestIdleCallersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	l := segment(t, "a", "b", "c")
	ta := newFake()
	ta.Change(connections(0, 1000)...)
	a := start(t, l.Host("a"), connsyncio.Spec{CatchUp: true}, ta, true, false)
	await(t, "the interface is open", 5*time.Second, func() bool { return a.Status().Sent.Datagrams > 0 })
	for i := range 40 {
		c, err := l.Host("c").Dial(t.Context(), netip.MustParseAddrPort("192.0.2.1:8848"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%4 == 0 {
			if _, err := c.Write(bytes.Repeat([]byte("GET /"), 20)); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := start(t, l.Host("b"), connsyncio.Spec{CatchUp: true}, newFake(), false, true)
	await(t, "the table is complete", 5*time.Second, func() bool { return b.table.len() == 1000 })
}

// payloads are those of the UDP datagrams to the sync port.
func payloads(packets []lab.Packet) (out [][]byte) {
	for _, p := range packets {
		if len(p.Data) > 42 && bytes.Equal(p.Data[36:38], []byte{0x22, 0x90}) {
			out = append(out, p.Data[42:])
		}
	}
	return out
}

// replay sends datagrams from a host to the default group.
func replay(t *testing.T, h *lab.Host, datagrams [][]byte) {
	t.Helper()
	group := netip.MustParseAddrPort("224.0.0.81:8848")
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName(iface)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(ifi.Index)}); err != nil {
			return err
		}
		for _, d := range datagrams {
			if err := unix.Sendto(fd, d, 0, &unix.SockaddrInet4{Port: int(group.Port()), Addr: group.Addr().As4()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
