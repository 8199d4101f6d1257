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
func (c Connect) dial(ctx context.Context) (*net.TCPConn, error) {
	if !c.To.IsValid() || c.To.Port() == 0 {
		return nil, fmt.Errorf("no address and port to connect to")
	}
	d := net.Dialer{Timeout: c.timeout(), KeepAlive: -1}
	if c.Device != "" || c.FromPort != 0 {
		d.Control = func(_, _ string, raw syscall.RawConn) error { return c.bindSocket(raw) }
	}
	conn, err := d.DialTCP(ctx, "tcp", c.from(), c.To)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// from is the local address, invalid when the kernel chooses all of it.
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

// bindSocket binds to the device. A fixed port is bound again while the
// connection of the last check is still in TIME_WAIT.
func (c Connect) bindSocket(raw syscall.RawConn) error {
	var err error
	ctlErr := raw.Control(func(fd uintptr) {
		if c.FromPort != 0 {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
				return
			}
		}
		if c.Device != "" {
			if err = unix.BindToDevice(int(fd), c.Device); err != nil {
				err = fmt.Errorf("bind to device %s: %w", c.Device, err)
			}
		}
	})
	if ctlErr != nil {
		return ctlErr
	}
	return err
}
