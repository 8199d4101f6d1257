package director

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
)

func TestPIDFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	p := pidFiles{PIDFiles{VRRP: filepath.Join(dir, "vrrp.pid"), Checks: filepath.Join(dir, "checkers.pid")}, slog.New(slog.DiscardHandler)}
	there := func() (out []string) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			out = append(out, filepath.Base(f))
		}
		return out
	}
	check := func(what, want string) {
		t.Helper()
		if got := strings.Join(there(), " "); got != want {
			t.Errorf("%s: files %q, want %q", what, got, want)
		}
	}
	vrrp := &config.Config{Instances: []*config.Instance{{}}}
	both := &config.Config{Instances: vrrp.Instances, VirtualServers: []*config.VirtualServer{{}}}
	p.write(both)
	check("both", "checkers.pid vrrp.pid")
	p.write(vrrp)
	check("a reload without virtual servers", "vrrp.pid")
	if b, err := os.ReadFile(p.files.VRRP); err != nil || string(b) != strconv.Itoa(os.Getpid())+"\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
	check("the end", "")
	// A stale one is overwritten; one that another process took over stays.
	if err := os.WriteFile(p.files.VRRP, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.remove(); err != nil {
		t.Error(err)
	}
	check("another's", "vrrp.pid")
	p.write(vrrp)
	if b, err := os.ReadFile(p.files.VRRP); err != nil || string(b) == "1\n" {
		t.Errorf("a stale file: %q, %v", b, err)
	}
	if err := (pidFiles{}).remove(); err != nil {
		t.Errorf("no files wanted: %v", err)
	}
}
