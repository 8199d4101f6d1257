package kernellab

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// wire sends frames of our own making from a host's eth0 to one neighbour, so
// that a director sees exactly the packets that a script says.
type wire struct {
	host     *lab.Host
	fd       int
	from, to net.HardwareAddr
}

func newWire(t *testing.T, h *lab.Host, to net.HardwareAddr) *wire {
	t.Helper()
	w := &wire{host: h, from: h.MAC("eth0"), to: to}
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		// Protocol 0: nothing is received.
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return os.NewSyscallError("socket", err)
		}
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	})
	if err != nil {
		t.Fatalf("%s: packet socket: %v", h.Name(), err)
	}
	t.Cleanup(func() { _ = unix.Close(w.fd) })
	return w
}

// send sends one segment or datagram; flags are those of TCP.
func (w *wire) send(t *testing.T, protocol lvs.Protocol, from, to netip.AddrPort, flags uint8) {
	t.Helper()
	eth := layers.Ethernet{SrcMAC: w.from, DstMAC: w.to, EthernetType: layers.EthernetTypeIPv4}
	ip := layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocol(protocol),
		SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice(),
	}
	var transport gopacket.SerializableLayer
	var err error
	if protocol == lvs.TCP {
		tcp := &layers.TCP{
			SrcPort: layers.TCPPort(from.Port()), DstPort: layers.TCPPort(to.Port()), Window: 1000, Seq: 1, Ack: 1,
			FIN: flags&lab.TCPFin != 0, SYN: flags&lab.TCPSyn != 0, RST: flags&lab.TCPRst != 0, ACK: flags&lab.TCPAck != 0,
		}
		transport, err = tcp, tcp.SetNetworkLayerForChecksum(&ip)
	} else {
		udp := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
		transport, err = udp, udp.SetNetworkLayerForChecksum(&ip)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, options, &eth, &ip, transport, gopacket.Payload("0123456789")); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(w.fd, b.Bytes()); err != nil {
		t.Fatal(err)
	}
}
