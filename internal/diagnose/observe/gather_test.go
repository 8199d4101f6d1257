package observe

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kaname-lb/kaname/internal/config/lint"
)

// system makes a root directory with the files.
func system(t *testing.T, files map[string]string) *gatherer {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, link := strings.CutPrefix(text, "-> "); link {
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &gatherer{root: root, host: lint.Host{Sysctls: map[string]string{}, Kernel: map[string]bool{}, Unknown: map[string]string{}}}
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestConfigured(t *testing.T) {
	g := system(t, map[string]string{
		"etc/netplan/50-cloud-init.yaml":                          "network:\n  ethernets:\n    eth0:\n      addresses:\n        - 192.0.2.10/24\n        # - 192.0.2.11/24\n      routes:\n        - to: default\n          via: 192.0.2.12\n      nameservers: {addresses: [192.0.2.12]}\n",
		"etc/network/interfaces":                                  "auto eth0\niface eth0 inet static\n    address 192.0.2.100\n    up ip address add 192.0.2.11/24 dev eth0\n",
		"etc/sysconfig/network-scripts/ifcfg-eth0":                "IPADDR=192.0.2.12\nGATEWAY=192.0.2.10\n",
		"etc/systemd/network/10-eth0.network":                     "[Network]\nAddress=2001:db8::10/64\n",
		"etc/NetworkManager/system-connections/eth0.nmconnection": "[ipv4]\naddress1=192.0.2.10/24,192.0.2.254\n",
	})
	var q lint.Questions
	for _, ip := range []string{"192.0.2.10", "192.0.2.11", "192.0.2.12", "2001:db8::10"} {
		q.Virtual = append(q.Virtual, netip.MustParseAddr(ip))
	}
	g.configured(q)
	var got []string
	for _, c := range g.host.Configured {
		name, _ := filepath.Rel(g.root, c.File)
		got = append(got, c.Addr.String()+" "+name+":"+string(rune('0'+c.Line)))
	}
	diff(t, []string{
		"192.0.2.10 etc/netplan/50-cloud-init.yaml:5",
		"192.0.2.11 etc/network/interfaces:4",
		"192.0.2.12 etc/sysconfig/network-scripts/ifcfg-eth0:1",
		"2001:db8::10 etc/systemd/network/10-eth0.network:2",
		"192.0.2.10 etc/NetworkManager/system-connections/eth0.nmconnection:2",
	}, got)
}

func TestProcesses(t *testing.T) {
	const here, there = "-> net:[1]", "-> net:[2]"
	g := system(t, map[string]string{
		"proc/self/ns/net": here,
		"proc/812/comm":    "keepalived\n", "proc/812/ns/net": here,
		"proc/813/comm": "keepalived\n", "proc/813/ns/net": here, // its child
		"proc/90/comm": "vrrpd\n", "proc/90/ns/net": there, // of another namespace
		"proc/901/comm": "kaname\n", "proc/901/ns/net": here, "proc/901/cmdline": "kaname\x00check\x00a.conf\x00",
		"proc/905/comm": "keepalived\n", "proc/905/ns/net": here, "proc/905/exe": "-> /usr/bin/kaname (deleted)", // kaname by that name
		"proc/904/comm": "keepalived\n", "proc/904/ns/net": here, "proc/904/cmdline": "keepalived\x00run\x00--as-keepalived\x00",
		"proc/902/comm": "bash\n", "proc/902/ns/net": here,
		"run/keepalived.pid": "812\n",
	})
	g.processes()
	diff(t, []lint.HostProcess{
		{Name: "keepalived", PID: 812, PIDFile: filepath.Join(g.root, "run/keepalived.pid")},
		{Name: "kaname", PID: 904},
	}, g.host.Processes)
}

const procTCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0000000000000000 100 0 0 10 0
   1: 0A0200C0:0050 0B0200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 1002 1 0000000000000000 100 0 0 10 0
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1003 1 0000000000000000 100 0 0 10 0
`

const procTCP6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1004 1 0000000000000000 100 0 0 10 0
   1: B80D0120000000000000000010000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1005 1 0000000000000000 100 0 0 10 0
`

func TestListeners(t *testing.T) {
	g := system(t, map[string]string{
		"proc/net/tcp": procTCP, "proc/net/tcp6": procTCP6,
		"proc/77/comm": "nginx: master\n", "proc/77/fd/3": "-> socket:[1001]",
	})
	g.listeners(lint.Questions{Ports: []uint16{80}})
	diff(t, []lint.Listener{
		{Proto: "tcp", Addr: netip.MustParseAddrPort("127.0.0.1:80"), Process: "nginx:_master"},
		{Proto: "tcp", Addr: netip.MustParseAddrPort("[::]:80")},
		{Proto: "tcp", Addr: netip.MustParseAddrPort("[2001:db8::10]:80")},
	}, g.host.Listeners)
}

func FuzzSockets(f *testing.F) {
	f.Add(procTCP)
	f.Add(procTCP6)
	f.Fuzz(func(t *testing.T, s string) {
		for _, x := range parseSockets(s) {
			if !x.addr.IsValid() {
				t.Errorf("%q: %+v", s, x)
			}
		}
	})
}

func FuzzFindAddresses(f *testing.F) {
	f.Add("addresses: [192.0.2.10/24]\n")
	f.Add("IPADDR='192.0.2.10'\n# 192.0.2.10")
	wanted := map[string]bool{"192.0.2.10": true}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range findAddresses(s, "f", wanted) {
			if c.Addr != netip.MustParseAddr("192.0.2.10") || c.Line < 1 {
				t.Errorf("%q: %+v", s, c)
			}
		}
	})
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run, plain := write("run", 0o755), write("plain", 0o644)
	g := system(t, nil)
	g.programs(lint.Questions{Programs: []string{run, plain, dir + "/none"}})
	for i := range g.host.Programs {
		g.host.Programs[i].Unsafe = "" // depends on where tests run
	}
	diff(t, []lint.Program{{Name: run}, {Name: plain, Problem: "permission denied"}, {Name: dir + "/none", Problem: "no such file or directory"}}, g.host.Programs)

	g.files(lint.Questions{Files: []string{plain, dir, dir + "/none", dir + "/none/at/all", "/proc/version"}})
	fs := fileSystem(dir)
	diff(t, []lint.HostFile{
		{Path: plain, Type: "regular", FS: fs},
		{Path: dir, Type: "directory", FS: fs},
		{Path: dir + "/none", Type: "missing", FS: fs},
		{Path: dir + "/none/at/all", Type: "missing"},
		{Path: "/proc/version", Type: "regular", FS: "proc"},
	}, g.host.Files)
}

