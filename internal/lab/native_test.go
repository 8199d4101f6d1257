package lab_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// A frame that a native XDP program sends back arrives, although the receiving
// end of a veth drops such frames when it is not prepared.
func TestNativeXDP(t *testing.T) {
	t.Parallel()
	top := pair
	top.Hosts = append([]lab.HostSpec(nil), pair.Hosts...)
	server := top.Hosts[1]
	server.Ifaces = []lab.IfaceSpec{{Name: "ens3", Segment: "lan", NativeXDP: true}}
	top.Hosts[1] = server
	l := build(t, top)
	const xdpTX = 3
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpTX), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := prog.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Host("server").Do(func() error {
		link, err := netlink.LinkByName("ens3")
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(link, prog.FD(), unix.XDP_FLAGS_DRV_MODE)
	}); err != nil {
		t.Fatal(err)
	}
	client := l.Host("client")
	c, err := client.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	// To everybody, of an ethertype kept for experiments: nobody else speaks it.
	frame := make([]byte, 60)
	copy(frame, net.HardwareAddr{255, 255, 255, 255, 255, 255})
	copy(frame[6:], client.MAC("eth0"))
	copy(frame[12:], []byte{0x88, 0xb5})
	if err := client.Do(func() error { return sendFrame("eth0", frame) }); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		for _, p := range c.Packets() {
			if !p.Outgoing && p.Decode().EtherType == 0x88b5 {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the frame does not come back; captured %d packets", len(c.Packets()))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func sendFrame(iface string, frame []byte) error {
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index}), unix.Close(fd))
}
