package kernellab

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
)

// answerUDP answers datagrams in a host with its name and what they said.
func answerUDP(t *testing.T, h *lab.Host, network, listen string) {
	t.Helper()
	c, err := h.ListenPacket(network, listen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			_, _ = c.WriteTo([]byte(h.Name()+" "+string(buf[:n])), from) // a lost answer is asked for again
		}
	}()
}

// flow is a UDP flow of the client.
type flow struct {
	net.PacketConn
	to    netip.AddrPort
	local netip.AddrPort
	asked int
}

func newFlow(t *testing.T, client *lab.Host, from netip.Addr, to netip.AddrPort) *flow {
	t.Helper()
	network := "udp4"
	if to.Addr().Is6() {
		network = "udp6"
	}
	c, err := client.ListenPacket(network, netip.AddrPortFrom(from, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &flow{PacketConn: c, to: to, local: c.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// ask sends one datagram, again when no answer comes, and says who answered.
func (f *flow) ask(t *testing.T) string {
	t.Helper()
	var server string
	eventually(t, fmt.Sprintf("flow %s answered by %s", f.local, f.to), func() error {
		f.asked++
		word := fmt.Sprintf("word %d", f.asked)
		if _, err := f.WriteTo([]byte(word), net.UDPAddrFromAddrPort(f.to)); err != nil {
			return err
		}
		if err := f.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		buf := make([]byte, 100)
		for {
			n, from, err := f.ReadFrom(buf)
			if err != nil {
				return err
			}
			name, said, _ := strings.Cut(string(buf[:n]), " ")
			if said == word && from.(*net.UDPAddr).AddrPort() == f.to {
				server = name
				return nil
			}
		}
	})
	return server
}
