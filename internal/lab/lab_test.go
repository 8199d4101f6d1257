package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// The test binary plays other programs when this variable says so.
const playEnv = "KANAME_LAB_TEST_PLAY"

func TestMain(m *testing.M) {
	switch os.Getenv(playEnv) {
	case "":
		stop := lab.CloseOnSignal()
		code := m.Run()
		stop()
		os.Exit(code)
	case "notify":
		playNotify()
	case "crash":
		playCrash()
	}
}

// playNotify says that it is ready and waits.
func playNotify() {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprint(c, "STATUS=here\nREADY=1")
	fmt.Println("ready")
	select {}
}

// playCrash builds a lab with a program in it, says what it is called, and
// waits to be killed.
func playCrash() {
	if os.Getenv("KANAME_LAB_TEST_SIGNALS") != "" {
		defer lab.CloseOnSignal()()
	}
	l, err := lab.Build(lab.Topology{Hosts: []lab.HostSpec{{Name: "a"}}}, lab.Options{Name: "crash test"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// A grandchild: it does not die with its parent.
	if _, err := l.Host("a").Start(lab.Program{Args: []string{"sh", "-c", "setsid sleep 300 & wait"}}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		if pids, _ := l.Host("a").PIDs(); len(pids) == 2 {
			fmt.Println(l.ID(), l.Dir(), pids[0], pids[1])
			select {}
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
}

func build(t *testing.T, top lab.Topology) *lab.Lab {
	t.Helper()
	needRoot(t)
	l, err := lab.Build(top, lab.Options{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// pair is two hosts on one segment.
var pair = lab.Topology{
	Segments: []lab.SegmentSpec{{Name: "lan"}},
	Hosts: []lab.HostSpec{
		{Name: "client", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"192.0.2.1/24"}}}},
		{Name: "server", Ifaces: []lab.IfaceSpec{{Name: "ens3", Segment: "lan", Addrs: []string{"192.0.2.2/24"}}}},
	},
}

var target = netip.MustParseAddrPort("192.0.2.2:80")

func serve(t *testing.T, h *lab.Host, spec lab.ServerSpec) *lab.Server {
	t.Helper()
	s, err := h.Serve(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestHostsReachEachOther(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	serve(t, l.Host("server"), lab.ServerSpec{Listen: ":80"})
	a, err := l.Host("client").Get(within(t, 5*time.Second), target)
	if err != nil {
		t.Fatal(err)
	}
	if a.Server != "server" || a.Saw != a.Local.String() || a.Local.Addr().String() != "192.0.2.1" || a.Status != 200 {
		t.Errorf("answer %+v: want one of server, which saw 192.0.2.1 and the client's port", a)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	p, err := l.Host("client").Start(lab.Program{Args: []string{"sleep", "300"}})
	if err != nil {
		t.Fatal(err)
	}
	names := func() []string {
		found, err := filepath.Glob("/run/netns/" + l.ID() + "-*")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if n := names(); len(n) != 3 {
		t.Errorf("named namespaces while open: %v, want those of two hosts and a segment", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := names(); len(n) != 0 {
		t.Errorf("named namespaces after Close: %v", n)
	}
	if _, err := os.Stat(l.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory after Close: %v, want none", err)
	}
	if err := unix.Kill(p.PID(), 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("program after Close: %v, want no such process", err)
	}
	all, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.ID == l.ID() {
			t.Errorf("record after Close: %+v", r)
		}
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	t.Parallel()
	needRoot(t)
	top := lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "lan"}},
		Hosts: []lab.HostSpec{{
			Name:   "a",
			Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"192.0.2.1/24"}}},
			Routes: []lab.RouteSpec{{To: "default", Via: "198.51.100.1"}}, // unreachable
		}},
	}
	_, err := lab.Build(top, lab.Options{Name: t.Name()})
	if err == nil || !strings.Contains(err.Error(), "route to default via 198.51.100.1") {
		t.Fatalf("error %v, want one that names the route", err)
	}
	all, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Name == t.Name() {
			t.Errorf("record left behind: %+v", r)
		}
	}
}

func TestCrashedLabIsCleaned(t *testing.T) {
	t.Parallel()
	needRoot(t)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), playEnv+"=crash")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var id, dir string
	var pids [2]int
	if _, err := fmt.Fscan(out, &id, &dir, &pids[0], &pids[1]); err != nil {
		t.Fatalf("the child does not say what it made: %v", err)
	}
	record := func() bool {
		all, err := lab.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.ID == id {
				return true
			}
		}
		return false
	}
	if _, err := lab.CleanStale(); err != nil || !record() {
		t.Fatalf("cleaning while the owner lives: error %v, record there %v; want it untouched", err, record())
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed, as we know
	// Another test's Build may clean it before we do: only the end counts.
	if _, err := lab.CleanStale(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for record() && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	left, err := filepath.Glob("/run/netns/" + id + "-*")
	if err != nil || len(left) != 0 || record() {
		t.Errorf("left of the crashed lab: namespaces %v, record %v, error %v", left, record(), err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left of the crashed lab: %s: %v", dir, err)
	}
	for _, pid := range pids {
		// A zombie that nobody has reaped yet has no namespace.
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil {
			t.Errorf("process %d of the crashed lab still runs", pid)
		}
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	top := pair
	top.Hosts = append([]lab.HostSpec(nil), pair.Hosts...)
	top.Hosts[0].Files = map[string]string{
		"/var/scripts/hello.sh":     "#!/bin/sh\necho hello from $(uname -n)\n",
		"/var/scripts/deep/file":    "deep\n",
		"/etc/kaname-lab-test/conf": "private\n",
	}
	l := build(t, top)
	tests := []struct {
		name string
		host string
		args []string
		want string
	}{
		{"host name", "client", []string{"uname", "-n"}, "client\n"},
		{"interfaces of the host in /sys", "server", []string{"ls", "/sys/class/net"}, "ens3\nlo\n"},
		{"own BPF file system", "server", []string{"stat", "-f", "-c", "%T", "/sys/fs/bpf"}, "bpf_fs\n"},
		{"private file", "client", []string{"sh", "/var/scripts/hello.sh"}, "hello from client\n"},
		{"private file in a directory of a private directory", "client", []string{"cat", "/var/scripts/deep/file"}, "deep\n"},
		{"what was in the covered directory", "client", []string{"sh", "-c", "cat /etc/kaname-lab-test/conf; test -e /etc/passwd && test -d /var/lib && echo there"}, "private\nthere\n"},
		{"not on other hosts", "server", []string{"sh", "-c", "ls /var/scripts 2>/dev/null || echo none"}, "none\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := l.Host(tt.host).Run(within(t, 5*time.Second), tt.args...)
			if err != nil || got != tt.want {
				t.Errorf("%s: %v printed %q, error %v; want %q", tt.host, tt.args, got, err, tt.want)
			}
		})
	}
	for _, p := range []string{"/var/scripts/hello.sh", "/etc/kaname-lab-test"} {
		if _, err := os.Stat(p); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s on the machine itself: %v, want none", p, err)
		}
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	p, err := l.Host("client").Start(lab.Program{Args: []string{os.Args[0]}, Env: []string{playEnv + "=notify"}, Notify: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitReady(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(within(t, 5*time.Second)); err == nil {
		t.Error("killed program ended well")
	}
	never, err := l.Host("client").Start(lab.Program{Args: []string{"sh", "-c", "echo broken; exit 3"}, Notify: true})
	if err != nil {
		t.Fatal(err)
	}
	err = never.WaitReady(within(t, 5*time.Second))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a program that ends instead: error %v, want its status and its log", err)
	}
}

func TestCable(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client, server := l.Host("client"), l.Host("server")
	serve(t, server, lab.ServerSpec{Listen: ":80"})
	if err := server.SetLink("ens3", false); err != nil {
		t.Fatal(err)
	}
	if out, err := server.Run(within(t, 5*time.Second), "cat", "/sys/class/net/ens3/carrier"); err != nil || out != "0\n" {
		t.Errorf("carrier of a pulled cable: %q, %v; want 0", out, err)
	}
	if a, err := client.Get(within(t, 200*time.Millisecond), target); err == nil {
		t.Errorf("answer over a pulled cable: %+v", a)
	}
	if err := server.SetLink("ens3", true); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(within(t, 5*time.Second), target); err != nil {
		t.Errorf("cable plugged in again: %v", err)
	}
}

func TestLoseAndRestore(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client, server := l.Host("client"), l.Host("server")
	serve(t, server, lab.ServerSpec{Listen: ":80"})
	held, err := client.Hold(within(t, 5*time.Second), target)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	// setsid: not even a process of another group may survive.
	p, err := server.Start(lab.Program{Args: []string{"sh", "-c", "setsid sleep 300 & ip addr add 192.0.2.100/24 dev ens3; wait"}})
	if err != nil {
		t.Fatal(err)
	}
	vip := netip.MustParseAddr("192.0.2.100")
	deadline := time.Now().Add(5 * time.Second)
	for !server.Has(vip) {
		if time.Now().After(deadline) {
			t.Fatalf("the program adds no address: %s", p.Log())
		}
		time.Sleep(time.Millisecond)
	}
	if err := server.Lose(); err != nil {
		t.Fatal(err)
	}
	if pids, err := server.PIDs(); err != nil || len(pids) != 0 {
		t.Errorf("processes of a lost host: %v, %v", pids, err)
	}
	if a, err := held.Ask(within(t, 200*time.Millisecond)); err == nil {
		t.Errorf("answer of a lost host: %+v", a)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a lost host says goodbye: %v, want silence", err)
	}
	if err := server.Restore(); err != nil {
		t.Fatal(err)
	}
	if server.Has(vip) {
		t.Error("a restored host has an address that only a program had added")
	}
	serve(t, server, lab.ServerSpec{Listen: ":80"})
	if _, err := client.Get(within(t, 5*time.Second), target); err != nil {
		t.Errorf("restored host: %v", err)
	}
}

func TestRouter(t *testing.T) {
	t.Parallel()
	l := build(t, lab.Topology{
		Segments: []lab.SegmentSpec{{Name: "out"}, {Name: "in"}},
		Hosts: []lab.HostSpec{
			lab.HostSpec{Name: "router", Ifaces: []lab.IfaceSpec{
				{Name: "eth0", Segment: "out", Addrs: []string{"192.0.2.254/24"}},
				{Name: "eth1", Segment: "in", Addrs: []string{"198.51.100.254/24"}},
			}}.AsRouter(),
			{
				Name: "client", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "out", Addrs: []string{"192.0.2.1/24"}}},
				Routes: []lab.RouteSpec{{To: "198.51.100.0/24", Via: "192.0.2.254"}},
			},
			lab.HostSpec{Name: "server", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "in", Addrs: []string{"198.51.100.1/24"}}}}.
				AsNATServer("198.51.100.254"),
		},
	})
	serve(t, l.Host("server"), lab.ServerSpec{Listen: ":80"})
	a, err := l.Host("client").Get(within(t, 5*time.Second), netip.MustParseAddrPort("198.51.100.1:80"))
	if err != nil || !strings.HasPrefix(a.Saw, "192.0.2.1:") {
		t.Errorf("through a router: %+v, %v", a, err)
	}
}

// A DR real server has the VIP and keeps quiet about it.
func TestDRServer(t *testing.T) {
	t.Parallel()
	top := pair
	top.Hosts = []lab.HostSpec{pair.Hosts[0], pair.Hosts[1].AsDRServer("192.0.2.100")}
	l := build(t, top)
	serve(t, l.Host("server"), lab.ServerSpec{Listen: ":80"})
	client := l.Host("client")
	vip := netip.MustParseAddrPort("192.0.2.100:80")
	if a, err := client.Get(within(t, 300*time.Millisecond), vip); err == nil {
		t.Errorf("the real server answered ARP for the VIP: %+v", a)
	}
	if err := client.AddRoute(lab.RouteSpec{To: "192.0.2.100/32", Via: "192.0.2.2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(within(t, 5*time.Second), vip); err != nil {
		t.Errorf("sent to its MAC, the real server must answer for the VIP: %v", err)
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	l := build(t, pair)
	client, server := l.Host("client"), l.Host("server")
	serve(t, server, lab.ServerSpec{Listen: ":80"})
	serve(t, server, lab.ServerSpec{Listen: ":81"})
	for _, d := range []lab.Drop{
		{Incoming: true, Iface: "ens3", Protocol: unix.IPPROTO_TCP, Port: 80},
		{Incoming: false, Protocol: unix.IPPROTO_UDP},
	} {
		if err := server.AddDrop(d); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := client.Get(within(t, 300*time.Millisecond), target); err == nil {
		t.Errorf("answer through the filter: %+v", a)
	}
	if _, err := client.Get(within(t, 5*time.Second), netip.MustParseAddrPort("192.0.2.2:81")); err != nil {
		t.Errorf("port not filtered: %v", err)
	}
	if err := server.ClearDrops(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(within(t, 5*time.Second), target); err != nil {
		t.Errorf("filter removed: %v", err)
	}
}
