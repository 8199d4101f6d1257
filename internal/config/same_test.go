package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

const sameText = `vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    authentication {
        auth_type PASS
        auth_pass verysecret
    }
    virtual_ipaddress {
        192.0.2.1/24
    }
}
virtual_server 192.0.2.1 80 {
    protocol TCP
    real_server 192.0.2.11 80 {
        TCP_CHECK {
            connect_timeout 3
        }
    }
}
`

func TestSame(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"elsewhere", "vrrp_instance", "# comment\n\n  vrrp_instance", ""},
		{"a default written out", "interface eth0", "interface eth0\npriority 100", ""},
		{"a number", "interface eth0", "interface eth0\npriority 101", "Instances[0] VI_1: Priority"},
		{"a name", "VI_1", "VI_2", "Instances[0] VI_1: Name"},
		{"an address", "192.0.2.1/24", "192.0.2.1/25", "Instances[0] VI_1: Addresses[0]: Prefix"},
		{"one more", "192.0.2.1/24", "192.0.2.1/24\n192.0.2.2/24", "Instances[0] VI_1: Addresses: 1 and 2 of them"},
		{"a duration, deep", "connect_timeout 3", "connect_timeout 4", "VirtualServers[0] 192.0.2.1 80: RealServers[0]: Checkers[0]: ConnectTimeout"},
		{"a pointer", "virtual_server", "global_defs {\nlvs_sync_daemon eth0\n}\nvirtual_server", "Global: SyncDaemon"},
		{"no values are shown", "verysecret", "other", "Instances[0] VI_1: AuthPass"},
		{"a secret", "vrrp_instance", "@kaname kaname {\n@kaname sync_key 0123456789abcdef\n@kaname }\nvrrp_instance", "Kaname: Sync: Key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(sameText, tt.old, tt.new, 1)
			a, _ := load(t, sameText)
			b, _ := load(t, changed)
			if got := config.Same(a, b); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSameWithout(t *testing.T) {
	a, _ := load(t, "vrrp_script s {\nscript /bin/true\ninit_fail\n}")
	b, _ := load(t, "vrrp_script s {\nscript /bin/true\n}")
	if d := config.Same(a, b); d != "Scripts[0] s: InitFail" {
		t.Errorf("got %q", d)
	}
	if d := config.Same(a, b, "init_fail"); d != "" {
		t.Errorf("without init_fail: %q", d)
	}
}

// TestSameSeesEveryField changes each field that a corpus of configurations
// sets, one after the other, and wants that Same names it.
func TestSameSeesEveryField(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	changed := 0
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(b), separator)
		read := func() *config.Config {
			fs, mainFile := archive(input)
			cfg, _, _ := config.Load(fs, mainFile, config.Options{ConfigID: "lb1", Env: env})
			return cfg
		}
		if d := config.Same(read(), read()); d != "" {
			t.Fatalf("%s differs from itself in %s", name, d)
		}
		a, c := read(), read()
		eachLeaf(reflect.ValueOf(c).Elem(), "", func(path string, v reflect.Value) {
			old := reflect.New(v.Type()).Elem()
			old.Set(v)
			v.SetZero()
			changed++
			if config.Same(a, c) == "" {
				t.Errorf("%s: %s is zero and Same does not see it", name, path)
			}
			v.Set(old)
		})
	}
	if changed < 1000 {
		t.Errorf("only %d fields changed", changed)
	}
}

// eachLeaf calls f for every value that is not zero, positions and the list of
// files left out.
func eachLeaf(v reflect.Value, path string, f func(string, reflect.Value)) {
	if v.Type() == reflect.TypeFor[finding.Place]() || strings.HasSuffix(path, ".Files") || v.IsZero() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		eachLeaf(v.Elem(), path, f)
	case reflect.Slice:
		for i := range v.Len() {
			eachLeaf(v.Index(i), path+"[]", f)
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "net/netip" {
			f(path, v)
			return
		}
		for i := range v.NumField() {
			eachLeaf(v.Field(i), path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Map:
		// An entry cannot be set in place; TestSame has maps when Config has.
	default:
		f(path, v)
	}
}
