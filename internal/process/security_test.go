package process_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kaname-lb/kaname/internal/process"
)

func TestCheckSecurity(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make files of root and of others")
	}
	// A place in which only root can write; temporary directories are not.
	root, err := os.MkdirTemp("/run", "kaname-security-") //nolint:usetesting // t.TempDir is below a directory that everybody can write
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	file := func(name string, mode os.FileMode, uid, gid int) string {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chown(path, uid, gid), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := func(target, name string) string {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good/script", 0o755, 0, 0)
	openDir := file("open/script", 0o755, 0, 0)
	if err := os.Chmod(filepath.Dir(openDir), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link("loop-b", "loop-a")

	tests := []struct {
		name, path string
		element    string // of the InsecureError, empty for none
		why        string // part of its reason, or of another error
	}{
		{name: "only root", path: good},
		{name: "group root may write", path: file("g0", 0o775, 0, 0)},
		{name: "of another user", path: file("u", 0o755, 1, 0), element: root + "/u", why: "owned by uid 1"},
		{name: "another group may write", path: file("g1", 0o775, 0, 1), element: root + "/g1", why: "writable by group 1"},
		{name: "all may write", path: file("o", 0o757, 0, 0), element: root + "/o", why: "writable by everybody"},
		{name: "sticky directory", path: openDir, element: root + "/open", why: "writable by everybody"},
		{name: "link to safe file", path: link("good/script", "relative")},
		{name: "absolute link to safe file", path: link(good, "absolute")},
		{name: "link through open directory", path: link("open/script", "through"), element: root + "/open", why: "everybody"},
		{name: "dot dot", path: root + "/good/../good/./script"},
		{name: "out of open directory", path: root + "/open/../good/script", element: root + "/open", why: "everybody"},
		{name: "missing", path: root + "/none", why: "no such file"},
		{name: "relative", path: "none", why: "not an absolute path"},
		{name: "links in a circle", path: link("loop-a", "loop-b"), why: syscall.ELOOP.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := process.CheckSecurity(tt.path)
			insecure, ok := errors.AsType[*process.InsecureError](err)
			switch {
			case tt.element == "" && tt.why == "":
				if err != nil {
					t.Errorf("got %v, want it safe", err)
				}
			case tt.element == "":
				if ok || err == nil || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("got %v, want an error with %q", err, tt.why)
				}
			case !ok || insecure.Element != tt.element || !strings.Contains(insecure.Why, tt.why) || insecure.Path != tt.path:
				t.Errorf("got %v, want %s %s", err, tt.element, tt.why)
			}
		})
	}
}
