package xdp_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// A process that ends without a word leaves everything forwarding, and the
// next one goes on with every connection, count and cursor.
func TestAdoption(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.NAT)
	spec := xdp.Spec{PinDir: pinDir(t)}
	set := []lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.NAT, 1, 1), service(lvs.UDP, lvs.MH, lvs.NAT, 3, 2)}
	d := s.director.open(spec)
	if d.Adopted() {
		t.Error("the first Open adopted something")
	}
	stop := run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	must(t, d.Set(set))
	s.ready(d)

	held, err := s.client.dial("tcp4", vip+":80")
	must(t, err)
	defer func() { _ = held.Close() }()
	first, err := held.ask("before")
	must(t, err)
	before := d.Services()

	if _, err := s.director.tryOpen(spec); !errors.Is(err, xdp.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second Open while the first lives: %v, want ErrInUse with our process id", err)
	}
	stop()
	must(t, d.Close())

	// Nobody is there; packets go on.
	answer, err := held.ask("orphan")
	if err != nil || answer[0] != first[0] {
		t.Fatalf("connection without a process: %q, %v", answer, err)
	}
	name, err := s.client.fetch("tcp4", vip+":80")
	if err != nil || name == first[0] {
		t.Fatalf("new connection without a process: %q, %v; want the other server than %q", name, err, first[0])
	}

	d = s.director.open(spec)
	if !d.Adopted() || !d.Status().Adopted {
		t.Error("the second Open did not adopt")
	}
	run(t, d)
	written := d.Writes()
	must(t, d.SetInterfaces(s.ifaces))
	must(t, d.Set(set))
	if n := d.Writes() - written; n != 0 {
		t.Errorf("the same Set after an adoption wrote %d times", n)
	}
	if answer, err = held.ask("after"); err != nil || answer[0] != first[0] {
		t.Fatalf("connection after the adoption: %q, %v", answer, err)
	}
	// rr's turn was kept too: it is the first server's.
	if name, err = s.client.fetch("tcp4", vip+":80"); err != nil || name != first[0] {
		t.Errorf("next connection: %q, %v, want %q", name, err, first[0])
	}
	after := d.Services()
	if got, want := after[0].Counters.Conns, before[0].Counters.Conns+2; got != want {
		t.Errorf("connections counted: %d, want %d", got, want)
	}
	if n := len(slices.Collect(d.Connections)); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func (h *host) tryOpen(s xdp.Spec) (d *xdp.Dataplane, err error) {
	err = h.do(func() (err error) {
		d, err = xdp.Open(s)
		return err
	})
	return d, err
}

// After Remove nothing of the dataplane is left on the host.
func TestRemoveLeavesNothing(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	for _, mode := range []xdp.Mode{xdp.TC, xdp.Generic} {
		dir := pinDir(t)
		d, err := s.director.tryOpen(xdp.Spec{PinDir: dir, Mode: mode, Connections: 128})
		must(t, err)
		must(t, d.SetInterfaces(s.ifaces))
		must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.DR, 1, 1)}))
		must(t, d.Remove())
		for _, p := range []string{dir, dir + "-lock"} {
			if _, err := os.Stat(p); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s after Remove: %v", mode, p, err)
			}
		}
		if x := s.director.link("eth0").Attrs().Xdp; x != nil && x.Attached {
			t.Errorf("%s: an XDP program is attached after Remove", mode)
		}
		must(t, s.director.do(func() error {
			r, err := link.QueryPrograms(link.QueryOptions{Target: s.director.link("eth0").Attrs().Index, Attach: ebpf.AttachTCXIngress})
			if err == nil && len(r.Programs) > 0 {
				t.Errorf("%s: %d TC programs are attached after Remove", mode, len(r.Programs))
			}
			return err
		}))
	}
}

func TestSetIsIdempotent(t *testing.T) {
	needRoot(t)
	t.Parallel()
	d := newHost(t).open(xdp.Spec{})
	var set []lvs.ServiceSet
	for i, kind := range []lvs.Scheduler{lvs.RR, lvs.WRR, lvs.LC, lvs.WLC, lvs.SH, lvs.MH} {
		s := service(lvs.TCP, kind, lvs.DR, 3, 0)
		s.Port = uint16(80 + i)
		set = append(set, s)
	}
	must(t, d.Set(set))
	n := d.Writes()
	must(t, d.Set(set))
	if got := d.Writes(); got != n {
		t.Errorf("the same Set wrote %d times", got-n)
	}
	set[1].Destinations[0].Weight = 5
	must(t, d.Set(set))
	if got := d.Writes() - n; got == 0 || got > 8 {
		t.Errorf("one changed weight wrote %d times", got)
	}
	must(t, d.Set(nil))
	if got := d.Services(); len(got) != 0 {
		t.Errorf("after an empty Set: %+v", got)
	}
}

func TestSetRefuses(t *testing.T) {
	needRoot(t)
	t.Parallel()
	d := newHost(t).open(xdp.Spec{})
	good := service(lvs.TCP, lvs.RR, lvs.DR, 1, 1)
	twice := service(lvs.UDP, lvs.RR, lvs.DR, 1, 1)
	twice.Destinations = append(twice.Destinations, twice.Destinations[0])
	v6 := service(lvs.TCP, lvs.RR, lvs.DR, 1)
	v6.Addr = netip.MustParseAddr("2001:db8::1")
	mark := service(lvs.TCP, lvs.RR, lvs.DR, 1)
	mark.FWMark = 7
	dh := service(lvs.TCP, lvs.DH, lvs.DR, 1)
	dh.Port = 81
	tun := service(lvs.TCP, lvs.RR, lvs.TUN, 1)
	tun.Port = 82
	err := d.Set([]lvs.ServiceSet{good, good, twice, v6, mark, dh, tun})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"TCP 10.0.0.100:80: given twice", "server 10.0.0.11:80: given twice", "only IPv4", "firewall marks",
		`scheduler "dh": scheduler not supported yet`, "forwarding method TUN is not supported yet",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	// What is good is in force all the same.
	if got := d.Services(); len(got) != 3 || len(got[0].Destinations) != 2 || len(got[1].Destinations) != 2 {
		t.Errorf("services %+v", got)
	}
}

// A removed server's connections are dropped, not moved, and go on when it is
// back; its slot is free once they have timed out.
func TestRemovedServer(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	d := s.director.open(xdp.Spec{})
	run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	both := []lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.DR, 1, 1)}
	must(t, d.Set(both))
	s.ready(d)
	held := map[string]*conn{}
	for range 2 {
		c, err := s.client.dial("tcp4", vip+":80")
		must(t, err)
		defer func() { _ = c.Close() }()
		w, err := c.ask("hello")
		must(t, err)
		held[w[0]] = c
	}
	if len(held) != 2 {
		t.Fatalf("rr sent both connections to one server: %v", held)
	}

	one := []lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.DR, 1)}
	must(t, d.Set(one)) // without "two"
	for range 4 {
		if name, err := s.client.fetch("tcp4", vip+":80"); err != nil || name != "one" {
			t.Fatalf("new connection after the removal: %q, %v", name, err)
		}
	}
	if _, err := held["one"].ask("still"); err != nil {
		t.Errorf("connection of the server that stays: %v", err)
	}
	drops := d.Status().Reasons["destination-removed"]
	must(t, held["two"].SetDeadline(time.Now().Add(300*time.Millisecond)))
	_, err := held["two"].Write([]byte("gone\n"))
	must(t, err)
	eventually(t, "drop of the removed server's packets", func() error {
		if d.Status().Reasons["destination-removed"] == drops {
			return errors.New("none dropped")
		}
		return nil
	})

	must(t, d.Set(both)) // back: the retransmission gets through
	must(t, held["two"].SetDeadline(time.Now().Add(5*time.Second)))
	if line, err := held["two"].r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "two") {
		t.Errorf("connection of the server that came back: %q, %v", line, err)
	}
}

// Quiescing keeps connections and sends no new ones.
func TestQuiesce(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	d := s.director.open(xdp.Spec{})
	run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	for _, kind := range []lvs.Scheduler{lvs.RR, lvs.WRR, lvs.LC, lvs.WLC} {
		must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, kind, lvs.DR, 0, 1)}))
		s.ready(d)
		c, err := s.client.dial("tcp4", vip+":80")
		must(t, err)
		if w, err := c.ask("hello"); err != nil || w[0] != "two" {
			t.Fatalf("%s: %q, %v", kind, w, err)
		}
		must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, kind, lvs.DR, 1, 0)}))
		for range 3 {
			if name, err := s.client.fetch("tcp4", vip+":80"); err != nil || name != "one" {
				t.Errorf("%s: new connection: %q, %v", kind, name, err)
			}
		}
		if _, err := c.ask("still"); err != nil {
			t.Errorf("%s: connection of the quiesced server: %v", kind, err)
		}
		_ = c.Close()
	}
}

// Slots come free again, and a new owner of one does not inherit flows: UDP
// entries of the old generation are dead at once.
func TestSlotsAreReused(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	d := s.director.open(xdp.Spec{})
	run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	must(t, d.SetTimeouts(lvs.Timeouts{UDP: time.Second}))
	udp := service(lvs.UDP, lvs.RR, lvs.DR, 1)
	must(t, d.Set([]lvs.ServiceSet{udp}))
	s.ready(d)
	if name, err := s.client.fetch("udp4", vip+":80"); err != nil || name != "one" {
		t.Fatalf("%q, %v", name, err)
	}
	must(t, d.Set(nil))
	if n := d.Draining(); n != 1 {
		t.Errorf("%d servers drain after the removal, want 1", n)
	}
	eventually(t, "slot of a drained server", func() error {
		if n := d.Draining(); n != 0 {
			return fmt.Errorf("%d servers drain", n)
		}
		return nil
	})
	eventually(t, "expiry of the entries", func() error {
		if n := d.Status().Connections.Entries; n != 0 {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
}

// A real server that answers with another MAC address is followed.
func TestMACChange(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	d := s.director.open(xdp.Spec{})
	run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.DR, 1)}))
	s.ready(d)
	if _, err := s.client.fetch("tcp4", vip+":80"); err != nil {
		t.Fatal(err)
	}
	eth := s.s1.link("eth0")
	must(t, s.s1.nl.LinkSetHardwareAddr(eth, net.HardwareAddr{2, 0, 0, 0, 0, 0x99}))
	// The server speaks to the director, as any traffic or its ARP would do.
	eventually(t, "traffic to the new address", func() error {
		if c, err := s.s1.dial("udp4", "10.0.0.2:9"); err == nil {
			_, _ = c.Write([]byte("x"))
			_ = c.Close()
		}
		_, err := s.client.fetch("tcp4", vip+":80")
		return err
	})
}

// The director's own traffic is not touched while the dataplane is attached.
func TestOwnTraffic(t *testing.T) {
	needRoot(t)
	for _, mode := range []xdp.Mode{xdp.TC, xdp.Generic, xdp.Native} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, lvs.DR)
			if mode == xdp.Native {
				s.natively()
			}
			s.director.serve("director", "0.0.0.0:22")
			d := s.director.open(xdp.Spec{Mode: mode})
			run(t, d)
			must(t, d.SetInterfaces(s.ifaces))
			must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.DR, 1, 1)}))
			s.ready(d)
			for _, to := range []string{"10.0.0.2:22", vip + ":22"} {
				if name, err := s.client.fetch("tcp4", to); err != nil || name != "director" {
					t.Errorf("%s: %q, %v", to, name, err)
				}
			}
			if name, err := s.director.fetch("tcp4", "10.0.0.11:80"); err == nil {
				t.Errorf("the server answers %q at its own address, where it does not listen", name)
			} else if !strings.Contains(err.Error(), "refused") {
				t.Errorf("the director's own connection to a server: %v, want refused", err)
			}
			// ARP: the client forgets the director and asks again.
			for _, n := range must2(s.client.nl.NeighList(0, netlink.FAMILY_V4)) {
				must(t, s.client.nl.NeighDel(&n))
			}
			for _, to := range []string{"10.0.0.2", vip} {
				if err := s.client.ping(to); err != nil {
					t.Errorf("ping %s: %v", to, err)
				}
			}
			if err := s.director.ping(client); err != nil {
				t.Errorf("ping from the director: %v", err)
			}
		})
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ping sends one echo request and waits for its answer.
func (h *host) ping(to string) error {
	var c net.PacketConn
	if err := h.do(func() (err error) {
		c, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	}); err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	req := []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1} // type 8, checksum, id 1, sequence 1
	if _, err := c.WriteTo(req, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	b := make([]byte, 256)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		if n >= 8 && b[0] == 0 && from.String() == to {
			return nil
		}
	}
}

// An interface that vanishes and comes back is attached again.
func TestInterfaceComesBack(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	d := s.director.open(xdp.Spec{})
	run(t, d)
	must(t, d.SetInterfaces([]string{"eth0", "late0.7"}))
	mode := func(name string) string {
		for _, i := range d.Status().Interfaces {
			if i.Name == name {
				return i.Mode
			}
		}
		return "not listed"
	}
	if got := mode("late0.7"); got != "" {
		t.Errorf("mode of an interface that is not there: %q", got)
	}
	other := newHost(t)
	for round := range 2 {
		plug(t, s.director, "late0.7", other, fmt.Sprint("x", round))
		eventually(t, "attachment", func() error {
			if got := mode("late0.7"); got != "tc" {
				return fmt.Errorf("mode %q", got)
			}
			return nil
		})
		must(t, s.director.nl.LinkDel(s.director.link("late0.7")))
		eventually(t, "detachment", func() error {
			if got := mode("late0.7"); got != "" {
				return fmt.Errorf("mode %q", got)
			}
			return nil
		})
	}
	if got := mode("eth0"); got != "tc" {
		t.Errorf("eth0 is in mode %q", got)
	}
}

// Somebody else's XDP program is named and left alone; TC serves beside it.
func TestConflict(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "stranger", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	must(t, err)
	defer func() { _ = p.Close() }()
	var x link.Link
	must(t, s.director.do(func() (err error) {
		x, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: s.director.link("eth0").Attrs().Index, Flags: link.XDPGenericMode})
		return err
	}))
	defer func() { _ = x.Close() }()
	d := s.director.open(xdp.Spec{Mode: xdp.Generic})
	err = d.SetInterfaces([]string{"eth0"})
	if !errors.Is(err, xdp.ErrConflict) || !strings.Contains(err.Error(), "stranger") || !strings.Contains(err.Error(), "eth0") {
		t.Errorf("SetInterfaces: %v, want ErrConflict that names the program and the interface", err)
	}
	must(t, d.Remove())
	d = s.director.open(xdp.Spec{})
	must(t, d.SetInterfaces([]string{"eth0"}))
}

// NAT is refused where packets would be corrupted, and only NAT.
func TestUnsafeNAT(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.NAT)
	d := s.director.open(xdp.Spec{Mode: xdp.Generic})
	must(t, d.SetInterfaces(s.ifaces))
	dr := service(lvs.UDP, lvs.RR, lvs.DR, 1)
	err := d.Set([]lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.NAT, 1, 1), dr})
	if !errors.Is(err, xdp.ErrMode) || !strings.Contains(err.Error(), "checksums") {
		t.Errorf("Set: %v, want ErrMode", err)
	}
	for _, st := range d.Services() {
		if got, want := len(st.Destinations), map[lvs.Protocol]int{lvs.TCP: 0, lvs.UDP: 1}[st.Protocol]; got != want {
			t.Errorf("%s has %d servers, want %d", st.ServiceKey, got, want)
		}
	}
	if _, err := xdp.Open(xdp.Spec{PinDir: pinDir(t), Mode: "fast"}); err == nil {
		t.Error("an unknown mode is accepted")
	}
}

