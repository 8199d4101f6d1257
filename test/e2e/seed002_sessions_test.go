package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// watched is what the observer tells of a session, as JSON.
type watched struct {
	Event       string         `json:"event"`
	Protocol    string         `json:"protocol"`
	Expire      int            `json:"expire"`
	State       string         `json:"state"`
	Source      netip.AddrPort `json:"source"`
	Virtual     netip.AddrPort `json:"virtual"`
	Destination netip.AddrPort `json:"destination"`
	SyncID      int            `json:"syncid"`
	Director    string         `json:"director"`
	OldDirector string         `json:"old_director"`
}

// observe starts `kaname watch` on a host, as a user without any privilege.
func observe(t *testing.T, h *lab.Host, args ...string) *lab.Process {
	t.Helper()
	p, err := h.Start(lab.Program{
		Name: "watch", Args: append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "watch"}, args...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what %s saw:\n%s", h.Name(), p.Log())
		}
	})
	eventually(t, 5*time.Second, "watch listening", func() error {
		if !strings.Contains(p.Log(), "192.168.10.99") && !strings.Contains(p.Log(), "enp0s8") {
			return fmt.Errorf("it says %q", p.Log())
		}
		return nil
	})
	return p
}

// seen returns what the observer told of the connection of a client.
func seen(p *lab.Process, client netip.AddrPort) []watched {
	var out []watched
	for line := range strings.Lines(p.Log()) {
		var w watched
		if json.Unmarshal([]byte(line), &w) == nil && w.Source == client {
			out = append(out, w)
		}
	}
	return out
}

// The whole story of field report 002: two directors run its file as it is, a
// client holds a connection through the virtual address, and a third host that
// is no director and has no privilege sees it with the six fields that the
// report reads out of the packets. The master dies, the connection goes on, and
// the third host sees that the other director speaks for it now.
func TestReport002Sessions(t *testing.T) {
	t.Parallel()
	const vip = "192.168.10.100"
	target := netip.MustParseAddrPort(vip + ":80")
	top := report002()
	top.Hosts = append(top.Hosts, lab.HostSpec{Name: "watch", Ifaces: []lab.IfaceSpec{
		{Name: "enp0s8", Segment: "lan", Addrs: []string{"192.168.10.99/24"}},
	}})
	l := stage(t, top)
	client, lb1, lb2, third := l.Host("client"), l.Host("lb1"), l.Host("lb2"), l.Host("watch")
	serve(t, l, ":80", "web1", "web2")
	config := read(t, seed(t, "002"))
	direct(t, lb1, config)
	moved(t, 10*time.Second, lb1, lb2, vip)
	d2 := direct(t, lb2, config)
	answers(t, client, target)

	events := observe(t, third, "--follow", "--json")
	table := observe(t, third, "--table", "--for", "4s")
	held, err := client.Hold(within(t, 5*time.Second), target)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	server := map[string]string{"web1": "192.168.10.1:80", "web2": "192.168.10.2:80"}[held.First.Server]
	eventually(t, 5*time.Second, "the session seen from outside", func() error {
		if len(seen(events, held.Local())) == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	first := seen(events, held.Local())[0]
	want := watched{
		Event: "created", Protocol: "TCP", State: "ESTABLISHED", Source: held.Local(), Virtual: target,
		Destination: netip.MustParseAddrPort(server), SyncID: 51, Director: "192.168.10.11", Expire: first.Expire,
	}
	if first != want || first.Expire < 890 || first.Expire > 900 {
		t.Errorf("seen %+v, want %+v with some 900 s to live", first, want)
	}
	// The layout of ipvsadm -Lnc, and the backup's own list says the same.
	if err := table.Wait(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"watch": table.Log(), "the backup": tool(t, d2, "ipvs", "-Lnc")} {
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			f := strings.Fields(line)
			return len(f) == 6 && f[0] == "TCP" && strings.HasPrefix(f[1], "14:") && slices.Equal(f[2:], []string{"ESTABLISHED", held.Local().String(), target.String(), server})
		}) {
			t.Errorf("%s does not list the session:\n%s", name, text)
		}
	}

	if err := lb1.Lose(); err != nil {
		t.Fatal(err)
	}
	takesOver(t, lb2, vip)
	for range 3 {
		if a, err := held.Ask(within(t, 10*time.Second)); err != nil || a.Server != held.First.Server {
			t.Fatalf("after the failover: %q, %v; want %s on the same connection", a.Server, err, held.First.Server)
		}
	}
	eventually(t, 5*time.Second, "the new director as source", func() error {
		all := seen(events, held.Local())
		if last := all[len(all)-1]; last.Event != "moved" || last.Director != "192.168.10.12" || last.OldDirector != "192.168.10.11" || last.State != "ESTABLISHED" {
			return fmt.Errorf("last seen %+v", last)
		}
		return nil
	})
	if err := events.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := events.Wait(within(t, 5*time.Second)); err != nil {
		t.Errorf("watch ended with %v", err)
	}
}
