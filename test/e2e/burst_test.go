package e2e

import (
	wire "encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// TCP flags of what flood sends.
const (
	synFlag = 0x02
	ackFlag = 0x10
)

// flood sends a segment for each of the flags of n connections to a service, as
// fast as the segment takes them; nobody answers. With a SYN and an ACK they are
// established.
func flood(t *testing.T, from *lab.Host, mac net.HardwareAddr, to netip.AddrPort, n int, flags ...byte) {
	t.Helper()
	var fd int
	var index int
	err := from.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		iface, err := net.InterfaceByName("eth0")
		if err == nil {
			index = iface.Index
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}()
	frame := make([]byte, 54)
	copy(frame[0:], mac)
	copy(frame[6:], from.MAC("eth0"))
	wire.BigEndian.PutUint16(frame[12:], unix.ETH_P_IP)
	ip, tcp := frame[14:34], frame[34:54]
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_TCP
	wire.BigEndian.PutUint16(ip[2:], 40)
	dst := to.Addr().As4()
	copy(ip[16:], dst[:])
	wire.BigEndian.PutUint16(tcp[2:], to.Port())
	tcp[12] = 5 << 4
	addr := &unix.SockaddrLinklayer{Ifindex: index}
	send := func() {
		for {
			err := unix.Sendto(fd, frame, 0, addr)
			if err == nil {
				return
			}
			if err != unix.ENOBUFS {
				t.Fatal(err)
			}
		}
	}
	for i := range n {
		// 20,000 ports of as many clients as it takes.
		wire.BigEndian.PutUint32(ip[12:], 0xac100001+uint32(i/20000))
		wire.BigEndian.PutUint16(tcp[0:], uint16(10000+i%20000))
		wire.BigEndian.PutUint16(ip[10:], 0)
		wire.BigEndian.PutUint16(ip[10:], headerChecksum(ip)) // bridges look at it
		for _, tcp[13] = range flags {
			send()
		}
	}
}

// headerChecksum is that of an IPv4 header (RFC 1071).
func headerChecksum(h []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(h); i += 2 {
		sum += uint32(wire.BigEndian.Uint16(h[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// 100,000 connections that come as fast as frames can be sent reach the backup:
// whatever the daemon did not keep up with is counted and made good.
func TestBurstReachesTheBackup(t *testing.T) {
	t.Parallel()
	const n = 100_000
	target := netip.AddrPortFrom(netip.MustParseAddr(clusterVIP), sessionPort)
	l := stage(t, cluster())
	client, lb1, lb2 := l.Host("client"), l.Host("lb1"), l.Host("lb2")
	serve(t, l, ":80", "rs1", "rs2")
	for _, name := range []string{"rs1", "rs2"} {
		if err := l.Host(name).AddDrop(lab.Drop{Incoming: true, Protocol: unix.IPPROTO_TCP, Port: sessionPort}); err != nil {
			t.Fatal(err)
		}
	}
	d1 := direct(t, lb1, syncing(200))
	moved(t, 10*time.Second, lb1, lb2, clusterVIP)
	d2 := direct(t, lb2, syncing(100))
	answers(t, client, netip.MustParseAddrPort(clusterVIP+":80"))
	began := time.Now()
	flood(t, client, lb1.MAC("eth0"), target, n, synFlag, ackFlag)
	t.Logf("%d connections in %s", n, time.Since(began).Round(time.Millisecond))
	// A web request through the middle of it all.
	get(t, client, netip.MustParseAddrPort(clusterVIP+":80"))
	established := func(d *lab.Director) int {
		return strings.Count(tool(t, d, "ipvs", "-Lnc"), "ESTABLISHED 172.16.")
	}
	eventually(t, 10*time.Second, "all of the burst in lb1's table", func() error {
		if got := established(d1); got != n {
			return fmt.Errorf("%d of %d: %v\n%s", got, n, len(listed(t, d1)), tool(t, d1, "status"))
		}
		return nil
	})
	eventually(t, 30*time.Second, "all of the burst on lb2", func() error {
		if got := established(d2); got != n {
			return fmt.Errorf("%d of %d; lb1 %+v, lb2 %+v", got, n, status(t, d1).Sync, status(t, d2).Sync)
		}
		return nil
	})
	s1, s2 := status(t, d1).Sync, status(t, d2).Sync
	t.Logf("sent %+v, received %+v", s1.Sent, s2.Received)
}
