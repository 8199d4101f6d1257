package configio_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/configio"
	"github.com/kaname-lb/kaname/internal/finding"
)

// TestOS loads from a real directory: a glob, a directory, an executable file,
// a FIFO that nobody writes to, and an unreadable name.
func TestOS(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("main.conf", "include *.inc\ninclude sub\ninclude run.x\ninclude fifo\ninclude none\n", 0o644)
	write("a.inc", "vrrp_instance V {\ninterface eth0\n", 0o644)
	write("b.inc", "virtual_router_id 3\nvirtual_ipaddress { 192.0.2.1 }\n}\n", 0o600)
	write("run.x", "bogus\n", 0o755)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, fs := config.Load(configio.OS{}, filepath.Join(dir, "main.conf"), config.Options{})
	if len(cfg.Instances) != 1 || cfg.Instances[0].VRID != 3 || len(cfg.Files) != 3 {
		t.Errorf("instances %v, files %v", cfg.Instances, cfg.Files)
	}
	lines := map[int]bool{}
	for _, f := range fs {
		if f.Severity != finding.Warning || f.Rule != "include-skipped" {
			t.Errorf("unexpected %s", f)
		}
		lines[f.Where.Line] = true
	}
	for l := 2; l <= 5; l++ {
		if !lines[l] {
			t.Errorf("nothing about the include in line %d: %v", l, fs)
		}
	}
}

// TestMissing is `kaname check FILE` of a file that is not there.
func TestMissing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "none.conf")
	_, _, fs := config.Load(configio.OS{}, name, config.Options{})
	if len(fs) != 1 || fs[0].Severity != finding.Error || fs[0].Where.File != name {
		t.Errorf("got %v", fs)
	}
	_, _, fs = config.Load(configio.OS{}, t.TempDir(), config.Options{})
	if len(fs) != 1 || fs[0].Severity != finding.Error || fs[0].What != "not a regular file" {
		t.Errorf("a directory: %v", fs)
	}
}

// TestTooLarge: the reason stands alone in the error, the name beside it.
func TestTooLarge(t *testing.T) {
	name := filepath.Join(t.TempDir(), "big.conf")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, configio.MaxFile+1); err != nil {
		t.Fatal(err)
	}
	_, _, fs := config.Load(configio.OS{}, name, config.Options{})
	if len(fs) != 1 || fs[0].What != "cannot be read: larger than 64 MiB" {
		t.Errorf("got %v", fs)
	}
}
