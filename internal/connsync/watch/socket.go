package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	readBatch   = 16
	maxDatagram = 1 << 16
	// receiveBuffer is what is asked of the kernel. Without privileges it gives
	// at most net.core.rmem_max.
	receiveBuffer = 8 << 20
)

// socket hears the groups of one family on one interface and port.
type socket struct {
	seat   seat
	groups []netip.Addr
	conn   *net.UDPConn
	batch  interface {
		ReadBatch([]ipv4.Message, int) (int, error)
	}
	running bool
}

func openSocket(at seat, groups []netip.Addr) (*socket, error) {
	network := "udp4"
	if at.v6 {
		network = "udp6"
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = socketOptions(int(fd), at.v6) }); cerr != nil {
			return cerr
		}
		return err
	}}
	pc, err := lc.ListenPacket(context.Background(), network, ":"+strconv.Itoa(int(at.port)))
	if err != nil {
		return nil, fmt.Errorf("port %d: %w", at.port, err)
	}
	conn, ok := pc.(*net.UDPConn)
	if !ok {
		return nil, fmt.Errorf("port %d: no UDP socket but %T", at.port, pc)
	}
	s := &socket{seat: at, conn: conn}
	for _, g := range groups {
		if g.Is6() == at.v6 {
			s.groups = append(s.groups, g)
		}
	}
	if err := s.join(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// socketOptions lets others share the port, takes only what this socket joined
// itself, and has the kernel count what it drops.
func socketOptions(fd int, v6 bool) error {
	all := [2]int{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL}
	if v6 {
		all = [2]int{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL}
	}
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1),
		unix.SetsockoptInt(fd, all[0], all[1], 0),
	)
}

func (s *socket) join() error {
	iface := &net.Interface{Index: s.seat.index, Name: s.seat.iface}
	var joinGroup func(*net.Interface, net.Addr) error
	if s.seat.v6 {
		pc := ipv6.NewPacketConn(s.conn)
		s.batch, joinGroup = pc, pc.JoinGroup
		if err := pc.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true); err != nil {
			return err
		}
	} else {
		pc := ipv4.NewPacketConn(s.conn)
		s.batch, joinGroup = pc, pc.JoinGroup
		if err := pc.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true); err != nil {
			return err
		}
	}
	for _, g := range s.groups {
		if err := joinGroup(iface, &net.UDPAddr{IP: g.AsSlice()}); err != nil {
			return fmt.Errorf("join %s: %w", g, err)
		}
	}
	return nil
}

// read hands over what arrives until the socket is closed.
func (s *socket) read(lost *atomic.Uint64, take func([]Datagram)) {
	msgs := make([]ipv4.Message, readBatch)
	for i := range msgs {
		msgs[i].Buffers, msgs[i].OOB = [][]byte{make([]byte, maxDatagram)}, make([]byte, 128)
	}
	batch := make([]Datagram, 0, readBatch)
	var overflow uint32 // the kernel's count, modulo 2^32
	for {
		n, err := s.batch.ReadBatch(msgs, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // a socket of a vanished interface: the next scan closes it
			time.Sleep(100 * time.Millisecond)
			continue
		}
		now := time.Now()
		batch = batch[:0]
		for _, m := range msgs[:n] {
			a := control(m.OOB[:m.NN])
			if a.counted {
				lost.Add(uint64(a.dropped - overflow))
				overflow = a.dropped
			}
			// Not for us: unicast to the port; and a group of IPv6 that another
			// socket joined on another interface, which the kernel gives to all.
			if !slices.Contains(s.groups, a.to) || s.seat.v6 && a.index != s.seat.index {
				continue
			}
			d := Datagram{Interface: s.seat.iface}
			d.Time, d.Dst, d.Payload, d.Fragments = now, netip.AddrPortFrom(a.to, s.seat.port), m.Buffers[0][:m.N], 1
			if from, ok := m.Addr.(*net.UDPAddr); ok {
				ap := from.AddrPort()
				d.Src = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
			}
			batch = append(batch, d)
		}
		if len(batch) > 0 {
			take(batch)
		}
	}
}

// arrival is what the kernel says about a datagram besides its bytes.
type arrival struct {
	to      netip.Addr
	index   int    // of the interface
	dropped uint32 // so far, by this socket
	counted bool   // dropped is told; the kernel begins with the first drop
}

func control(oob []byte) (a arrival) {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			a.index, a.to = int(binary.NativeEndian.Uint32(data)), netip.AddrFrom4([4]byte(data[8:12]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			a.index, a.to = int(binary.NativeEndian.Uint32(data[16:])), netip.AddrFrom16([16]byte(data[:16]))
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			a.dropped, a.counted = binary.NativeEndian.Uint32(data), true
		}
	}
	return a
}
