package vrrpio

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

const (
	// receiveBuffer holds a second of adverts of the busiest segment there is
	// (255 routers, 100 a second) many times over.
	receiveBuffer = 1 << 20
	// prioControl is TC_PRIO_CONTROL: before the bulk traffic of a busy link.
	prioControl = 7
)

var errNotOpened = errors.New("not opened")

// port is the sockets of one interface.
type port struct {
	name      string
	ah        bool
	index     int
	receivers []int // protocol 112, and 51 with ah
	sender    int   // valid while receivers are
	err       error // why it is not open
}

// refresh makes the port open on the interface that has its name now.
func (p *port) refresh(ioctl int) {
	index, err := ifIndex(ioctl, p.name)
	if err == nil && p.err == nil && index == p.index {
		return
	}
	p.close()
	if err == nil {
		err = p.open(index)
	}
	p.err = err
	if err != nil {
		p.close()
	}
}

func (p *port) open(index int) error {
	p.index = index
	protocols := []int{vrrp.ProtocolVRRP}
	if p.ah {
		protocols = append(protocols, vrrp.ProtocolAH)
	}
	sender, err := openSender(index)
	if err != nil {
		return err
	}
	p.sender = sender
	for _, protocol := range protocols {
		fd, err := openReceiver(index, protocol)
		if err != nil {
			_ = unix.Close(sender)
			return err
		}
		p.receivers = append(p.receivers, fd)
	}
	return nil
}

// close closes what is open. Errors of closing sockets mean nothing.
func (p *port) close() {
	if len(p.receivers) > 0 {
		_ = unix.Close(p.sender)
	}
	for _, fd := range p.receivers {
		_ = unix.Close(fd)
	}
	p.receivers = nil
}

// send sends one packet, header included.
func (p *port) send(packet []byte) error {
	if len(p.receivers) == 0 {
		return p.err
	}
	to := &unix.SockaddrInet4{Addr: vrrp.Group.As4()}
	err := unix.Sendto(p.sender, packet, unix.MSG_DONTWAIT, to)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
		return fmt.Errorf("send: %w", ErrBusy)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("send: %w: this host's packet filter drops outgoing VRRP (protocols 112 and 51)", err)
	}
	return fmt.Errorf("send: %w", err)
}

// openSender opens a socket for packets with their IP header.
func openSender(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, fmt.Errorf("raw socket: %w", err)
	}
	mreq := &unix.IPMreqn{Multiaddr: vrrp.Group.As4(), Ifindex: int32(index)}
	err = errors.Join(
		option("SO_BINDTOIFINDEX", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index)),
		option("IP_MULTICAST_IF", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq)),
		option("IP_MULTICAST_LOOP", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0)),
		option("SO_PRIORITY", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, prioControl)),
	)
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// openReceiver opens a socket for adverts that come in on one interface.
func openReceiver(index, protocol int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return 0, fmt.Errorf("raw socket for protocol %d: %w", protocol, err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		// Without CAP_NET_ADMIN the system's limit has to do.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	mreq := &unix.IPMreqn{Multiaddr: vrrp.Group.As4(), Ifindex: int32(index)}
	err = errors.Join(
		option("SO_BINDTOIFINDEX", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index)),
		option("IP_MULTICAST_ALL", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)),
		option("IP_ADD_MEMBERSHIP", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq)),
	)
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	drain(fd)
	return fd, nil
}

func option(name string, err error) error {
	if err != nil {
		return fmt.Errorf("socket option %s: %w", name, err)
	}
	return nil
}

// drain throws away what came in on other interfaces before the socket was
// bound to its own.
func drain(fd int) {
	var b [1]byte
	for limit := time.Now().Add(100 * time.Millisecond); time.Now().Before(limit); {
		if _, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}
