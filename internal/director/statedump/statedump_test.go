package statedump_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/director/statedump"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

var update = flag.Bool("update", false, "write the golden files")

// state is a director in the middle of its work.
func state(t *testing.T) *statedump.State {
	t.Helper()
	text, err := os.ReadFile("testdata/keepalived.conf")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, fs := config.Load(syntax.MapFiles{"k.conf": string(text)}, "k.conf", config.Options{})
	if finding.Worst(fs) == finding.Error {
		t.Fatal(fs)
	}
	since := time.Date(2026, 11, 24, 18, 6, 4, 849443000, time.UTC)
	services := []snapshot.VirtualServer{{
		Keys: []lvs.ServiceKey{{}}, QuorumUp: true,
		Servers: []snapshot.RealServer{{Up: true, Weight: 3}, {Up: false}},
	}}
	return &statedump.State{
		Config: cfg, Services: services, Umask: 0o177,
		IDs: func(u config.User) (uint32, uint32) {
			if u.Name == "nobody" {
				return 65534, 65534
			}
			return 0, 0
		},
		Instances: map[string]statedump.Instance{
			"VI_1": {
				State: "MASTER", Since: since, Source: netip.MustParseAddr("10.9.0.1"), EffectivePriority: 155, AddressesSet: true,
				Counters: statedump.Counters{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
			},
			"VI_2": {State: "BACKUP", Since: since.Add(time.Second), EffectivePriority: 100, MasterPriority: 200},
		},
		Groups:  map[string]string{"G": "MASTER"},
		Scripts: map[string]statedump.Script{"chk": {Known: true, Up: true}},
		Interfaces: []statedump.Interface{
			{Name: "lo", Index: 1, Up: true, MTU: 65536, Addr: netip.MustParseAddr("127.0.0.1")},
			{Name: "eth0", Index: 2, Up: false, MTU: 1500, MAC: "02:00:00:00:00:01", Tracked: []string{"VI_1"}},
		},
	}
}

var dumps = map[string]func(io.Writer, *statedump.State) error{
	"keepalived.data":        statedump.WriteVRRP,
	"keepalived_check.data":  statedump.WriteChecks,
	"keepalived_parent.data": statedump.WriteParent,
	"keepalived.stats":       statedump.WriteStats,
	"keepalived.json":        statedump.WriteJSON,
}

// TestGolden: test/e2e compares the layout with keepalived itself; here is that
// it stays, and what no running director shows.
func TestGolden(t *testing.T) {
	for file, write := range dumps {
		var b bytes.Buffer
		if err := write(&b, state(t)); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s: -want +got\n%s", file, diff)
		}
	}
}

// TestSecrets: the password is in no dump, unless asked for, and then where
// keepalived has it.
func TestSecrets(t *testing.T) {
	for file, write := range dumps {
		for _, show := range []bool{false, true} {
			s := state(t)
			s.ShowSecrets = show
			var b bytes.Buffer
			if err := write(&b, s); err != nil {
				t.Fatal(err)
			}
			has := strings.Contains(b.String(), "s3cret")
			if want := show && (file == "keepalived.data" || file == "keepalived.json"); has != want {
				t.Errorf("%s, show %v: the password is there: %v", file, show, has)
			}
		}
	}
}

// TestJSONVersion: 2 wraps the list; both are JSON, in one line.
func TestJSONVersion(t *testing.T) {
	s := state(t)
	s.Config.Global.JSONVersion = 2
	var b bytes.Buffer
	if err := statedump.WriteJSON(&b, s); err != nil {
		t.Fatal(err)
	}
	var v struct {
		VRRP []struct {
			Data struct {
				Name string `json:"iname"`
			}
		} `json:"vrrp"`
		Process []any `json:"track_process"`
	}
	if err := json.Unmarshal(b.Bytes(), &v); err != nil || len(v.VRRP) != 2 || v.VRRP[1].Data.Name != "VI_2" || v.Process == nil {
		t.Errorf("%v: %s", err, &b)
	}
	if strings.Count(b.String(), "\n") != 1 {
		t.Errorf("more than one line: %s", &b)
	}
}

func TestMinus(t *testing.T) {
	c := statedump.Counters{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}
	base := statedump.Counters{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
	if got, want := c.Minus(base), (statedump.Counters{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}); got != want {
		t.Errorf("got %+v", got)
	}
	if got := c.Minus(statedump.Counters{}); got != c {
		t.Errorf("minus nothing: %+v", got)
	}
}

// TestFullDisk: what could not be written is an error.
func TestFullDisk(t *testing.T) {
	for file, write := range dumps {
		if err := write(full{}, state(t)); err == nil {
			t.Errorf("%s: no error", file)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }
