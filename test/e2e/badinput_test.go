package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// withoutBPF makes this test binary run its arguments on a kernel that has no
// bpf(2): a seccomp filter answers it as such a kernel does.
const withoutBPF = "KANAME_E2E_WITHOUT_BPF"

func init() {
	if os.Getenv(withoutBPF) == "" {
		return
	}
	err := errors.Join(os.Unsetenv(withoutBPF), refuseBPF())
	if err == nil {
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "run without bpf(2):", err)
	os.Exit(125)
}

// refuseBPF loads a filter: bpf(2) is ENOSYS, everything else is allowed.
func refuseBPF() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_BPF, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// cleanConfig is clusterConfig without anything that could be remarked on.
func cleanConfig(priority, weight1, weight2 int) string {
	return strings.NewReplacer(
		"delay_loop 2\n", "delay_loop 2\n    alpha\n", "connect_timeout 3", "connect_timeout 1",
	).Replace(clusterConfig(priority, weight1, weight2))
}

// refusal is a start that must fail: with this status, and with one line that
// has all these words and is nothing but the program's name and the message.
type refusal struct {
	name   string
	wrap   []string // before the program
	env    []string
	file   string // instead of the usual one
	config string // instead of the usual one
	status int
	words  []string
	// findings is set when the file is at fault: its diagnostics go before.
	findings bool
}

func refusals(t *testing.T, dir string) []refusal {
	t.Helper()
	usual := cleanConfig(200, 1, 1)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	nobody := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	secret := filepath.Join(dir, "secret.conf")
	if err := os.WriteFile(secret, []byte(usual), 0o600); err != nil {
		t.Fatal(err)
	}
	return []refusal{
		{name: "no such file", file: filepath.Join(dir, "none.conf"), status: 6, words: []string{"none.conf", "no such file", "-f FILE"}},
		{name: "a directory", file: dir, status: 6, words: []string{dir, "is a directory", "-f FILE"}},
		{name: "a device", file: "/dev/null", status: 6, words: []string{"/dev/null", "not a regular file", "-f FILE"}},
		{name: "a file that others may not read", wrap: nobody, file: secret, status: 6, words: []string{"secret.conf", "permission denied"}},
		{
			name: "a configuration with errors", config: strings.Replace(usual, "virtual_router_id 7", "virtual_router_id 700", 1),
			status: 2, words: []string{"not started", "errors above: 1"}, findings: true,
		},
		{
			name: "unknown interface", config: strings.Replace(usual, "interface eth0", "interface eth7", 1),
			status: 2, words: []string{":3:5:", "interface eth7", "ip link"},
		},
		{
			name: "unknown device of an address", config: strings.Replace(usual, clusterVIP+"/24", clusterVIP+"/24 dev eth8", 1),
			status: 2, words: []string{":8:", "interface eth8", "ip link"},
		},
		{name: "nobody", wrap: nobody, status: 4, words: []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "root"}},
		{
			name: "root without BPF", wrap: []string{"setpriv", "--bounding-set=-bpf,-sys_admin"},
			status: 4, words: []string{"CAP_BPF", "root"},
		},
		{
			name: "root of a user namespace", wrap: []string{"unshare", "--user", "--map-root-user"},
			status: 4, words: []string{"raw socket", "CAP_NET_RAW"},
		},
		{
			name: "kernel without BPF", wrap: []string{self}, env: []string{withoutBPF + "=1"},
			status: 8, words: []string{"dataplane", "load BPF programs", "Linux 5.17"},
		},
	}
}

// Every start that cannot be says so in one line, with its own status, and
// leaves the host as it was.
func TestRefused(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	dir := publicDir(t)
	program := filepath.Join(dir, "kaname")
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, r := range refusals(t, dir) {
		t.Run(r.name, func(t *testing.T) {
			file := r.file
			if file == "" {
				file = filepath.Join(dir, "keepalived.conf")
				config := r.config
				if config == "" {
					config = cleanConfig(200, 1, 1)
				}
				if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			runDir := filepath.Join(dir, "run")
			before := traces(t, h, runDir)
			p, err := h.Start(lab.Program{
				Args: append(r.wrap, program, "run", "-f", file, "--instance", "bad", "--run-dir", runDir),
				Env:  r.env, Name: "refused",
			})
			if err != nil {
				t.Fatal(err)
			}
			_ = p.Wait(within(t, 20*time.Second)) // the status says it
			if p.ExitCode() != r.status {
				t.Errorf("status %d, want %d", p.ExitCode(), r.status)
			}
			oneLine(t, p.Log(), r)
			if after := traces(t, h, runDir); after != before {
				t.Errorf("left behind; before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// publicDir is a directory that everybody can read, unlike those of tests.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func oneLine(t *testing.T, log string, r refusal) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	last := lines[len(lines)-1]
	for _, w := range append(r.words, "kaname: ") {
		if !strings.Contains(last, w) {
			t.Errorf("the last line has no %q: %s", w, last)
		}
	}
	if !r.findings && len(lines) != 1 {
		t.Errorf("%d lines, want one:\n%s", len(lines), log)
	}
	if r.findings && (len(lines) < 2 || !strings.Contains(lines[0], ": error: ")) {
		t.Errorf("no error with its place before the last line:\n%s", log)
	}
}

// traces is what a director could leave on a host: processes, addresses,
// pins, attached programs, and files in its run directory.
func traces(t *testing.T, h *lab.Host, runDir string) string {
	t.Helper()
	var b strings.Builder
	pids, err := h.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, "processes:", len(pids))
	addrs, err := h.Addrs("eth0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, "addresses:", addrs)
	for _, dir := range []string{"/sys/fs/bpf/kaname", runDir} {
		// An empty directory is no trace: the next start would make it again.
		out, err := h.Run(within(t, 5*time.Second), "find", dir, "-mindepth", "1")
		if err != nil && !strings.Contains(err.Error(), "No such file") {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s:\n%s", dir, out)
	}
	out, err := h.Run(within(t, 5*time.Second), "ip", "-details", "link", "show", "eth0")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, "XDP:", strings.Contains(out, "xdp"))
	return b.String()
}

// lines returns the lines of a log that have all words.
func linesWith(log string, words ...string) []string {
	var found []string
next:
	for line := range strings.Lines(log) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, strings.TrimSpace(line))
	}
	return found
}

// An include that cannot be read is, as under keepalived, no reason not to
// start: one warning with its place, and the rest is run.
func TestUnreadableInclude(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	before := traces(t, h, filepath.Join(h.Dir(), "run"))
	for _, include := range []string{"none.conf", "."} {
		d := direct(t, h, "include "+include+"\n"+cleanConfig(200, 1, 1))
		moved(t, 10*time.Second, h, l.Host("lb2"), clusterVIP)
		if got := linesWith(d.Process.Log(), ":1:", "warning", include); len(got) != 1 {
			t.Errorf("include %s: %d lines, want one: %q", include, len(got), got)
		}
		if got := status(t, d).LastReload; !got.OK || got.Warnings == 0 {
			t.Errorf("include %s: status tells of the start %+v, want OK with a warning", include, got)
		}
		terminate(t, d, clusterVIP)
	}
	if after := traces(t, h, filepath.Join(h.Dir(), "run")); after != before {
		t.Errorf("left behind; before:\n%s\nafter:\n%s", before, after)
	}
}

// A VIP that somebody else put on the interface is removed with one warning,
// as keepalived does, and gone after the end, even if it had another length.
func TestVIPAlreadyThere(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	for _, prefix := range []string{"/24", "/32"} {
		if _, err := h.Run(within(t, 5*time.Second), "ip", "address", "add", clusterVIP+prefix, "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
		d := direct(t, h, strings.Replace(cleanConfig(200, 1, 1), "state BACKUP", "state BACKUP\n    nopreempt", 1))
		if got := linesWith(d.Process.Log(), "WARN", clusterVIP+prefix, "eth0", "removing"); len(got) != 1 {
			t.Errorf("%d lines about %s, want one:\n%s", len(got), clusterVIP+prefix, d.Process.Log())
		}
		moved(t, 10*time.Second, h, l.Host("lb2"), clusterVIP)
		addrs, err := h.Addrs("eth0")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, a := range addrs {
			if a.Addr() == netip.MustParseAddr(clusterVIP) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the master has %v on eth0, want %s once", addrs, clusterVIP)
		}
		terminate(t, d, clusterVIP)
	}
}

// A second director of the same instance is refused and disturbs nothing; one
// of another instance leaves the first one's address alone.
func TestTwoDirectors(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	first := direct(t, h, cleanConfig(200, 1, 1))
	moved(t, 10*time.Second, h, l.Host("lb2"), clusterVIP)
	runDir := filepath.Join(h.Dir(), "run")
	before := traces(t, h, runDir)

	p, err := h.Start(lab.Program{
		Args: []string{binary, "run", "-f", first.Config, "--instance", h.Name(), "--run-dir", runDir}, Name: "second",
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Wait(within(t, 20*time.Second)) // the status says it
	if p.ExitCode() != 7 {
		t.Errorf("status %d, want 7", p.ExitCode())
	}
	oneLine(t, p.Log(), refusal{words: []string{"another kaname", "pid", h.Name() + ".sock", "--instance"}})
	if after := traces(t, h, runDir); after != before {
		t.Errorf("the second changed something; before:\n%s\nafter:\n%s", before, after)
	}

	other := filepath.Join(h.Dir(), "other.conf")
	config := "vrrp_instance W {\n interface eth0\n virtual_router_id 8\n priority 100\n virtual_ipaddress { 10.0.0.108/24 }\n}\n"
	if err := os.WriteFile(other, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err = h.Start(lab.Program{
		Args: []string{binary, "run", "-f", other, "--instance", "other", "--run-dir", runDir}, Name: "other", Notify: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitReady(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "both addresses there", func() error {
		if !hasAll(h, clusterVIP, "10.0.0.108") {
			return errors.New(traces(t, h, runDir))
		}
		return nil
	})
	// The first applies its state anew, and must not take the other's address.
	if err := first.WriteConfig(cleanConfig(200, 2, 1)); err != nil {
		t.Fatal(err)
	}
	tool(t, first, "reload")
	if !hasAll(h, clusterVIP, "10.0.0.108") {
		t.Errorf("after a reload of the first: %s", traces(t, h, runDir))
	}
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(within(t, 10*time.Second)); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if !hasAll(h, clusterVIP) || !hasNone(h, "10.0.0.108") {
		t.Errorf("after the end of the other: %s", traces(t, h, runDir))
	}
	if s := state(t, first, "V"); s != "MASTER" {
		t.Errorf("the first is %s, want MASTER", s)
	}
	terminate(t, first, clusterVIP)
}

// An explicit mode that an interface cannot have, or whose hook is another
// program's, is a condition that names the interface: the other one's program
// stays, VRRP and what is already there go on, and nothing is left at the end.
func TestExplicitModeImpossible(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	runDir := filepath.Join(h.Dir(), "run")
	if _, err := h.Run(within(t, 5*time.Second), "ip", "link", "add", "plain", "type", "bridge"); err != nil {
		t.Fatal(err)
	}
	attachForeign(t, h, "eth0")
	before := traces(t, h, runDir)
	for _, test := range []struct{ iface, words string }{
		{"plain", "native XDP"}, // a bridge's driver has no XDP
		{"eth0", "another program is attached"},
	} {
		config := fmt.Sprintf("kaname {\n xdp_mode native\n interfaces %s\n}\n%s", test.iface, cleanConfig(200, 1, 1))
		d := direct(t, h, config)
		moved(t, 10*time.Second, h, l.Host("lb2"), clusterVIP)
		found := false
		for _, c := range status(t, d).Conditions {
			found = found || c.Code == "not-attached" && c.Object == test.iface && strings.Contains(c.What, test.words) && c.Fix != ""
		}
		if !found {
			t.Errorf("%s: no condition not-attached with %q and a fix: %+v", test.iface, test.words, status(t, d).Conditions)
		}
		if got := linesWith(d.Process.Log(), "interface "+test.iface); len(got) != 1 {
			t.Errorf("%s: %d lines, want one:\n%s", test.iface, len(got), d.Process.Log())
		}
		terminate(t, d, clusterVIP)
		if after := traces(t, h, runDir); after != before {
			t.Errorf("%s: left behind; before:\n%s\nafter:\n%s", test.iface, before, after)
		}
	}
}

// attachForeign puts a program that lets everything pass on native XDP.
func attachForeign(t *testing.T, h *lab.Host, iface string) {
	t.Helper()
	err := h.Do(func() error {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "foreign", Type: ebpf.XDP, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
		})
		if err != nil {
			return err
		}
		t.Cleanup(func() { p.Close() })
		index, err := ifindex(iface)
		if err != nil {
			return err
		}
		x, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPDriverMode})
		if err != nil {
			return err
		}
		t.Cleanup(func() { x.Close() })
		return nil
	})
	if err != nil {
		t.Fatalf("a program of somebody else on %s: %v", iface, err)
	}
}

// ifindex is the index of an interface in the calling thread's namespace.
func ifindex(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
		return 0, err
	}
	return int(r.Uint32()), nil
}

// A director that was killed and whose successor cannot start any more (its
// interface is gone meanwhile) leaves no address and no pin to nobody.
func TestSuccessorRefused(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	runDir := filepath.Join(h.Dir(), "run")
	if _, err := h.Run(within(t, 5*time.Second), "ip", "link", "add", "gone", "type", "bridge"); err != nil {
		t.Fatal(err)
	}
	before := traces(t, h, runDir)
	config := strings.Replace(cleanConfig(200, 1, 1), "state BACKUP", "state BACKUP\n track_interface {\n gone weight 10\n }", 1)
	d := direct(t, h, config)
	moved(t, 10*time.Second, h, l.Host("lb2"), clusterVIP)
	if _, err := h.Run(within(t, 5*time.Second), "ip", "link", "delete", "gone"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(directorProcess(t, h), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = d.Process.Wait(within(t, 20*time.Second)) // the status says it
	if d.Process.ExitCode() != 2 {
		t.Errorf("status %d, want 2", d.Process.ExitCode())
	}
	if after := traces(t, h, runDir); after != before {
		t.Errorf("left behind; before:\n%s\nafter:\n%s", before, after)
	}
}

// Signals that keepalived answers with a dump are answered, by the director as
// by its keeper, and a log that nobody reads kills nobody.
func TestHarmlessSignals(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	d := direct(t, h, cleanConfig(200, 1, 1))
	director, keeper := roles(t, h)
	files := map[unix.Signal]string{
		unix.SIGUSR1: "keepalived_check.data", unix.SIGUSR2: "keepalived.stats", 36: "keepalived.json",
		63: "keepalived.stats", unix.SIGPIPE: "",
	}
	for _, pid := range []int{keeper, director} {
		for s, file := range files {
			path := filepath.Join(h.Dir(), file)
			if file != "" {
				os.Remove(path) // of the signal before
			}
			if err := unix.Kill(pid, s); err != nil {
				t.Fatal(err)
			}
			eventually(t, 5*time.Second, fmt.Sprintf("signal %d answered", int(s)), func() error {
				_, err := os.Stat(path)
				return err
			})
		}
	}
	if text := read(t, filepath.Join(h.Dir(), "keepalived_check.data")); !strings.Contains(text, " VS VIP = "+clusterVIP+", VPORT = 80\n") {
		t.Errorf("check data:\n%s", text)
	}
	if again, _ := roles(t, h); again != director {
		t.Errorf("director %d became %d", director, again)
	}
	terminate(t, d, clusterVIP)
}

// SIGTERM at any moment of a start ends it, with nothing left.
func TestStopDuringStart(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	runDir := filepath.Join(h.Dir(), "run")
	config := filepath.Join(h.Dir(), "keepalived.conf")
	if err := os.WriteFile(config, []byte(cleanConfig(200, 1, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	before := traces(t, h, runDir)
	for delay := 10 * time.Millisecond; delay < 600*time.Millisecond; delay += delay / 3 {
		p, err := h.Start(lab.Program{
			Args: []string{binary, "run", "-f", config, "--instance", h.Name(), "--run-dir", runDir}, Name: "short",
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay) // the moment is the test's subject
		if err := p.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		// A signal before the program listens to any ends it by itself.
		if err := p.Wait(within(t, 20*time.Second)); err != nil && err.Error() != "signal: terminated" {
			t.Errorf("SIGTERM after %s: %v; log:\n%s", delay, err, p.Log())
		}
		if after := traces(t, h, runDir); after != before {
			t.Fatalf("SIGTERM after %s: left behind; before:\n%s\nafter:\n%s\nlog:\n%s", delay, before, after, p.Log())
		}
	}
}

// A check script that does not want to end does not hold the addresses, which
// the peer takes with priority 0: they go first, and then the script is waited for.
func TestStubbornScriptHoldsNoAddress(t *testing.T) {
	t.Parallel()
	l := stage(t, cluster())
	h := l.Host("lb1")
	script := filepath.Join(h.Dir(), "stubborn")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	misc := fmt.Sprintf("MISC_CHECK {\n misc_path %s\n misc_timeout 60\n }\n TCP_CHECK {", script)
	d := direct(t, h, strings.Replace(cleanConfig(200, 1, 1), "TCP_CHECK {", misc, 1))
	moved(t, 10*time.Second, h, l.Host("lb2"), clusterVIP)
	eventually(t, 10*time.Second, "the script running", func() error {
		if pids, err := h.PIDs(); err != nil || len(pids) < 3 {
			return fmt.Errorf("processes %v, %w", pids, err)
		}
		return nil
	})
	if err := d.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !hasNone(h, clusterVIP); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the VIP is still there")
		}
	}
	if pids, err := h.PIDs(); err != nil || len(pids) < 3 {
		t.Errorf("when the VIP went only %v ran (%v): it was held until the script had ended", pids, err)
	}
	terminate(t, d, clusterVIP)
}
