package lint

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

const everyFact = `name lb1.example.org
interface eth0 up mtu 1500 mac 02:00:00:00:00:01 kind veth
address eth0 192.0.2.1/24
address eth0 192.0.2.10/24 ours
interface eth1 down
route 10.0.0.5 dev eth1 via 192.0.2.254
route 10.0.0.6 dev eth1
route 10.0.0.7 unreachable
route 192.0.2.1 local
user daemon
user nobody-such missing
group daemon
program /usr/local/bin/a
program /usr/local/bin/b problem no such file or directory
program /usr/local/bin/c unsafe /usr/local/bin is writable by everybody
file /run/fifo fifo on tmpfs
file /run/x/y missing
listen tcp 0.0.0.0:80 nginx
listen udp [::]:53
sysctl net.ipv4.ip_forward 0
kernel bpf yes
kernel ip_vs no
firewall vrrp eth0 dropped inet filter input: policy drop
process keepalived 812 /run/keepalived.pid
configured 192.0.2.10 /etc/netplan/01.yaml:7
resolves mail.example.org no
unknown listeners needs root
`

// TestHostText: the text form holds every fact.
func TestHostText(t *testing.T) {
	h, err := ParseHost("# a host\n\n" + everyFact)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(everyFact, h.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestHostTextErrors(t *testing.T) {
	for in, want := range map[string]string{
		"colour blue":             `line 1: "colour blue": no such fact of a host`,
		"name":                    `line 1: "name": no such fact of a host`,
		"\ninterface eth0 asleep": `line 2: interface: "asleep" is neither "up" nor "down"`,
		"address eth0 1.2.3.4/24": `line 1: address: no interface eth0 above this line`,
		"configured 1.2.3.4 /etc": `line 1: configured: "/etc" is not FILE:LINE`,
	} {
		if _, err := ParseHost(in); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add(everyFact)
	for l := range strings.Lines(everyFact) {
		f.Add(l)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: the error names no line: %v", s, err)
		}
		_ = h.String()
	})
}

func TestAsk(t *testing.T) {
	const file = `global_defs {
    script_user watcher
}
vrrp_script chk {
    script "/usr/local/bin/chk -v"
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    notify_master "/usr/local/bin/chk again" root wheel
    virtual_ipaddress {
        192.0.2.10/24
    }
    virtual_ipaddress_excluded {
        192.0.2.11/24
    }
    track_script {
        chk
    }
}
virtual_server 192.0.2.10 80 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.21 80 {
    }
    real_server 192.0.2.22 80 {
    }
}
virtual_server 192.0.2.10 443 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.21 443 {
    }
}
`
	cfg, _, _ := config.Load(syntax.MapFiles{"a.conf": file}, "a.conf", config.Options{})
	want := Questions{
		Interfaces: []string{"eth0"},
		Virtual:    []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")},
		Servers:    []netip.Addr{netip.MustParseAddr("192.0.2.21"), netip.MustParseAddr("192.0.2.22")},
		Ports:      []uint16{80, 443},
		Programs:   []string{"/usr/local/bin/chk"},
		Users:      []string{"watcher", "root", "keepalived_script"},
		Groups:     []string{"wheel"},
	}
	if d := cmp.Diff(want, Ask(cfg), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestSilentHost: nothing is found on a host of which nothing is known.
func TestSilentHost(t *testing.T) {
	for p := range Pages() {
		if _, ok := p.File("host.txt"); !ok || p.Rule == "host-id-never-matches" { // the file alone tells that
			continue
		}
		text, _ := p.File("bad.conf")
		cfg, tree, _ := config.Load(syntax.MapFiles{"bad.conf": text}, "bad.conf", config.Options{ConfigID: "lb1"})
		if fs := CheckHost(cfg, tree, Host{}); len(fs) > 0 {
			t.Errorf("%s: %v", p.ID, fs)
		}
	}
}
