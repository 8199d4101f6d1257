package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/kaname-lb/kaname/internal/lab"
)

// What is not balanced reaches the director itself while its dataplane is
// attached: a long TCP conversation with its own address (also on the port
// that is balanced on the VIP), one with the VIP on another port, ping, ARP,
// and what the director itself asks of others.
func TestOwnTraffic(t *testing.T) {
	t.Parallel()
	target := netip.MustParseAddrPort(clusterVIP + ":80")
	l := stage(t, cluster())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "rs1", "rs2", "lb1", "client")
	if _, err := lb1.Echo(":22"); err != nil {
		t.Fatal(err)
	}
	capture, err := client.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	d1 := direct(t, lb1, clusterConfig(200, 1, 1))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	attached := status(t, d1).Dataplane.Interfaces
	if len(attached) != 1 || attached[0].Name != "eth0" {
		t.Fatalf("dataplane attached to %+v, want eth0", attached)
	}
	answers(t, client, target)
	results := make(chan *lab.LoadResult, 1)
	go func() {
		results <- client.Load(t.Context(), lab.Load{Target: target, Clients: 20, Duration: 3 * time.Second, Pause: 20 * time.Millisecond})
	}()

	own := netip.MustParseAddr("10.0.0.11")
	converse(t, client, netip.AddrPortFrom(own, 22))
	converse(t, client, netip.AddrPortFrom(target.Addr(), 22))
	if a := get(t, client, netip.AddrPortFrom(own, 80)); a.Server != "lb1" {
		t.Errorf("%s answered on lb1's own address", a.Server)
	}
	if a := get(t, lb1, netip.MustParseAddrPort("10.0.0.1:80")); a.Server != "client" {
		t.Errorf("%s answered lb1's own request", a.Server)
	}
	for _, to := range []netip.Addr{own, target.Addr()} {
		if err := ping(client, to, 10); err != nil {
			t.Errorf("ping %s: %v", to, err)
		}
	}
	r := <-results
	if r.Failed() != 0 || r.ByServer["rs1"] == 0 || r.ByServer["rs2"] == 0 || r.ByServer["lb1"] != 0 {
		t.Errorf("balanced meanwhile: %s", r)
	}
	checkARP(t, capture.Stop(), lb1, own, target.Addr())
}

// A frame that is addressed to another host is not ours, even if a switch
// floods it to us: a director that balanced it would answer beside the one
// that was asked. Here the switch has forgotten the lost master's MAC.
func TestFloodedFrames(t *testing.T) {
	t.Parallel()
	target := netip.MustParseAddrPort(clusterVIP + ":80")
	l := stage(t, cluster())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "rs1", "rs2")
	direct(t, lb1, clusterConfig(200, 1, 1))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	direct(t, lb2, clusterConfig(100, 1, 1))
	answers(t, client, target)
	if err := lb1.Lose(); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		a, err := client.Get(ctx, target)
		cancel()
		if hasAll(lb2, clusterVIP) {
			break // it has taken over and may answer
		}
		asked++
		if err == nil {
			t.Errorf("lb2 balanced a request addressed to lb1's MAC: %s answered it", a.Server)
		}
	}
	if asked == 0 {
		t.Error("lb2 took over before the first request")
	}
}

// converse sends small and large pieces both ways, as an interactive session
// with a file transfer in it does.
func converse(t *testing.T, from *lab.Host, to netip.AddrPort) {
	t.Helper()
	ctx := within(t, 10*time.Second)
	c, err := from.Dial(ctx, to)
	if err != nil {
		t.Errorf("conversation with %s: %v", to, err)
		return
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{1, 40, 1, 1448, 3, 200_000, 1} {
		said := bytes.Repeat([]byte{byte('a' + i)}, size)
		go func() { _, _ = c.Write(said) }() // a failure shows in what comes back
		heard := make([]byte, size)
		if _, err := io.ReadFull(c, heard); err != nil || !bytes.Equal(said, heard) {
			t.Errorf("conversation with %s: piece of %d bytes: same %v, %v", to, size, bytes.Equal(said, heard), err)
			return
		}
	}
}

// ping sends echo requests and wants every reply.
func ping(from *lab.Host, to netip.Addr, count int) error {
	c, err := from.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	for seq := range count {
		m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 4711, Seq: seq, Data: []byte("kaname")}}
		b, err := m.Marshal(nil)
		if err != nil {
			return err
		}
		if _, err := c.WriteTo(b, &net.IPAddr{IP: to.AsSlice()}); err != nil {
			return err
		}
		if err := pong(c, to, seq); err != nil {
			return fmt.Errorf("request %d: %w", seq, err)
		}
	}
	return nil
}

func pong(c net.PacketConn, from netip.Addr, seq int) error {
	buf := make([]byte, 1500)
	for {
		n, addr, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(1, buf[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply || addr.String() != from.String() {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); ok && e.ID == 4711 && e.Seq == seq {
			return nil
		}
	}
}

// checkARP: the director answered ARP for its addresses with its own MAC.
func checkARP(t *testing.T, packets []lab.Packet, h *lab.Host, addrs ...netip.Addr) {
	t.Helper()
	for _, want := range addrs {
		found := false
		for _, p := range packets {
			const header, reply = 14, 2
			if s := p.Decode(); s.EtherType != 0x0806 || len(p.Data) < header+28 || p.Data[header+7] != reply {
				continue
			}
			sender := p.Data[header+8:]
			if netip.AddrFrom4([4]byte(sender[6:10])) == want {
				found = true
				if mac := net.HardwareAddr(sender[:6]); mac.String() != h.MAC("eth0").String() {
					t.Errorf("ARP reply for %s names %s, want %s", want, mac, h.MAC("eth0"))
				}
			}
		}
		if !found {
			t.Errorf("no ARP reply for %s captured", want)
		}
	}
}
