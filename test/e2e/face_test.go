package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/lab"
)

// faceConfig has something for most lines of the dumps that kaname can fill.
const faceConfig = `global_defs {
    router_id FACE
    enable_script_security
    script_user root
    vrrp_garp_master_refresh 60
}
vrrp_script chk {
    script "/usr/bin/true x"
    interval 2
    weight 5
}
vrrp_script plain {
    script "/usr/bin/true"
    interval 1
}
vrrp_sync_group G {
    group {
        VI_1
        VI_2
    }
    notify /usr/bin/true
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 150
    nopreempt
    authentication {
        auth_type PASS
        auth_pass secret12
    }
    virtual_ipaddress {
        10.9.0.100/24 label eth0:1
        10.9.0.102 dev eth0 scope link
    }
    virtual_ipaddress_excluded {
        10.9.0.110/24
    }
    notify_master "/usr/bin/true a 'b c'"
    notify_backup /usr/bin/true
}
vrrp_instance VI_2 {
    state BACKUP
    interface eth0
    virtual_router_id 52
    priority 100
    garp_master_delay 3
    lower_prio_no_advert
    skip_check_adv_addr
    virtual_ipaddress {
        10.9.0.101/24
    }
}
vrrp_instance VI_3 {
    interface eth0
    virtual_router_id 53
    priority 90
    virtual_ipaddress {
        10.9.0.103/24
    }
    track_script {
        chk
        plain
    }
}
`

// face is one program called keepalived on a host, with files of its own.
type face struct {
	host    *lab.Host
	program string
	*lab.Process
}

func (f *face) path(name string) string { return filepath.Join(f.host.Dir(), name) }

// options are those of the pid files, and kaname's own.
func (f *face) options() []string {
	out := []string{"-D", "-f", f.path("keepalived.conf"), "-p", f.path("p.pid"), "-r", f.path("r.pid"), "-c", f.path("c.pid")}
	if f.program != "keepalived" {
		out = append(out, "--run-dir", f.path("run"), "--instance", f.host.Name())
	}
	return out
}

func (f *face) start(t *testing.T, more ...string) {
	t.Helper()
	var err error
	args := append(append([]string{f.program}, more...), f.options()...)
	if f.Process, err = f.host.Start(lab.Program{Args: args, Name: "face", Env: []string{"TMPDIR=" + f.host.Dir()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", f.host.Name(), f.Log())
		}
	})
}

func (f *face) pid(t *testing.T, file string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, f.path(file))))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// dump sends the parent a signal and returns the file that follows.
func (f *face) dump(t *testing.T, s unix.Signal, file string) string {
	t.Helper()
	if err := os.Remove(f.path(file)); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := unix.Kill(f.pid(t, "p.pid"), s); err != nil {
		t.Fatal(err)
	}
	var text string
	eventually(t, 10*time.Second, "dumped", func() error {
		b, err := os.ReadFile(f.path(file))
		// keepalived writes in place: what is whole does not grow any more.
		if err == nil && (len(b) == 0 || string(b) != text) {
			err = fmt.Errorf("%s has %d bytes so far", file, len(b))
		}
		text = string(b)
		return err
	})
	if st, err := os.Stat(f.path(file)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%s on %s: mode %v, %v", file, f.host.Name(), st.Mode(), err)
	}
	return text
}

