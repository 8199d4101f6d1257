package keepalived_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/config"
)

// TestArgs: the other processes of a run parse the same options; every field
// is set, so that none can be forgotten.
func TestArgs(t *testing.T) {
	var want keepalived.Options
	v := reflect.ValueOf(&want).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int:
			f.SetInt(0o27)
		default:
			f.SetString("-x " + v.Type().Field(i).Name) // odd on purpose
		}
	}
	want.Facility = "local4"
	want.TestLog = "" // -t is over by then
	r := keepalived.Parse(want.Args())
	if r.Kind != keepalived.Run || len(r.Messages)+len(r.Extra) > 0 {
		t.Errorf("kind %v, messages %q, extra %q", r.Kind, r.Messages, r.Extra)
	}
	if diff := cmp.Diff(want, r.Options); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff(options(nil), keepalived.Parse(options(nil).Args()).Options); diff != "" {
		t.Errorf("defaults: -want +got\n%s", diff)
	}
}

// TestSettle: where keepalived 2.2.7 was seen to have its pid files.
func TestSettle(t *testing.T) {
	for _, c := range []struct {
		name                     string
		o                        keepalived.Options
		p                        config.Process
		instance, parent, checks string
	}{
		{"nothing said", keepalived.Options{}, config.Process{}, "default", "/run/keepalived.pid", "/run/checkers.pid"},
		{"-p", keepalived.Options{PID: "/x/p"}, config.Process{}, "default", "/x/p", "/run/checkers.pid"},
		{"use_pid_dir", keepalived.Options{}, config.Process{UsePIDDir: true}, "default", "/run/keepalived/keepalived.pid", "/run/keepalived/checkers.pid"},
		{"instance", keepalived.Options{}, config.Process{Instance: "A"}, "A", "/run/keepalived/keepalived_A.pid", "/run/keepalived/checkers_A.pid"},
		{"net_namespace", keepalived.Options{}, config.Process{NetNamespace: "n"}, "n", "/run/keepalived/n/keepalived.pid", "/run/keepalived/n/checkers.pid"},
		{"-s beats it", keepalived.Options{Namespace: "m"}, config.Process{NetNamespace: "n"}, "m", "/run/keepalived/m/keepalived.pid", "/run/keepalived/m/checkers.pid"},
		{"both", keepalived.Options{Namespace: "m"}, config.Process{Instance: "A"}, "A", "/run/keepalived/m/keepalived_A.pid", "/run/keepalived/m/checkers_A.pid"},
		{"--instance", keepalived.Options{Instance: "B"}, config.Process{Instance: "A"}, "B", "/run/keepalived/keepalived_A.pid", "/run/keepalived/checkers_A.pid"},
	} {
		o := c.o
		o.Settle(c.p)
		if o.Instance != c.instance || o.PID != c.parent || o.CheckersPID != c.checks {
			t.Errorf("%s: instance %s, %s, %s", c.name, o.Instance, o.PID, o.CheckersPID)
		}
	}
	if got := (keepalived.Options{ReleaseVIPs: true, SNMP: true, CoreDump: true, NoBFD: true, AddressMonitoring: true}).NoEffect(); len(got) != 5 {
		t.Errorf("without effect: %q", got)
	}
}
