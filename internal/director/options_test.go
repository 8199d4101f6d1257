package director

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/api"
	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/hostnet"
)

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, ExitOK},
		{"anything", errors.New("x"), ExitFailure},
		{"with its own status", fmt.Errorf("start: %w", exit(ExitConfig, "x")), ExitConfig},
		{"among others", errors.Join(exit(ExitKernel, "x"), errors.New("y")), ExitKernel},
		{"hostnet refused", fmt.Errorf("a: %w", hostnet.ErrNotPermitted), ExitPermission},
		{"EPERM", fmt.Errorf("a: %w", unix.EPERM), ExitPermission},
		{"EACCES of a file", &fs.PathError{Op: "mkdir", Path: "/x", Err: unix.EACCES}, ExitPermission},
		{"pins in use", fmt.Errorf("a: %w", xdp.ErrInUse), ExitRunning},
		{"socket in use", listenError(&api.InUseError{Socket: "/x"}), ExitRunning},
		{"no such system call", fmt.Errorf("a: %w", unix.ENOSYS), ExitKernel},
		{"not supported", fmt.Errorf("a: %w", unix.EOPNOTSUPP), ExitKernel},
	} {
		if got := status(tt.err); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestPaths(t *testing.T) {
	o := Options{Instance: "blue.1", RunDir: "/run/kaname"}
	if o.socket() != "/run/kaname/blue.1.sock" || o.stateFile() != "/run/kaname/blue.1.state" || o.pinDir() != "/sys/fs/bpf/kaname/blue_1" {
		t.Errorf("%s %s %s", o.socket(), o.stateFile(), o.pinDir())
	}
	if o.PinDir = "/bpf/x"; o.pinDir() != "/bpf/x" {
		t.Errorf("pin directory %s", o.pinDir())
	}
}

func TestLacking(t *testing.T) {
	all := uint64(1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_BPF)
	for _, tt := range []struct {
		have     uint64
		balances bool
		want     []string
	}{
		{all, true, nil},
		{all &^ (1 << unix.CAP_BPF), false, nil},
		{all &^ (1 << unix.CAP_BPF), true, []string{"CAP_BPF"}},
		{all&^(1<<unix.CAP_BPF) | 1<<unix.CAP_SYS_ADMIN, true, nil},
		{0, true, []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF"}},
	} {
		if got := lacking(tt.have, tt.balances); !slices.Equal(got, tt.want) {
			t.Errorf("%x, balances %t: %v, want %v", tt.have, tt.balances, got, tt.want)
		}
	}
}

// complain makes every line a message that names the program.
func TestComplain(t *testing.T) {
	var b bytes.Buffer
	complain(Options{Stderr: &b}, errors.Join(errors.New("one"), errors.New("two")))
	if got, want := b.String(), "kaname: one\nkaname: two\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A run directory that cannot be made says what to do.
func TestListenError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := api.Listen(filepath.Join(file, "dir", "x.sock"))
	if err == nil || !bytes.Contains([]byte(listenError(err).Error()), []byte("--run-dir")) {
		t.Errorf("got %v", err)
	}
}