// newFace makes a host with the program, alone on a segment.
func newFace(t *testing.T, l *lab.Lab, host, program string) *face {
	t.Helper()
	f := &face{host: l.Host(host), program: program}
	if program != "keepalived" {
		f.program = filepath.Join(t.TempDir(), "keepalived")
		if err := os.Symlink(program, f.program); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(f.path("keepalived.conf"), []byte(faceConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	return f
}

func faces() lab.Topology {
	var top lab.Topology
	for _, name := range []string{"ours", "theirs"} {
		top.Segments = append(top.Segments, lab.SegmentSpec{Name: "of-" + name})
		top.Hosts = append(top.Hosts, lab.HostSpec{
			Name: name, Ifaces: []lab.IfaceSpec{{Name: "eth0", Segment: "of-" + name, Addrs: []string{"10.9.0.1/24"}}},
		})
	}
	return top
}

// faceLines are lines that monitoring looks for; both print them.
var faceLines = []string{
	"(VI_1) Entering BACKUP STATE (init)", "(VI_3) Receive advertisement timeout", "(VI_1) Entering MASTER STATE",
	"(VI_1) setting VIPs.", "(VI_2) Entering MASTER STATE", "VRRP_Group(G) Syncing instances to MASTER state",
	"VRRP_Script(chk) succeeded", "(VI_3) Entering MASTER STATE", "Startup complete",
}

// TestFaceBesideKeepalived runs kaname called as keepalived, and Debian's
// keepalived, each alone on a segment with the same file, and compares what
// they say and dump.
func TestFaceBesideKeepalived(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Fatal("needs keepalived: make deps-test")
	}
	l := stage(t, faces())
	ours, theirs := newFace(t, l, "ours", binary), newFace(t, l, "theirs", "keepalived")
	for _, f := range []*face{ours, theirs} {
		f.start(t, "-n", "-l", "-G")
	}
	for _, f := range []*face{theirs, ours} {
		eventually(t, 20*time.Second, "master", func() error {
			for _, want := range faceLines {
				if !strings.Contains(f.Log(), ": "+want+"\n") {
					return fmt.Errorf("%s does not say %q", f.host.Name(), want)
				}
			}
			return nil
		})
	}
	t.Run("stats", func(t *testing.T) {
		number := regexp.MustCompile(`(Received|Sent): \d+`)
		a, b := ours.dump(t, unix.SIGUSR2, "keepalived.stats"), theirs.dump(t, unix.SIGUSR2, "keepalived.stats")
		if diff := cmp.Diff(number.ReplaceAllString(b, "$1: N"), number.ReplaceAllString(a, "$1: N")); diff != "" {
			t.Errorf("-keepalived +kaname\n%s", diff)
		}
	})
	t.Run("json", func(t *testing.T) {
		compareJSON(t, theirs.dump(t, 36, "keepalived.json"), ours.dump(t, 36, "keepalived.json"))
	})
	t.Run("data", func(t *testing.T) {
		compareData(t, theirs.dump(t, unix.SIGUSR1, "keepalived.data"), ours.dump(t, unix.SIGUSR1, "keepalived.data"))
		compareData(t, read(t, theirs.path("keepalived_parent.data")), read(t, ours.path("keepalived_parent.data")))
	})
	t.Run("clear", func(t *testing.T) {
		ours.dump(t, 63, "keepalived.stats")
		if s := ours.dump(t, unix.SIGUSR2, "keepalived.stats"); !strings.Contains(s, "Became master: 0\n") || strings.Contains(s, "Became master: 1\n") {
			t.Errorf("after STATS_CLEAR:\n%s", s)
		}
	})
	runningTwice(t, ours, theirs)
	for _, f := range []*face{ours, theirs} {
		ended(t, f)
	}
}

// volatile are fields of the JSON whose values differ from run to run, or on
// purpose.
var volatile = regexp.MustCompile(`"(last_transition|advert_sent|auth_data)":("[^"]*"|[\d.]+)`)

// compareJSON wants the same keys in the same order, and the same values.
func compareJSON(t *testing.T, want, got string) {
	t.Helper()
	if !json.Valid([]byte(got)) {
		t.Fatalf("no JSON:\n%s", got)
	}
	mask := func(s string) string {
		return strings.ReplaceAll(volatile.ReplaceAllString(s, `"$1":_`), ",", ",\n")
	}
	if diff := cmp.Diff(mask(want), mask(got)); diff != "" {
		t.Errorf("-keepalived +kaname\n%s", diff)
	}
	if strings.Contains(got, "secret12") || !strings.Contains(got, `"auth_data":"********"`) {
		t.Errorf("the password is not hidden:\n%s", got)
	}
}

// differing are lines of the data files whose values differ for good reason.
var differing = regexp.MustCompile(`^ *(Last transition|Password|MAC|index|MTU|State = UP|Flags)`)

// unset is what keepalived's parent prints for values that follow others.
const unset = "4294967295"

// compareData wants every line of ours to be one of theirs, in their order:
// kaname leaves out what it does not have.
func compareData(t *testing.T, want, got string) {
	t.Helper()
	rest := strings.Split(want, "\n")
	for line := range strings.Lines(got) {
		line = strings.TrimSuffix(line, "\n")
		i := slices.IndexFunc(rest, func(l string) bool {
			if m := differing.FindString(line); m != "" {
				return strings.HasPrefix(l, m)
			}
			name, value, _ := strings.Cut(l, " = ")
			return l == line || value == unset && strings.HasPrefix(line, name)
		})
		if i < 0 {
			t.Errorf("keepalived has no line %q, or has it earlier", line)
			continue
		}
		rest = rest[i+1:]
	}
}

// runningTwice: a second one says that one runs, and ends with 0.
func runningTwice(t *testing.T, fs ...*face) {
	t.Helper()
	for _, f := range fs {
		second := *f
		second.start(t, "-n", "-l", "-G")
		if err := second.Wait(within(t, 10*time.Second)); err != nil || !strings.Contains(second.Log(), "daemon is already running") {
			t.Errorf("a second %s: %v\n%s", f.program, err, second.Log())
		}
	}
}

// ended stops it by its pid file.
func ended(t *testing.T, f *face) {
	t.Helper()
	pid := f.pid(t, "p.pid")
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "stopped", func() error {
		pids, err := f.host.PIDs()
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("still there: %v", pids)
		}
		return err
	})
	for _, file := range []string{"p.pid", "r.pid", "c.pid"} {
		if _, err := os.Stat(f.path(file)); !os.IsNotExist(err) {
			t.Errorf("%s of %s stayed: %v", file, f.host.Name(), err)
		}
	}
	if !hasNone(f.host, "10.9.0.100", "10.9.0.101", "10.9.0.103") {
		t.Errorf("%s has addresses after its end", f.host.Name())
	}
}

