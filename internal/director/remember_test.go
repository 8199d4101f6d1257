package director

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/director/desired"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/vrrp"
)

func memories() remembered {
	return remembered{
		Sources:   &sources{Path: "k.conf", Texts: map[string]fileText{"k.conf": {Content: []byte("x"), Mode: 0o644}}},
		VRRP:      []vrrp.Resume{{Instance: "V", State: vrrp.Active, Sequence: 7, IPID: 8}},
		Health:    &health.Remembered{Services: []health.RememberedService{{Name: "s", QuorumUp: true}}},
		Addresses: []desired.Address{address("eth0", "192.0.2.1/24")},
		Notified:  map[string]string{"V": "MASTER"},
	}
}

func address(dev, prefix string) desired.Address {
	return desired.Address{Interface: dev, Prefix: netip.MustParsePrefix(prefix)}
}

func TestMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.state")
	m := memory{path: path}
	if r, err := recall(path); r != nil || err != nil {
		t.Errorf("without a file: %v, %v", r, err)
	}
	if err := m.write(memories()); err != nil {
		t.Fatal(err)
	}
	got, err := recall(path)
	if err != nil || got == nil {
		t.Fatalf("recall: %v, %v", got, err)
	}
	want := memories()
	want.Schema, want.Boot = rememberSchema, bootID()
	if d := cmp.Diff(&want, got, addrs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600: passwords are in it", st.Mode().Perm())
	}
	// The same again writes nothing.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := m.write(memories()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what had not changed was written again")
	}
	if err := m.forget(); err != nil {
		t.Errorf("forget what is gone: %v", err)
	}
}

func TestRecallRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		isError    bool
	}{
		{"another boot", `{"schema":1,"boot":"other","sources":{"path":"x"}}`, false},
		{"another schema", `{"schema":99,"boot":"` + bootID() + `","sources":{"path":"x"}}`, false},
		{"without sources", `{"schema":1,"boot":"` + bootID() + `"}`, false},
		{"damaged", `{"schema":1,`, true},
		{"empty", "", true},
		{"of another shape", `[1,2]`, true},
	} {
		path := write(t, t.TempDir(), "x.state", tt.text)
		r, err := recall(path)
		if r != nil || (err != nil) != tt.isError {
			t.Errorf("%s: %v, %v; want nothing, error %t", tt.name, r, err, tt.isError)
		}
	}
}

// A directory that cannot be written is an error, and the next try writes.
func TestMemoryTriesAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	m := memory{path: filepath.Join(dir, "x.state")}
	if err := m.write(memories()); err == nil || !strings.Contains(err.Error(), "remember") {
		t.Errorf("without a directory: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.write(memories()); err != nil {
		t.Error(err)
	}
	if r, err := recall(m.path); r == nil || err != nil {
		t.Errorf("recall: %v, %v", r, err)
	}
}

func TestClaimedByOthers(t *testing.T) {
	dir := t.TempDir()
	for name, addr := range map[string]string{"a": "192.0.2.1/24", "b": "192.0.2.2/24"} {
		r := memories()
		r.Addresses = []desired.Address{address("eth0", addr)}
		m := memory{path: Options{RunDir: dir, Instance: name}.stateFile()}
		if err := m.write(r); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "c.state", "damaged")
	want := map[string]bool{"eth0 192.0.2.2/24": true}
	if d := cmp.Diff(want, claimedByOthers(Options{RunDir: dir, Instance: "a"})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
