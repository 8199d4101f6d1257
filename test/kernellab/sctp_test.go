package kernellab

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// sctpSocket makes an SCTP socket in a host, which package net then takes for
// one of TCP: it is used alike.
func sctpSocket(t *testing.T, h *lab.Host, prepare func(fd int) error) *os.File {
	t.Helper()
	var f *os.File
	err := h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		f = os.NewFile(uintptr(fd), "sctp")
		return prepare(fd)
	})
	if err != nil {
		t.Fatalf("%s: sctp: %v", h.Name(), err)
	}
	return f
}

// echoSCTP sends back what associations of a host get.
func echoSCTP(t *testing.T, h *lab.Host, port int) {
	t.Helper()
	f := sctpSocket(t, h, func(fd int) error {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
			return err
		}
		return unix.Listen(fd, 16)
	})
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 100)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					_, _ = c.Write(buf[:n]) // the client finds out
				}
			}()
		}
	}()
}

// associate opens an SCTP association.
func associate(t *testing.T, h *lab.Host, to netip.AddrPort) net.Conn {
	t.Helper()
	f := sctpSocket(t, h, func(fd int) error {
		return unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	})
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