// TestFaceInBackground: without -n the command returns when the director
// serves; pid files lead to living processes, also after one was killed.
func TestFaceInBackground(t *testing.T) {
	t.Parallel()
	l := stage(t, faces())
	f := newFace(t, l, "ours", binary)
	f.start(t)
	if err := f.Wait(within(t, 20*time.Second)); err != nil || f.ExitCode() != 0 {
		t.Fatalf("the command: %v, status %d", err, f.ExitCode())
	}
	parent, director := f.pid(t, "p.pid"), f.pid(t, "r.pid")
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", parent)); err != nil || cwd != "/" {
		t.Errorf("works in %s, %v", cwd, err)
	}
	if sid, err := unix.Getsid(parent); err != nil || sid != parent {
		t.Errorf("session of %d is %d, %v", parent, sid, err)
	}
	for _, pid := range []int{parent, director} {
		if comm := read(t, fmt.Sprintf("/proc/%d/comm", pid)); comm != "keepalived\n" {
			t.Errorf("process %d is called %q", pid, comm)
		}
	}
	killed := func(file string, old int) {
		t.Helper()
		if err := unix.Kill(old, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, 15*time.Second, "replaced", func() error {
			b, err := os.ReadFile(f.path(file))
			if err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(old) {
				err = fmt.Errorf("%s still names %d", file, old)
			}
			return err
		})
	}
	killed("r.pid", director)
	killed("p.pid", parent)
	if s := f.dump(t, unix.SIGUSR2, "keepalived.stats"); !strings.HasPrefix(s, "VRRP Instance: VI_1\n") {
		t.Errorf("stats:\n%s", s)
	}
	ended(t, f)
}

// TestFaceRefuses: the statuses of a start that cannot be, in the foreground
// and in the background.
func TestFaceRefuses(t *testing.T) {
	t.Parallel()
	l := stage(t, faces())
	f := newFace(t, l, "ours", binary)
	bad := f.path("bad.conf")
	if err := os.WriteFile(bad, []byte(strings.ReplaceAll(faceConfig, "interface eth0", "interface eth7")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"an interface that is not there", []string{"-f", bad}, 2},
		{"no file", []string{"-f", f.path("none.conf")}, 6},
		{"no namespace", []string{"-s", "kaname-no-such-namespace"}, 1},
	} {
		for _, mode := range [][]string{{}, {"-n", "-l", "-G"}} {
			args := append(append(append([]string{f.program}, mode...), f.options()...), c.args...)
			if got := statusOf(within(t, 20*time.Second), f.host, args); got != c.code {
				t.Errorf("%s, %q: status %d, want %d", c.name, mode, got, c.code)
			}
		}
	}
	if pids, err := f.host.PIDs(); err != nil || len(pids) > 0 {
		t.Errorf("left: %v, %v", pids, err)
	}
}

// TestFaceInNamespace: -s goes there, and has its pid files in a directory of
// that name.
func TestFaceInNamespace(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	name, dir := fmt.Sprintf("kaname-face-%d", os.Getpid()), t.TempDir()
	ip := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	ip("netns", "add", name)
	t.Cleanup(func() { ip("netns", "del", name) })
	ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	ip("-n", name, "link", "set", "eth0", "up")
	ip("-n", name, "link", "set", "eth1", "up")
	ip("-n", name, "addr", "add", "10.9.0.1/24", "dev", "eth0")
	program, config, pids := filepath.Join(dir, "keepalived"), filepath.Join(dir, "k.conf"), filepath.Join("/run/keepalived", name)
	if err := errors.Join(os.Symlink(binary, program), os.WriteFile(config, []byte(faceConfig), 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(pids) })
	var log bytes.Buffer
	cmd := exec.CommandContext(within(t, 60*time.Second), program, "-n", "-l", "-G", "-f", config, "-s", name, "--run-dir", filepath.Join(dir, "run"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(t, 20*time.Second, "master there", func() error {
		if out := ip("-n", name, "addr", "show", "dev", "eth0"); !strings.Contains(out, "10.9.0.101/24") {
			return fmt.Errorf("no address: %s", out)
		}
		return nil
	})
	if pid := strings.TrimSpace(read(t, filepath.Join(pids, "keepalived.pid"))); pid != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("pid file says %s, started was %d", pid, cmd.Process.Pid)
	}
	if out := ip("addr"); strings.Contains(out, "10.9.0.101/24") {
		t.Error("the address is here too")
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	if _, err := os.Stat(pids); !os.IsNotExist(err) {
		t.Errorf("%s stayed: %v", pids, err)
	}
}

func statusOf(ctx context.Context, h *lab.Host, args []string) int {
	p, err := h.Start(lab.Program{Args: args})
	if err != nil {
		return -1
	}
	_ = p.Wait(ctx) // the status says it
	return p.ExitCode()
}