// On kernels without tcx a clsact filter does the same: it carries, outlives
// its process, is adopted and removed.
func TestClsact(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.NAT)
	spec := xdp.Spec{PinDir: pinDir(t), Mode: xdp.TC}
	set := []lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.NAT, 1, 1)}
	filters := func() int {
		list, err := s.director.nl.FilterList(s.director.link("eth0"), netlink.HANDLE_MIN_INGRESS)
		must(t, err)
		return len(list)
	}
	d := s.director.open(spec)
	d.ForceClsact()
	stop := run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	must(t, d.Set(set))
	s.ready(d)
	c, err := s.client.dial("tcp4", vip+":80")
	must(t, err)
	defer func() { _ = c.Close() }()
	if _, err := c.ask("filter"); err != nil {
		t.Fatal(err)
	}
	stop()
	must(t, d.Close())
	if _, err := c.ask("orphan"); err != nil || filters() != 1 {
		t.Fatalf("without a process: %v, %d filters", err, filters())
	}
	d = s.director.open(spec)
	stop = run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	must(t, d.Set(set))
	if _, err := c.ask("adopted"); err != nil {
		t.Fatalf("after the adoption: %v", err)
	}
	eventually(t, "one filter", func() error { // a list made while others change theirs may be short
		if n := filters(); n != 1 {
			return fmt.Errorf("%d filters", n)
		}
		return nil
	})
	must(t, d.SetInterfaces([]string{"eth1"}))
	if n := filters(); n != 0 {
		t.Errorf("%d filters after the interface was given up", n)
	}
	d.ForceClsact()
	must(t, d.SetInterfaces(s.ifaces))
	if err := xdp.Sweep(spec.PinDir, nil); !errors.Is(err, xdp.ErrInUse) {
		t.Errorf("Sweep of a living instance: %v, want ErrInUse", err)
	}
	stop()
	must(t, d.Close())
	must(t, s.director.do(func() error { return xdp.Sweep(spec.PinDir, nil) }))
	if _, err := os.Stat(spec.PinDir); filters() != 0 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Sweep: %d filters, %v", filters(), err)
	}
}

// Pins of another layout are replaced, not misread; what died half-way leaves
// nothing.
func TestOtherLayout(t *testing.T) {
	needRoot(t)
	t.Parallel()
	h := newHost(t)
	dir := pinDir(t)
	must(t, os.MkdirAll(dir+"-new-1/maps", 0o700))
	d := h.open(xdp.Spec{PinDir: dir})
	must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.DR, 1)}))
	d.SetSchema(9999)
	must(t, d.Close())
	d = h.open(xdp.Spec{PinDir: dir})
	if d.Adopted() {
		t.Error("maps of schema 9999 were adopted")
	}
	must(t, d.Set([]lvs.ServiceSet{service(lvs.TCP, lvs.RR, lvs.DR, 1)}))
	must(t, d.Close())
	if d = h.open(xdp.Spec{PinDir: dir}); !d.Adopted() {
		t.Error("the replaced maps were not adopted")
	}
	if _, err := os.Stat(dir + "-new-1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what died half-way is there: %v", err)
	}
}

func TestPinDirectory(t *testing.T) {
	needRoot(t)
	t.Parallel()
	for dir, want := range map[string]string{
		"relative":              "not an absolute path",
		t.TempDir():             "not in a bpffs",
		"/sys/fs/bpf/kaname.v1": "no dots",
	} {
		if _, err := xdp.Open(xdp.Spec{PinDir: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open in %s: %v, want %q", dir, err, want)
		}
	}
}
