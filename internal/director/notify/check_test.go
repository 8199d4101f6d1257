package notify_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/director/notify"
	"github.com/kaname-lb/kaname/internal/event"
)

// TestDropped has scripts that cannot be run: one log line each at New, and
// nothing at the event.
func TestDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.sh")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	n := notify.New(notify.Spec{
		Instances: map[string]notify.Scripts{"V": {
			Master:  notify.Script{Argv: []string{"/nonexistent/master.sh", "x"}, Where: "k.conf:3:5"},
			Generic: notify.Script{Argv: []string{plain}, Where: "k.conf:4:5"},
			Backup:  notify.Script{Argv: []string{"/bin/true"}, User: "no-such-user", Where: "k.conf:5:5"},
			Fault:   notify.Script{Argv: []string{dir}, Where: "k.conf:6:5"},
		}},
		Services: map[string]notify.ServerScripts{"192.0.2.1 80": {Up: notify.Script{Argv: []string{"/nonexistent/up"}, Where: "k.conf:9:5"}}},
		Servers: map[notify.ServerKey]notify.ServerScripts{
			{Service: "192.0.2.1 80", Server: server}: {Down: notify.Script{Argv: []string{"/nonexistent/down"}, Where: "k.conf:12:7"}},
		},
	}, log.logger())
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	want := [][]string{
		{"where=k.conf:3:5", `of="vrrp_instance V"`, "keyword=notify_master", "/nonexistent/master.sh: no such file"},
		{"where=k.conf:5:5", "keyword=notify_backup", "no-such-user"},
		{"where=k.conf:6:5", "keyword=notify_fault", dir},
		{"where=k.conf:4:5", "keyword=notify ", plain + ": permission denied"},
		{"where=k.conf:9:5", `of="virtual_server 192.0.2.1 80"`, "keyword=quorum_up"},
		{"where=k.conf:12:7", `of="real_server 10.0.0.1:80 of virtual_server 192.0.2.1 80"`, "keyword=notify_down"},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), log.String())
	}
	for i, parts := range want {
		for _, part := range append(parts, "level=ERROR", "cannot be run and is dropped") {
			if !strings.Contains(lines[i], part) {
				t.Errorf("line %d lacks %q:\n%s", i+1, part, lines[i])
			}
		}
	}
	before := log.String()
	for _, state := range []string{"MASTER", "BACKUP", "FAULT", "STOP"} {
		n.Handle(event.VRRPTransition{Instance: "V", State: state})
	}
	n.Close(10 * time.Second)
	if diff := cmp.Diff(before, log.String()); diff != "" {
		t.Errorf("logged at the events (-before +after):\n%s", diff)
	}
}

// TestUser runs a script as the user of its line, of the Spec, and as we are.
func TestUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	for _, tc := range []struct{ name, own, global, want string }{
		{"own", "nobody", "daemon", "nobody"},
		{"script_user", "", "daemon", "daemon"},
		{"default", "", "", defaultUser()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			if err := os.WriteFile(out, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(out, 0o666); err != nil {
				t.Fatal(err)
			}
			openWay(t, out)
			n := notify.New(notify.Spec{
				User: tc.global,
				Instances: map[string]notify.Scripts{"V": {Master: notify.Script{
					Argv: []string{"/bin/sh", "-c", `id -un >"$0"`, out}, User: tc.own, Where: "k.conf:1:1",
				}}},
			}, (&logBuffer{}).logger())
			n.Handle(event.VRRPTransition{Instance: "V", State: "MASTER"})
			n.Close(10 * time.Second)
			got, err := os.ReadFile(out)
			if err != nil || strings.TrimSpace(string(got)) != tc.want {
				t.Errorf("ran as %q, want %q (%v)", got, tc.want, err)
			}
		})
	}
}

// TestSecure has enable_script_security with scripts that are safe and not.
func TestSecure(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the test is about scripts that run as root")
	}
	dir := t.TempDir() // below a directory that everybody can write to
	unsafe := filepath.Join(dir, "unsafe.sh")
	if err := os.WriteFile(unsafe, []byte("#!/bin/sh\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(unsafe, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, path, user, want string }{
		{"safe as root", "/bin/true", "root", ""},
		{"unsafe as root", unsafe, "root", "writable by everybody"},
		{"unsafe as another", unsafe, "nobody", ""},
		{"no user", "/bin/true", "", noUserMessage()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			n := notify.New(notify.Spec{Secure: true, Instances: map[string]notify.Scripts{"V": {
				Master: notify.Script{Argv: []string{tc.path}, User: tc.user, Where: "k.conf:1:1"},
			}}}, log.logger())
			n.Close(0)
			if got := log.String(); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("log %q, want %q in it", got, tc.want)
			}
		})
	}
}

// defaultUser is who runs scripts on this host when the configuration is silent.
func defaultUser() string {
	if _, err := user.Lookup("keepalived_script"); err == nil {
		return "keepalived_script"
	}
	return "root"
}

func noUserMessage() string {
	if defaultUser() == "root" {
		return "enable_script_security needs script_user"
	}
	return ""
}

// openWay lets everybody pass through the directories above path that are the
// test's own.
func openWay(t *testing.T, path string) {
	t.Helper()
	for dir := filepath.Dir(path); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
