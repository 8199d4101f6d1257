package api_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/api"
)

// asNobody runs f in a thread with the file system user 65534.
func asNobody(t *testing.T, f func() error) error {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with f
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
			result <- errno
			return
		}
		result <- f()
	}()
	return <-result
}

func TestListenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "a.sock")
	first, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Listen(path)
	var inUse *api.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.Socket != path || !strings.Contains(err.Error(), "--instance") {
		t.Fatalf("second: %v", err)
	}
	first.Close()
	second, err := api.Listen(path)
	if err != nil {
		t.Fatalf("after the first closed: %v", err)
	}
	second.Close()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestListenRace: of many that start at once exactly one listens, again and
// again, though each removes its lock file as it goes.
func TestListenRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	for range 50 {
		var mu sync.Mutex
		var won []*api.Listener
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := api.Listen(path)
				var inUse *api.InUseError
				if err != nil && !errors.As(err, &inUse) {
					t.Errorf("Listen: %v", err)
				}
				if err == nil {
					mu.Lock()
					won = append(won, l)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d listeners at once", len(won))
		}
		won[0].Close()
	}
}

func TestListenStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	stale(t, path)
	// What a killed daemon leaves: its lock file too, not locked any more.
	if err := os.WriteFile(path+".lock", []byte("999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// TestListenAnswered: somebody answers who holds no lock.
func TestListenAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, err = api.Listen(path)
	var inUse *api.InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(path + ".lock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lock file is left behind: %v", err)
	}
	if _, err := net.Dial("unix", path); err != nil {
		t.Errorf("the other's socket was touched: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file.sock")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, says string }{
		"a file in its place": {file, "there is a file in its place"},
		"a directory":         {dir, "there is a directory in its place"},
		"a path too long":     {filepath.Join(dir, strings.Repeat("x", 200)), "choose a shorter --run-dir"},
		"a file as run-dir":   {filepath.Join(file, "a.sock"), "run directory"},
	} {
		l, err := api.Listen(c.path)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
}
