package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// seed is the path of a field report's configuration.
func seed(t *testing.T, number string) string {
	t.Helper()
	path, err := filepath.Abs("../../internal/config/testdata/seeds/" + number + ".conf")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// stage builds a lab for the test.
func stage(t *testing.T, top lab.Topology) *lab.Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and loads BPF programs")
	}
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

// direct starts kaname on a host. Its log is shown when the test fails.
func direct(t *testing.T, h *lab.Host, config string) *lab.Director {
	t.Helper()
	d, err := h.StartDirector(within(t, 20*time.Second), binary, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", h.Name(), d.Process.Log())
		}
	})
	return d
}

// serve starts web servers on the named hosts.
func serve(t *testing.T, l *lab.Lab, listen string, hosts ...string) map[string]*lab.Server {
	t.Helper()
	servers := map[string]*lab.Server{}
	for _, name := range hosts {
		s, err := l.Host(name).Serve(lab.ServerSpec{Listen: listen})
		if err != nil {
			t.Fatal(err)
		}
		servers[name] = s
	}
	return servers
}

// eventually polls until check returns nil.
func eventually(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s not %s: %v", limit, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func tool(t *testing.T, d *lab.Director, command string, args ...string) string {
	t.Helper()
	out, err := d.Tool(within(t, 10*time.Second), command, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func status(t *testing.T, d *lab.Director) *snapshot.Snapshot {
	t.Helper()
	out := tool(t, d, "status", "--json")
	s := &snapshot.Snapshot{}
	if err := json.Unmarshal([]byte(out), s); err != nil {
		t.Fatalf("status --json of %s: %v:\n%s", d.Host.Name(), err, out)
	}
	return s
}

// state is the state of a vrrp_instance on a director.
func state(t *testing.T, d *lab.Director, instance string) string {
	t.Helper()
	for _, i := range status(t, d).Instances {
		if i.Name == instance {
			return i.State
		}
	}
	return "absent"
}

// destination is one line of `ipvs -Ln`.
type destination struct {
	forward                  string
	weight, active, inactive int
}

// table reads `ipvs -Ln`: service ("TCP 192.0.2.1:80 rr") to destinations.
func table(t *testing.T, d *lab.Director) map[string]map[string]destination {
	t.Helper()
	out := tool(t, d, "ipvs", "-Ln")
	all := map[string]map[string]destination{}
	var service map[string]destination
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 3 && (f[0] == "TCP" || f[0] == "UDP"):
			service = map[string]destination{}
			all[strings.Join(f[:3], " ")] = service
		case len(f) == 6 && f[0] == "->" && f[1] != "RemoteAddress:Port":
			numbers := [3]int{}
			for i := range numbers {
				n, err := strconv.Atoi(f[3+i])
				if err != nil {
					t.Fatalf("ipvs -Ln: line %q: %v", line, err)
				}
				numbers[i] = n
			}
			service[f[1]] = destination{f[2], numbers[0], numbers[1], numbers[2]}
		}
	}
	return all
}

// hasAll reports whether the host has every address, hasNone whether none.
func hasAll(h *lab.Host, addrs ...string) bool {
	for _, a := range addrs {
		if !h.Has(netip.MustParseAddr(a)) {
			return false
		}
	}
	return true
}

func hasNone(h *lab.Host, addrs ...string) bool {
	for _, a := range addrs {
		if h.Has(netip.MustParseAddr(a)) {
			return false
		}
	}
	return true
}

// moved waits until one host has all addresses and the other none of them.
func moved(t *testing.T, limit time.Duration, to, from *lab.Host, addrs ...string) {
	t.Helper()
	eventually(t, limit, fmt.Sprintf("%v on %s alone", addrs, to.Name()), func() error {
		if !hasAll(to, addrs...) || !hasNone(from, addrs...) {
			return fmt.Errorf("%s has all: %v; %s has none: %v", to.Name(), hasAll(to, addrs...), from.Name(), hasNone(from, addrs...))
		}
		return nil
	})
}

// get makes one request that must be answered.
func get(t *testing.T, h *lab.Host, to netip.AddrPort) lab.Answer {
	t.Helper()
	a, err := h.Get(within(t, 5*time.Second), to)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// answers waits until a service answers: neighbours may have to be found first.
func answers(t *testing.T, h *lab.Host, to netip.AddrPort) {
	t.Helper()
	eventually(t, 10*time.Second, to.String()+" answering", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := h.Get(ctx, to)
		return err
	})
}

// terminate stops a director in an orderly way: status 0, nothing left.
func terminate(t *testing.T, d *lab.Director, addrs ...string) {
	t.Helper()
	if err := d.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.Process.Wait(within(t, 10*time.Second)); err != nil {
		t.Errorf("SIGTERM: %v, want status 0", err)
	}
	if !hasNone(d.Host, addrs...) {
		t.Errorf("%s has addresses of %v after its end", d.Host.Name(), addrs)
	}
	if pids, err := d.Host.PIDs(); err != nil || len(pids) != 0 {
		t.Errorf("processes left on %s: %v, %v", d.Host.Name(), pids, err)
	}
}
