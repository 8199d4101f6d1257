package xdp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
)

// host is an unnamed network namespace: when its last handle is closed, or
// this process dies, the kernel removes it and everything in it.
type host struct {
	t  *testing.T
	ns netns.NsHandle
	nl *netlink.Handle
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and BPF")
	}
}

// newHost makes a namespace whose loopback is up.
func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends in the namespace
		var err error
		h.ns, err = netns.New()
		done <- err
	}()
	must(t, <-done)
	var err error
	h.nl, err = netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE)
	must(t, err)
	t.Cleanup(func() {
		h.nl.Close()
		_ = h.ns.Close()
	})
	lo, err := h.nl.LinkByName("lo")
	must(t, err)
	must(t, h.nl.LinkSetUp(lo))
	return h
}

// do runs f on a thread of the host.
func (h *host) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(h.ns); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func (h *host) sysctl(key, value string) {
	h.t.Helper()
	must(h.t, h.do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/")), []byte(value), 0o644)
	}))
}

// plug joins a and b by a veth pair.
func plug(t *testing.T, a *host, an string, b *host, bn string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = an
	must(t, a.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: bn, PeerNamespace: netlink.NsFd(b.ns)}))
	for _, e := range []struct {
		h *host
		n string
	}{{a, an}, {b, bn}} {
		l, err := e.h.nl.LinkByName(e.n)
		must(t, err)
		must(t, e.h.nl.LinkSetUp(l))
	}
}

func (h *host) link(name string) netlink.Link {
	h.t.Helper()
	l, err := h.nl.LinkByName(name)
	must(h.t, err)
	return l
}

func (h *host) addr(iface, prefix string) {
	h.t.Helper()
	a, err := netlink.ParseAddr(prefix)
	must(h.t, err)
	must(h.t, h.nl.AddrAdd(h.link(iface), a))
}

func (h *host) gateway(via string) {
	h.t.Helper()
	must(h.t, h.nl.RouteAdd(&netlink.Route{Gw: net.ParseIP(via)}))
}

// lan is a switch with a port to each host.
type lan struct {
	*host
	t *testing.T
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	s := newHost(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	must(t, s.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	must(t, s.nl.LinkSetUp(s.link("br0")))
	return &lan{host: s, t: t}
}

// join plugs a host in; its interface gets the name and address.
func (l *lan) join(h *host, iface, port, prefix string) {
	l.t.Helper()
	plug(l.t, h, iface, l.host, port)
	must(l.t, l.nl.LinkSetMaster(l.link(port), l.link("br0")))
	h.addr(iface, prefix)
}

// stub attaches a program that passes everything to an interface: veth drops
// what native XDP sends to an end that has none.
func (h *host) stub(iface string) {
	h.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "stub", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	must(h.t, err)
	var x link.Link
	must(h.t, h.do(func() (err error) {
		x, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: h.link(iface).Attrs().Index, Flags: link.XDPDriverMode})
		return err
	}))
	h.t.Cleanup(func() {
		_ = x.Close()
		_ = p.Close()
	})
}

// txOff makes the host complete its checksums before it sends.
func (h *host) txOff(iface string) {
	h.t.Helper()
	must(h.t, h.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		value := struct{ cmd, data uint32 }{unix.ETHTOOL_STXCSUM, 0}
		req := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&value)}
		copy(req.name[:], iface)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
			return errno
		}
		return nil
	}))
}

// serve answers on TCP and UDP addr with the host's name, line by line: each
// line is answered by "NAME CLIENT LINE".
func (h *host) serve(name, addr string) {
	h.t.Helper()
	var l net.Listener
	var p net.PacketConn
	must(h.t, h.do(func() (err error) {
		if l, err = net.Listen("tcp4", addr); err != nil {
			return err
		}
		p, err = net.ListenPacket("udp4", addr)
		return err
	}))
	h.t.Cleanup(func() {
		_ = l.Close()
		_ = p.Close()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for r := bufio.NewScanner(c); r.Scan(); {
					if _, err := fmt.Fprintf(c, "%s %s %s\n", name, c.RemoteAddr(), r.Text()); err != nil {
						return
					}
				}
			}()
		}
	}()
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = p.WriteTo(fmt.Appendf(nil, "%s %s %s", name, from, b[:n]), from)
		}
	}()
}

// conn is a client's connection.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// dial connects from the host; network is tcp4 or udp4.
func (h *host) dial(network, addr string) (*conn, error) {
	var c net.Conn
	err := h.do(func() (err error) {
		d := net.Dialer{Timeout: 3 * time.Second}
		c, err = d.DialContext(context.Background(), network, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// ask sends a line and returns the answer's words.
func (c *conn) ask(line string) ([]string, error) {
	if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return nil, err
	}
	udp := strings.HasPrefix(c.LocalAddr().Network(), "udp")
	if !udp {
		line += "\n"
	}
	if _, err := io.WriteString(c.Conn, line); err != nil {
		return nil, err
	}
	if udp {
		b := make([]byte, 2048)
		n, err := c.Read(b)
		return strings.Fields(string(b[:n])), err
	}
	s, err := c.r.ReadString('\n')
	return strings.Fields(s), err
}

// fetch is one short connection; it returns the answering server's name.
func (h *host) fetch(network, addr string) (string, error) {
	c, err := h.dial(network, addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	w, err := c.ask("hello")
	if err != nil || len(w) != 3 || w[2] != "hello" {
		return "", errors.Join(err, fmt.Errorf("answer %q", w))
	}
	if got, want := w[1], c.LocalAddr().String(); got != want {
		return "", fmt.Errorf("the server sees client %s, not %s", got, want)
	}
	return w[0], nil
}

// open opens a dataplane on the host, and removes it at the end.
func (h *host) open(s xdp.Spec) *xdp.Dataplane {
	h.t.Helper()
	if s.PinDir == "" {
		s.PinDir = pinDir(h.t)
	}
	if s.Connections == 0 {
		s.Connections = 4096
	}
	if s.Log == nil {
		s.Log = slog.New(slog.NewTextHandler(testWriter{h.t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	var d *xdp.Dataplane
	must(h.t, h.do(func() (err error) {
		d, err = xdp.Open(s)
		return err
	}))
	h.t.Cleanup(func() { _ = d.Remove() })
	return d
}

// run runs d until the returned function is called, which waits for its end.
func run(t *testing.T, d *xdp.Dataplane) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

func pinDir(t *testing.T) string {
	t.Helper()
	dir := fmt.Sprintf("/sys/fs/bpf/kaname-test-%d-%08x", os.Getpid(), rand.Uint32())
	t.Cleanup(func() {
		for _, d := range []string{dir, dir + "-lock"} {
			if err := os.RemoveAll(d); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
	})
	return dir
}

// eventually polls f until it returns nil.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
