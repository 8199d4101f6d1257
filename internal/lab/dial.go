package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dialFrom connects from a host. Only making the socket happens on the host's
// thread; the waiting happens in the caller's goroutine, so that hundreds of
// connections can be on their way at once.
func dialFrom(ctx context.Context, h *Host, from, to netip.AddrPort) (net.Conn, error) {
	var fd int
	err := h.Do(func() (err error) {
		fd, err = startConnect(from, to)
		return err
	})
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	// Registered with the poller after connect was called: before it, an idle
	// socket polls as hung up.
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close()
	if err := awaitConnect(ctx, f); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("connection to %s: %w", to, err)
	}
	return c, nil
}

func startConnect(from, to netip.AddrPort) (int, error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if from.Addr().IsValid() {
		if err := unix.Bind(fd, sockaddr(from)); err != nil {
			return -1, errors.Join(os.NewSyscallError("bind", err), unix.Close(fd))
		}
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return -1, errors.Join(os.NewSyscallError("connect", err), unix.Close(fd))
	}
	return fd, nil
}

func awaitConnect(ctx context.Context, f *os.File) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := f.SetDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Write(func(fd uintptr) bool {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			refused = os.NewSyscallError("getsockopt", err)
			return true
		case code != 0:
			refused = os.NewSyscallError("connect", unix.Errno(code))
			return true
		}
		_, err = unix.Getpeername(int(fd))
		return err == nil // ENOTCONN: still on its way
	})
	if refused != nil {
		return refused
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}
