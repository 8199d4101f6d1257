package lab

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Capture records the packets of one interface of a host, both directions.
type Capture struct {
	file    *os.File // the packet socket
	done    chan struct{}
	mu      sync.Mutex
	packets []Packet
}

// Capture starts recording on an interface. End it with Stop.
func (h *Host) Capture(iface string) (*Capture, error) {
	var fd int
	err := h.Do(func() (err error) {
		fd, err = packetSocket(iface)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("host %s: capture on %s: %w", h.spec.Name, iface, err)
	}
	c := &Capture{file: os.NewFile(uintptr(fd), "packet"), done: make(chan struct{})}
	go c.read()
	return c, nil
}

func packetSocket(iface string) (int, error) {
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		return -1, err
	}
	// Protocol 0 until bound: nothing of other interfaces gets in before.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		return -1, errors.Join(os.NewSyscallError("setsockopt", err), unix.Close(fd))
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index}); err != nil {
		return -1, errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
	}
	return fd, nil
}

func (c *Capture) read() {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 1<<16)
	for {
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			failed = c.receive(int(fd), buf)
			return !errors.Is(failed, unix.EAGAIN)
		})
		if err != nil {
			break // Stop has set a deadline
		}
		// Any other failure is ENETDOWN: the link was cut, it may come back.
	}
	// What was on the wire before Stop belongs to the capture.
	_ = raw.Control(func(fd uintptr) {
		for !errors.Is(c.receive(int(fd), buf), unix.EAGAIN) {
		}
	})
}

// receive takes one packet from the socket.
func (c *Capture) receive(fd int, buf []byte) error {
	n, from, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return err
	}
	p := Packet{Time: time.Now(), Data: append([]byte(nil), buf[:n]...)}
	if ll, ok := from.(*unix.SockaddrLinklayer); ok {
		p.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
	}
	c.mu.Lock()
	c.packets = append(c.packets, p)
	c.mu.Unlock()
	return nil
}

// Stop ends the capture and returns its packets: all that passed before it.
func (c *Capture) Stop() []Packet {
	_ = c.file.SetReadDeadline(time.Unix(1, 0)) // fails only on a stopped capture
	<-c.done
	c.file.Close()
	return c.Packets()
}

// Packets are those captured so far.
func (c *Capture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Packet(nil), c.packets...)
}

// WritePcap writes packets as a pcap file with nanosecond times and link type
// Ethernet (draft-ietf-opsawg-pcap).
func WritePcap(w io.Writer, packets []Packet) error {
	b := bufio.NewWriter(w)
	var head []byte
	for _, v := range []uint32{0xa1b23c4d, 4<<16 | 2, 0, 0, 1 << 18, 1} {
		head = binary.LittleEndian.AppendUint32(head, v)
	}
	if _, err := b.Write(head); err != nil {
		return fmt.Errorf("pcap: %w", err)
	}
	for _, p := range packets {
		rec := binary.LittleEndian.AppendUint32(nil, uint32(p.Time.Unix()))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(p.Time.Nanosecond()))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(p.Data)))
		rec = binary.LittleEndian.AppendUint32(rec, uint32(len(p.Data)))
		if _, err := b.Write(append(rec, p.Data...)); err != nil {
			return fmt.Errorf("pcap: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("pcap: %w", err)
	}
	return nil
}
