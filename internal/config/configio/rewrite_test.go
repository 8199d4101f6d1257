package configio_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kaname-lb/kaname/internal/config/configio"
)

// TestRewrite keeps mode, owner and symbolic link, and leaves nothing behind.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "a.conf"), filepath.Join(dir, "link")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = 65534
		if err := os.Chown(name, owner, 65534); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a.conf", link); err != nil {
		t.Fatal(err)
	}
	for i, via := range []string{name, link} {
		old, text := []string{"old", "new"}[i], []string{"new", "newest"}[i]
		before, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := configio.Rewrite(via, []byte(old), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(name); err != nil || string(b) != text {
			t.Errorf("via %s: %q, %v", via, b, err)
		}
		after, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if after.Mode() != before.Mode() || int(after.Sys().(*syscall.Stat_t).Uid) != owner {
			t.Errorf("mode %v, owner %d", after.Mode(), after.Sys().(*syscall.Stat_t).Uid)
		}
		if os.SameFile(before, after) {
			t.Error("the file was overwritten in place")
		}
	}
	if l, err := os.Readlink(link); err != nil || l != "a.conf" {
		t.Errorf("the link leads to %q, %v", l, err)
	}
	names(t, dir, 2)
}

// TestRewriteRefuses what is no regular file, and what has changed.
func TestRewriteRefuses(t *testing.T) {
	dir := t.TempDir()
	name, fifo := filepath.Join(dir, "a.conf"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(name, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, want string }{
		{name, "has changed"},
		{fifo, "not a regular file"},
		{dir, "not a regular file"},
		{filepath.Join(dir, "none"), "no such file"},
	} {
		err := configio.Rewrite(tt.name, []byte("old"), []byte("new"))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "theirs" {
		t.Errorf("%q, %v", b, err)
	}
	names(t, dir, 2)
}

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, name := range []string{a, b} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if configio.SameFile(a, b) || configio.SameFile(a, dir+"/c") || !configio.SameFile(a, dir+"/./a") {
		t.Error("a and b, a and c, or a and ./a")
	}
}

// names wants n files in a directory.
func names(t *testing.T, dir string, n int) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil || len(es) != n {
		t.Errorf("%d files, want %d: %v %v", len(es), n, es, err)
	}
}
