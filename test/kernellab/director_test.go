package kernellab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lab"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// director is one of the two at the site: kaname, or keepalived with the
// kernel's IPVS.
type director interface {
	name() string
	// list is what `ipvsadm` with these flags prints.
	list(t *testing.T, flags ...string) string
	// syncs says in which role its sync daemon is: "master", "backup", or else.
	syncs(t *testing.T) string
	log() string
}

// start starts a director of the kind: "kernel" or "kaname".
func start(t *testing.T, kind string, h *lab.Host, config string) director {
	t.Helper()
	var d director
	switch kind {
	case "kernel":
		d = startKeepalived(t, h, config)
	case "kaname":
		k, err := h.StartDirector(within(t, time.Minute), kaname, config)
		if err != nil {
			t.Fatal(err)
		}
		d = kanameDirector{k}
	default:
		t.Fatalf("no director of kind %q", kind)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", h.Name(), d.log())
		}
	})
	return d
}

type kanameDirector struct{ *lab.Director }

func (d kanameDirector) name() string { return "kaname on " + d.Host.Name() }

func (d kanameDirector) log() string { return d.Process.Log() }

func (d kanameDirector) list(t *testing.T, flags ...string) string {
	t.Helper()
	out, err := d.Tool(within(t, 20*time.Second), "ipvs", flags...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (d kanameDirector) sync(t *testing.T) *snapshot.Sync {
	t.Helper()
	out, err := d.Tool(within(t, 20*time.Second), "status", "--json")
	if err != nil {
		t.Fatal(err)
	}
	s := &snapshot.Snapshot{}
	if err := json.Unmarshal([]byte(out), s); err != nil {
		t.Fatalf("status --json of %s: %v:\n%s", d.Host.Name(), err, out)
	}
	if s.Sync == nil {
		t.Fatalf("status --json of %s says nothing of synchronisation", d.Host.Name())
	}
	return s.Sync
}

func (d kanameDirector) syncs(t *testing.T) string {
	t.Helper()
	return d.sync(t).Role
}

type kernelDirector struct {
	host *lab.Host
	*lab.Process
}

func startKeepalived(t *testing.T, h *lab.Host, config string) kernelDirector {
	t.Helper()
	file := func(name string) string { return filepath.Join(h.Dir(), name) }
	if err := os.WriteFile(file("keepalived.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := h.Start(lab.Program{Args: []string{
		"keepalived", "--dont-fork", "--log-console", "-f", file("keepalived.conf"),
		"-p", file("keepalived.pid"), "-r", file("vrrp.pid"), "-c", file("check.pid"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return kernelDirector{h, p}
}

func (d kernelDirector) name() string { return "the kernel of " + d.host.Name() }

func (d kernelDirector) log() string { return d.Log() }

func (d kernelDirector) list(t *testing.T, flags ...string) string {
	t.Helper()
	return run(t, d.host, append([]string{"ipvsadm"}, flags...)...)
}

func (d kernelDirector) syncs(t *testing.T) string {
	t.Helper()
	role, _, _ := strings.Cut(d.list(t, "-L", "--daemon"), " ")
	return role
}

// entry is a line of `ipvsadm -Lnc`.
type entry struct {
	protocol, state string
	left            time.Duration
}

// connection names an entry.
type connection struct{ client, virtual, destination netip.AddrPort }

func (c connection) String() string {
	return fmt.Sprintf("%s -> %s -> %s", c.client, c.virtual, c.destination)
}

func (e entry) String() string { return fmt.Sprintf("%s %s for %s", e.protocol, e.state, e.left) }

// entries reads a director's connection table.
func entries(t *testing.T, d director) map[connection]entry {
	t.Helper()
	all, _ := parseEntries(t, d.list(t, "-Lnc"))
	return all
}

// parseEntries reads a listing, and says which connections it has twice. The
// kernel lists some twice when others come meanwhile.
func parseEntries(t *testing.T, listing string) (all map[connection]entry, twice []connection) {
	t.Helper()
	all = map[connection]entry{}
	for line := range strings.Lines(listing) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] == "pro" || f[0] == "IPVS" {
			continue
		}
		var c connection
		for i, p := range []*netip.AddrPort{&c.client, &c.virtual, &c.destination} {
			a, err := netip.ParseAddrPort(f[3+i])
			if err != nil {
				t.Fatalf("-Lnc: line %q: %v", line, err)
			}
			*p = a
		}
		if _, ok := all[c]; ok {
			twice = append(twice, c)
		}
		all[c] = entry{f[0], f[2], leftOf(t, f[1])}
	}
	return all, twice
}

// like says in what e differs from what is wanted: its time was set when it was
// announced, and watching has taken a part of it.
func (e entry) like(want entry) error {
	if e.protocol != want.protocol || e.state != want.state || e.left > want.left || e.left < want.left-2*time.Minute {
		return fmt.Errorf("%q, want %q", e, want)
	}
	return nil
}

// listed waits until a director lists the entries, each once.
func listed(t *testing.T, d director, want map[connection]entry) {
	t.Helper()
	eventually(t, "all listed by "+d.name(), func() error {
		got, twice := parseEntries(t, d.list(t, "-Lnc"))
		if len(twice) > 0 {
			return fmt.Errorf("twice: %s", twice)
		}
		for c, e := range want {
			if err := got[c].like(e); err != nil {
				return fmt.Errorf("%s: %w (of %d entries)", c, err, len(got))
			}
		}
		return nil
	})
}

// leftOf reads minutes and seconds.
func leftOf(t *testing.T, s string) time.Duration {
	t.Helper()
	m, sec, ok := strings.Cut(s, ":")
	minutes, err1 := strconv.Atoi(m)
	seconds, err2 := strconv.Atoi(sec)
	if !ok || err1 != nil || err2 != nil {
		t.Fatalf("-Lnc: %q is no time", s)
	}
	return time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second
}

// counts reads ActiveConn and InActConn of a service, summed over its
// destinations, from `ipvsadm -Ln`.
func counts(t *testing.T, d director, protocol string, virtual netip.AddrPort) (active, inactive int) {
	t.Helper()
	listing := d.list(t, "-Ln")
	inside, seen := false, false
	for line := range strings.Lines(listing) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 2 && f[0] != "->":
			inside = f[0] == protocol && f[1] == virtual.String()
			seen = seen || inside
		case inside && len(f) == 6:
			a, err1 := strconv.Atoi(f[4])
			i, err2 := strconv.Atoi(f[5])
			if err1 != nil || err2 != nil {
				t.Fatalf("-Ln: line %q", line)
			}
			active, inactive = active+a, inactive+i
		}
	}
	if !seen {
		t.Fatalf("no service %s %s in:\n%s", protocol, virtual, listing)
	}
	return active, inactive
}

// holds waits until a host has every address, and others none.
func holds(t *testing.T, h *lab.Host, addrs ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v on %s", addrs, h.Name()), func() error {
		for _, a := range addrs {
			if !h.Has(netip.MustParseAddr(a)) {
				return fmt.Errorf("no %s", a)
			}
		}
		return nil
	})
}
