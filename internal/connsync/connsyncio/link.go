package connsyncio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer holds what arrives while the table takes the last batch:
	// some 10,000 datagrams.
	receiveBuffer = 16 << 20
	sendBuffer    = 4 << 20
	maxDatagram   = 1 << 16
	batchLen      = 32
)

// link is the daemon's sockets on the interface as it is now.
type link struct {
	index  int
	mtu    int
	failed atomic.Bool
	source netip.Addr // of what is sent, with a zone if it needs one
	send   *net.UDPConn
	recv   *net.UDPConn
	batch  interface {
		ReadBatch(ms []ipv4.Message, flags int) (int, error)
	}
}

// open makes the sockets. It fails while the interface is not there, is down
// or has no address.
func open(spec Spec) (*link, error) {
	ifi, err := net.InterfaceByName(spec.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", spec.Interface, err)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("interface %s: is down", spec.Interface)
	}
	l := &link{index: ifi.Index, mtu: ifi.MTU}
	if l.send, err = sender(spec, ifi.Index); err != nil {
		return nil, fmt.Errorf("interface %s: send to %s: %w", spec.Interface, spec.Group, err)
	}
	l.source = l.send.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if l.recv, err = receiver(spec, ifi.Index); err != nil {
		closeAll(l.send)
		return nil, fmt.Errorf("interface %s: join %s: %w", spec.Interface, spec.Group, err)
	}
	if spec.Group.Is4() {
		l.batch = ipv4.NewPacketConn(l.recv)
	} else {
		l.batch = ipv6.NewPacketConn(l.recv)
	}
	return l, nil
}

func (l *link) close() { closeAll(l.send, l.recv) }

func closeAll(cs ...io.Closer) {
	for _, c := range cs {
		c.Close()
	}
}

// current reports whether the link still fits the interface: it may have been
// made anew, or have another address.
func (l *link) current(spec Spec) error {
	ifi, err := net.InterfaceByName(spec.Interface)
	switch {
	case err != nil:
		return fmt.Errorf("interface %s: %w", spec.Interface, err)
	case ifi.Index != l.index || ifi.MTU != l.mtu:
		return fmt.Errorf("interface %s: has changed", spec.Interface)
	case ifi.Flags&net.FlagUp == 0:
		return fmt.Errorf("interface %s: is down", spec.Interface)
	}
	probe, err := sender(spec, ifi.Index)
	if err != nil {
		return fmt.Errorf("interface %s: send to %s: %w", spec.Interface, spec.Group, err)
	}
	defer closeAll(probe)
	if now := probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(); now != l.source {
		return fmt.Errorf("interface %s: has address %s now, not %s", spec.Interface, now, l.source)
	}
	return nil
}

// option is one socket option.
type option struct {
	level, name, value int
	may                bool // it is no matter if the kernel does not have it
}

// socket makes a UDP socket with options and has set finish it.
func socket(spec Spec, options []option, set func(fd int) error) (_ *net.UDPConn, err error) {
	family := unix.AF_INET
	if spec.Group.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "sync")
	defer file.Close()
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil && !o.may {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := set(fd); err != nil {
		return nil, err
	}
	c, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

func address(spec Spec, index int) unix.Sockaddr {
	if spec.Group.Is4() {
		return &unix.SockaddrInet4{Port: int(spec.Port), Addr: spec.Group.As4()}
	}
	return &unix.SockaddrInet6{Port: int(spec.Port), Addr: spec.Group.As16(), ZoneId: uint32(index)}
}

// sender makes the socket that sends. Being connected it keeps its source
// address, which the proof of origin depends on.
func sender(spec Spec, index int) (*net.UDPConn, error) {
	options := []option{
		{unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer, true},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer, true},
	}
	if spec.Group.Is4() {
		options = append(options,
			option{unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, spec.TTL, false},
			option{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0, false},
			option{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT, false},
			option{unix.IPPROTO_IP, unix.IP_RECVERR, 1, false}) // else a full queue is no error
	} else {
		options = append(options,
			option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index, false},
			option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, spec.TTL, false},
			option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0, false},
			option{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT, false},
			option{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1, false})
	}
	return socket(spec, options, func(fd int) error {
		if spec.Group.Is4() {
			if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)}); err != nil {
				return os.NewSyscallError("multicast interface", err)
			}
		}
		if err := unix.Connect(fd, address(spec, index)); err != nil {
			return os.NewSyscallError("connect", err)
		}
		local, err := unix.Getsockname(fd)
		if err != nil {
			return os.NewSyscallError("getsockname", err)
		}
		if v4, ok := local.(*unix.SockaddrInet4); ok && v4.Addr == [4]byte{} {
			return errors.New("the interface has no IPv4 address")
		}
		return nil
	})
}

// receiver makes the socket that has joined the group on the interface.
func receiver(spec Spec, index int) (*net.UDPConn, error) {
	options := []option{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, false},
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, true},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer, true},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer, true},
	}
	if spec.Group.Is4() {
		options = append(options,
			option{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0, false},
			option{unix.IPPROTO_IP, unix.IP_PKTINFO, 1, false})
	} else {
		options = append(options,
			option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, false},
			option{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0, true},
			option{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1, false})
	}
	return socket(spec, options, func(fd int) error {
		if err := unix.Bind(fd, address(spec, index)); err != nil {
			return os.NewSyscallError("bind", err)
		}
		var err error
		if spec.Group.Is4() {
			err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
				&unix.IPMreqn{Multiaddr: spec.Group.As4(), Ifindex: int32(index)})
		} else {
			err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
				&unix.IPv6Mreq{Multiaddr: spec.Group.As16(), Interface: uint32(index)})
		}
		return os.NewSyscallError("join group", err)
	})
}

// control is what the kernel says beside a datagram: the interface it came in
// on, and how many it has dropped for this socket so far.
func control(b []byte) (index int, dropped uint32) {
	for len(b) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= 4:
			index = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 20:
			index = int(binary.NativeEndian.Uint32(data[16:]))
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			dropped = binary.NativeEndian.Uint32(data)
		}
		b = rest
	}
	return index, dropped
}