func TestSysctls(t *testing.T) {
	g := system(t, map[string]string{
		"proc/sys/net/ipv4/ip_forward": "1\n", "proc/sys/net/ipv4/conf/all/rp_filter": "2\n",
		"proc/sys/net/ipv4/conf/eth0.100/arp_ignore": "1\n", "proc/sys/net/ipv6/conf/eth1/disable_ipv6": "1\n",
	})
	g.sysctls(lint.Questions{Interfaces: []string{"eth0.100", "eth1"}})
	diff(t, map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "2", "net.ipv4.conf.eth0.100.arp_ignore": "1", "net.ipv6.conf.eth1.disable_ipv6": "1"}, g.host.Sysctls)
}

// TestThisHost: what is gathered here can be printed and read again.
func TestThisHost(t *testing.T) {
	h := Host(t.Context(), lint.Questions{
		Interfaces: []string{"lo"}, Users: []string{"root", "nobody-such-one"}, Groups: []string{"root"},
		Servers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Names: []string{"localhost"},
	})
	again, err := lint.ParseHost(h.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, h)
	}
	if d := cmp.Diff(h.String(), again.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if !h.Users["root"] || h.Users["nobody-such-one"] || len(h.Interfaces) == 0 || len(h.Routes) != 1 || !h.Routes[0].Local || !h.Resolved["localhost"] {
		t.Errorf("facts are missing:\n%s", h)
	}
}
