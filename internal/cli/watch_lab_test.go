package cli_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync/connsynctest"
	"github.com/kaname-lb/kaname/internal/connsync/pcap"
	"github.com/kaname-lb/kaname/internal/lab"
)

const captures = "../connsync/testdata/ipvs-sync"

// segment is a director that announces and a third host that watches.
var segment = lab.Topology{
	Segments: []lab.SegmentSpec{{Name: "lan"}},
	Hosts: []lab.HostSpec{
		{Name: "lb1", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"10.7.0.11/24", "fd07::11/64"}}}},
		{Name: "watch", Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "lan", Addrs: []string{"10.7.0.31/24", "fd07::31/64"}}}},
	},
}

// watchLab builds the segment; kaname is the program, where everybody can run it.
func watchLab(t *testing.T) (l *lab.Lab, kaname string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	l, err := lab.Build(segment, lab.Options{Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := l.Host("lb1").Run(t.Context(), "ip", "route", "add", "224.0.0.0/4", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable() // by that name it is the program (TestMain)
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	kaname = filepath.Join(l.Dir(), "kaname")
	to, err := os.OpenFile(kaname, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return l, kaname
}

// nobody makes a command line run as a user without any capability.
func nobody(t *testing.T, args ...string) []string {
	t.Helper()
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Fatalf("setpriv (util-linux) is needed: %v", err)
	}
	return append([]string{setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"}, args...)
}

func listening(t *testing.T, l *lab.Lab, args ...string) *lab.Process {
	t.Helper()
	p, err := l.Host("watch").Start(lab.Program{Args: args, Name: "watch"})
	if err != nil {
		t.Fatal(err)
	}
	logged(t, p, "listening to ")
	return p
}

// logged waits until a process has written something.
func logged(t *testing.T, p *lab.Process, what string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(p.Log(), what); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) || p.ExitCode() >= 0 {
			t.Fatalf("no %q in what the watcher writes:\n%s", what, p.Log())
		}
	}
}

func exits(t *testing.T, p *lab.Process, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_ = p.Wait(ctx) // the status is looked at
	if got := p.ExitCode(); got != code {
		t.Fatalf("exit status %d, want %d:\n%s", got, code, p.Log())
	}
}

// announce sends datagrams from lb1 to a group.
func announce(t *testing.T, l *lab.Lab, group string, ds []pcap.Datagram) {
	t.Helper()
	var c net.Conn
	if err := l.Host("lb1").Do(func() (err error) {
		c, err = net.Dial("udp", group)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, d := range ds {
		if _, err := c.Write(d.Payload); err != nil {
			t.Fatal(err)
		}
	}
}

// sixFields are the lines of a table in the layout of ipvsadm -Lnc without the
// time that is left.
func sixFields(table string) []string {
	var out []string
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) == 6 && strings.Contains(f[1], ":") {
			out = append(out, strings.Join(slices.Delete(f, 1, 2), " "))
		}
	}
	slices.Sort(out)
	return out
}

// TestWatchWithoutPrivileges: a user without any capability sees what the
// director announces, beside another watcher on the same host.
func TestWatchWithoutPrivileges(t *testing.T) {
	t.Parallel()
	l, kaname := watchLab(t)
	const scenario = "a-keepalived-dr"
	backup := connsynctest.Tables(t, captures, scenario, "lb2")
	var want []string
	for _, c := range backup[len(backup)-1].Conns {
		want = append(want, fmt.Sprintf("%s %s %s %s %s", c.Proto, c.State, c.Client, c.Virtual, c.Dest))
	}
	slices.Sort(want)
	if len(want) == 0 {
		t.Fatal("the kernel's table is empty")
	}
	table := listening(t, l, nobody(t, kaname, "watch", "--table", "--for", "3s")...)
	follow := listening(t, l, nobody(t, kaname, "watch", "--follow", "--json", "--count", fmt.Sprint(len(want)))...)
	announce(t, l, "224.0.0.81:8848", connsynctest.Messages(t, captures, scenario))
	exits(t, follow, 0)
	exits(t, table, 0)
	if diff := cmp.Diff(want, sixFields(table.Log())); diff != "" {
		t.Errorf("the table is not the kernel's (-want +got):\n%s\n%s", diff, table.Log())
	}
	if !strings.Contains(follow.Log(), `"director":"10.7.0.11"`) {
		t.Errorf("no director in the events:\n%s", follow.Log())
	}
}

// TestWatchGroupsAndPorts: groups of IPv6, several groups and ports at once, and
// an interface that comes later.
func TestWatchGroupsAndPorts(t *testing.T) {
	t.Parallel()
	l, kaname := watchLab(t)
	p := listening(t, l, nobody(t, kaname, "watch", "--follow", "--group", "ff05::51,239.1.2.3", "--port", "8860-8863", "--count", "3")...)
	for _, command := range []string{"link add late0 type veth peer name late1", "addr add 10.8.0.1/24 dev late0", "link set late1 up", "link set late0 up"} {
		if _, err := l.Host("watch").Run(t.Context(), append([]string{"ip"}, strings.Fields(command)...)...); err != nil {
			t.Fatal(err)
		}
	}
	logged(t, p, "interface late0 joined")
	one := connsynctest.Messages(t, captures, "a2-keepalived-failover")[:1]
	announce(t, l, "224.0.0.81:8860", one) // not listened to
	announce(t, l, "239.1.2.3:8848", one)  // neither
	for _, step := range []struct{ group, event string }{
		{"239.1.2.3:8860", " created "}, {"[ff05::51]:8863", " 10.7.0.11->fd07::11\n"}, {"239.1.2.3:8862", " fd07::11->10.7.0.11\n"},
	} {
		announce(t, l, step.group, one)
		logged(t, p, step.event)
	}
	exits(t, p, 0)
	if want := "heard 3 datagrams from 2 directors"; !strings.Contains(p.Log(), want) {
		t.Errorf("no %q:\n%s", want, p.Log())
	}
}

// TestWatchPackets: recording packets sees groups that nobody joined; without
// the capability it says what is missing.
func TestWatchPackets(t *testing.T) {
	t.Parallel()
	l, kaname := watchLab(t)
	refused, err := l.Host("watch").Start(lab.Program{Args: nobody(t, kaname, "watch", "--pcap-interface", "eth0")})
	if err != nil {
		t.Fatal(err)
	}
	exits(t, refused, 4)
	if !strings.Contains(refused.Log(), "CAP_NET_RAW") {
		t.Errorf("the error does not name what is missing: %s", refused.Log())
	}
	p := listening(t, l, kaname, "watch", "--pcap-interface", "eth0", "--port", "8860", "--summary", "--for", "3s")
	announce(t, l, "239.9.9.9:8860", connsynctest.Messages(t, captures, "j2-group6-jumbo")) // in fragments
	announce(t, l, "239.9.9.9:8861", connsynctest.Messages(t, captures, "a-keepalived-dr"))
	exits(t, p, 0)
	for _, want := range []string{"10.7.0.100:80", "exceed the MTU of 1500", "heard 5 datagrams from 1 director"} {
		if !strings.Contains(p.Log(), want) {
			t.Errorf("no %q:\n%s", want, p.Log())
		}
	}
}
