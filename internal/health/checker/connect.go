package checker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const defaultTimeout = 5 * time.Second

func (c Connect) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return defaultTimeout
}

// dial connects as c says. The caller closes the connection.
func (c Connect) dial(ctx context.Context) (net.Conn, error) {
	if !c.To.IsValid() || c.To.Port() == 0 {
		return nil, fmt.Errorf("no address and port to connect to")
	}
	d := net.Dialer{Timeout: c.timeout(), KeepAlive: -1}
	if from := c.from(); from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	if c.Device != "" || d.LocalAddr != nil {
		d.Control = func(_, _ string, raw syscall.RawConn) error { return c.prepare(raw) }
	}
	// Not Dialer.DialTCP: it binds even without a local address, to a port that
	// is then our only one towards all servers. Left to connect, the kernel
	// gives one port to many servers, and ten thousand checkers fit.
	return d.DialContext(ctx, "tcp", c.To.String())
}

// from is the local address to bind to, invalid when the kernel chooses all of it.
func (c Connect) from() netip.AddrPort {
	switch {
	case c.From.IsValid():
		return netip.AddrPortFrom(c.From, c.FromPort)
	case c.FromPort == 0:
		return netip.AddrPort{}
	case c.To.Addr().Is4():
		return netip.AddrPortFrom(netip.IPv4Unspecified(), c.FromPort)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), c.FromPort)
}

// prepare sets up the socket before it is bound.
func (c Connect) prepare(raw syscall.RawConn) error {
	var err error
	ctlErr := raw.Control(func(fd uintptr) { err = c.setOptions(int(fd)) })
	if ctlErr != nil {
		return ctlErr
	}
	return err
}

func (c Connect) setOptions(fd int) error {
	if c.FromPort != 0 {
		// The connection of the last check may still be in TIME_WAIT.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return fmt.Errorf("reuse port %d: %w", c.FromPort, err)
		}
	} else if c.From.IsValid() {
		// Again a port by connect and not by bind; works for IPv6 as well.
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fmt.Errorf("bind without port: %w", err)
		}
	}
	if c.Device != "" {
		if err := unix.BindToDevice(fd, c.Device); err != nil {
			return fmt.Errorf("bind to device %s: %w", c.Device, err)
		}
	}
	return nil
}
