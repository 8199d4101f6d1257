package director

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/finding"
)

// write puts a file below dir and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a predecessor read is built again from memory: the same configuration
// and the same findings, whatever happened to the files.
func TestSourcesRoundTrip(t *testing.T) {
	dir := t.TempDir()
	main := write(t, dir, "main.conf", "include inc/*.conf\ninclude none.conf\n@here vrrp_instance W { interface eth0\n@here virtual_router_id 9\n@here virtual_ipaddress { 192.0.2.9 } }\nbogus\n")
	if err := os.Mkdir(filepath.Join(dir, "inc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "inc/a.conf", "vrrp_instance V {\n interface eth${_RANDOM 0-9}\n virtual_router_id 3\n")
	write(t, dir, "inc/b.conf", " virtual_ipaddress { 192.0.2.1 }\n}\n")
	first := load(Options{File: main, ConfigID: "here"}, 42)
	if len(first.cfg.Instances) != 2 || len(first.findings) == 0 {
		t.Fatalf("instances %v, findings %v", first.cfg.Instances, first.findings)
	}
	b, err := json.Marshal(first.sources)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	var kept sources
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	again := kept.reload()
	if d := cmp.Diff(first.cfg, again.cfg, addrs); d != "" {
		t.Errorf("configuration (-first +again):\n%s", d)
	}
	if d := cmp.Diff(first.findings, again.findings, addrs); d != "" {
		t.Errorf("findings (-first +again):\n%s", d)
	}
}

func TestSourcesErrors(t *testing.T) {
	s := &sources{Texts: map[string]fileText{
		"gone":   {Missing: true, Err: "open gone: no such file"},
		"secret": {Err: "permission denied", Mode: 0o600},
	}}
	for _, name := range []string{"gone", "never read"} {
		if _, _, err := s.Read(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
		}
	}
	if _, mode, err := s.Read("secret"); err == nil || err.Error() != "permission denied" || mode != 0o600 {
		t.Errorf("secret: %v, mode %o", err, mode)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.conf", "include none.conf\n")
	for _, tt := range []struct{ file, want string }{
		{good, ""},
		{filepath.Join(dir, "none.conf"), "no such file"},
		{dir, "is a directory"},
		{"/dev/null", "not a regular file"},
	} {
		err := load(Options{File: tt.file}, 1).unreadable()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "-f FILE")) {
			t.Errorf("%s: %v, want %q and what to do", tt.file, err, tt.want)
		}
	}
	if l := load(Options{File: good}, 1); !l.ok() || finding.Worst(l.findings) != finding.Warning {
		t.Errorf("an include that is missing: %v, want a warning", l.findings)
	}
}
