package vrrpio_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/announce"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// TestMain lets many tests wait at a time: that is what most of them do, for
// seconds, since version 2 knows no shorter intervals.
func TestMain(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == p.DefValue {
		if err := p.Value.Set("16"); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// host is a network namespace without a name, held by the thread of a
// goroutine, in which functions are run. It ends with the test.
type host struct {
	t     *testing.T
	path  string // of the namespace, as ip(8) takes it
	calls chan func()
	wg    sync.WaitGroup
}

func newHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	h := &host{t: t, calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		h.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- err
		for f := range h.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	t.Cleanup(func() {
		h.wg.Wait()
		close(h.calls)
	})
	h.ip("link set lo up")
	return h
}

// do runs f on a thread in the namespace.
func (h *host) do(f func()) {
	done := make(chan struct{})
	h.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// spawn runs f on another thread in the namespace; the test waits for its end.
func (h *host) spawn(f func()) {
	ns, err := os.Open(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	entered := make(chan error)
	h.wg.Go(func() {
		runtime.LockOSThread()
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		_ = ns.Close()
		entered <- err
		if err == nil {
			f()
		}
	})
	if err := <-entered; err != nil {
		h.t.Fatalf("enter the network namespace: %v", err)
	}
}

// run runs a command in the namespace and returns its output.
func (h *host) run(name string, args ...string) (string, error) {
	var out []byte
	var err error
	h.do(func() { out, err = exec.Command(name, args...).CombinedOutput() })
	return string(out), err
}

// ip runs ip(8) commands, separated by semicolons.
func (h *host) ip(commands string) {
	h.t.Helper()
	for c := range strings.SplitSeq(commands, ";") {
		if out, err := h.run("ip", strings.Fields(c)...); err != nil {
			h.t.Fatalf("ip %s: %v: %s", c, err, out)
		}
	}
}

// has reports whether an address is on v0.
func (h *host) has(addr string) bool {
	h.t.Helper()
	out, err := h.run("ip", "-4", "-o", "addr", "show", "dev", "v0")
	if err != nil {
		h.t.Fatalf("ip addr: %v: %s", err, out)
	}
	return strings.Contains(out, " "+addr+"/")
}

// connect makes a segment of two hosts: v0 with 10.0.0.1 and 10.0.0.2. There
// is a switch in between: a link that one loses is nothing the other notices.
func connect(a, b *host) {
	sw := newHost(a.t)
	sw.ip("link add br0 type bridge; link set br0 up")
	for i, h := range []*host{a, b} {
		h.ip("link add v0 type veth peer name p" + fmt.Sprint(i) + " netns " + sw.path)
		h.ip(fmt.Sprintf("addr add 10.0.0.%d/24 dev v0; link set v0 up", i+1))
		sw.ip(fmt.Sprintf("link set p%d master br0; link set p%d up", i, i))
	}
	for i, h := range []*host{a, b} {
		h.awaitLink("v0", " state UP ")
		sw.awaitLink(fmt.Sprintf("p%d", i), " state UP ")
		sw.awaitLink(fmt.Sprintf("p%d", i), " state forwarding ")
	}
}

// awaitLink waits for what ip(8) says of a link. One that was set up drops
// packets until the kernel finds it operational, and a port of a bridge until
// that noticed it.
func (h *host) awaitLink(dev, text string) {
	h.t.Helper()
	eventually(h.t, dev+text, func() bool {
		out, err := h.run("ip", "-d", "link", "show", "dev", dev)
		return err == nil && strings.Contains(out, text)
	})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen in 15 s", what)
		}
	}
}

// director is a Driver on a host, and what a director does around it: it puts
// the address on the interface and takes it off.
type director struct {
	*vrrpio.Driver
	h      *host
	mortal *mortal
	done   chan struct{}

	mu   sync.Mutex
	told []string // transitions
}

const vip = "10.0.0.100"

// mortal is a Transport that can die: nothing leaves it any more.
type mortal struct {
	*vrrpio.Sockets
	dead atomic.Bool
}

func (m *mortal) Send(iface string, packet []byte) error {
	if m.dead.Load() {
		return nil
	}
	return m.Sockets.Send(iface, packet)
}

// direct starts a director with the real Machine, sockets and ARP.
func direct(h *host, source string, spec vrrp.Spec, resume ...vrrp.Resume) *director {
	h.t.Helper()
	d := &director{h: h, done: make(chan struct{}), mortal: &mortal{}}
	var sockets *vrrpio.Sockets
	var arp *announce.Announcer
	h.do(func() {
		var err error
		if sockets, err = vrrpio.Listen(); err != nil {
			h.t.Error(err)
		}
		if arp, err = announce.New(); err != nil {
			h.t.Error(err)
		}
	})
	d.mortal.Sockets = sockets
	d.Driver = vrrpio.New(vrrpio.Spec{
		Machine: vrrp.New(spec), Election: spec, Transport: d.mortal, Announcer: arp, Realtime: true,
	})
	d.Send(vrrp.LinkChanged{Interface: "v0", Up: true})
	d.Send(vrrp.SourceChanged{Interface: "v0", Addr: netip.MustParseAddr(source)})
	d.Send(vrrp.Start{Resume: resume})
	h.spawn(func() {
		if err := d.Run(context.Background()); err != nil {
			h.t.Error(err)
		}
		if err := sockets.Close(); err != nil {
			h.t.Error(err)
		}
		if err := arp.Close(); err != nil {
			h.t.Error(err)
		}
	})
	h.wg.Go(d.follow)
	h.t.Cleanup(func() { d.stop() })
	return d
}

// follow reads the events and acts on them.
func (d *director) follow() {
	defer close(d.done)
	for e := range d.Events() {
		tr, ok := e.Action.(vrrp.Transition)
		if !ok {
			continue
		}
		d.mu.Lock()
		d.told = append(d.told, tr.To.String())
		d.mu.Unlock()
		switch {
		case tr.To == vrrp.Active:
			d.h.ip("addr add " + vip + "/32 dev v0")
			d.Send(vrrp.AddressesReady{Instance: tr.Instance})
		case tr.From == vrrp.Active:
			d.h.ip("addr del " + vip + "/32 dev v0")
		}
	}
}

// stop stops the director and waits until the address is off.
func (d *director) stop() {
	d.Send(vrrp.Stop{})
	<-d.done
}

func (d *director) state() vrrp.State { return d.Status().Machine.Instances[0].State }

// becomes waits for a state.
func (d *director) becomes(s vrrp.State) {
	d.h.t.Helper()
	eventually(d.h.t, d.h.path+" becomes "+s.String(), func() bool { return d.state() == s })
}

// heardRelease fails the test when a director became master by waiting for a
// whole Active_Down_Interval instead of Skew_Time after priority 0.
func heardRelease(t *testing.T, d *director) {
	t.Helper()
	i := d.Status().Machine.Instances[0]
	if waited := i.Since.Sub(i.LastAdvert); waited >= 3*i.AdvertInterval {
		t.Errorf("master %v after the last advert: priority 0 was not heard", waited)
	}
}
