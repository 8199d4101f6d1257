package keepalived_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/cli/keepalived"
	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

func TestExitCode(t *testing.T) {
	kaname := finding.Finding{Severity: finding.Error}
	note := finding.Finding{Severity: finding.Note}
	warning := finding.Finding{Severity: finding.Warning}
	of := func(codes ...int) (out []finding.Finding) {
		for _, c := range codes {
			out = append(out, finding.Finding{Severity: finding.Warning, Exit: c})
		}
		return out
	}
	for _, c := range []struct {
		name string
		fs   []finding.Finding
		want int
	}{
		{"nothing", nil, 0},
		{"notes and warnings that keepalived has not", []finding.Finding{note, warning}, 0},
		{"a file alone", of(4), 4},
		{"a file and a word", of(4, 5), 5},
		{"a missing parameter and a file", of(4, 2), 2},
		{"scripts hide the rest", of(5, 6, 4), 6},
		{"the parse ended", of(5, 6, 2, 4), 2},
		{"an error of ours", []finding.Finding{kaname}, 5},
		{"an error of ours and scripts", append(of(6), kaname), 6},
	} {
		if got := keepalived.ExitCode(c.fs); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestMessage(t *testing.T) {
	for want, f := range map[string]finding.Finding{
		"(a.conf: Line 4) bogus: an unknown word: remove it": {Where: finding.Place{File: "a.conf", Line: 4, Col: 2}, What: "bogus: an unknown word", Fix: "remove it"},
		"(a.conf) not a regular file":                        {Where: finding.Place{File: "a.conf"}, What: "not a regular file"},
		"nothing to run":                                     {What: "nothing to run"},
		"(a.conf: Line 1) \uFFFD[31m and \uFFFD":             {Where: finding.Place{File: "a.conf", Line: 1}, What: "\x1b[31m and \n"},
	} {
		if got := keepalived.Message(f); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestTold(t *testing.T) {
	for _, c := range []struct {
		f             finding.Finding
		plain, detail bool
	}{
		{finding.Finding{Severity: finding.Note}, false, true},
		{finding.Finding{Severity: finding.Note, Exit: 6}, true, true},
		{finding.Finding{Severity: finding.Warning}, true, true},
	} {
		if p, d := keepalived.Told(c.f, false), keepalived.Told(c.f, true); p != c.plain || d != c.detail {
			t.Errorf("%+v: %v and %v, want %v and %v", c.f, p, d, c.plain, c.detail)
		}
	}
}

// oneFile is a configuration in memory.
type oneFile string

func (f oneFile) Read(string) ([]byte, fs.FileMode, error) { return []byte(f), 0o644, nil }
func (oneFile) Glob(string) ([]string, error)              { return []string{"x"}, nil }

// host has eth0, /bin/ok and the user root; /bin/unsafe is anybody's.
var host = keepalived.Host{
	Interface: func(name string) (bool, bool) { return name == "eth0" || name == "lo", name == "lo" },
	Program: func(name string) error {
		if name == "/bin/ok" || name == "/bin/unsafe" {
			return nil
		}
		if name == "/bin/plain" {
			return os.ErrPermission
		}
		return fmt.Errorf("command %s: %w", name, os.ErrNotExist)
	},
	Secure: func(name string, as config.User) error {
		if name == "/bin/unsafe" && as.Name == "root" {
			return errors.New("/bin/unsafe is writable by everybody")
		}
		return nil
	},
	User: func(user, _ string) error {
		if user != "root" {
			return fmt.Errorf("user %q does not exist", user)
		}
		return nil
	},
}

const instance = "vrrp_instance V {\n interface eth0\n virtual_router_id 3\n virtual_ipaddress {\n 192.0.2.1/24\n }\n"

// TestHost: each status is what keepalived 2.2.7 -t ended with in a namespace
// with eth0 alone, without the user keepalived_script.
func TestHost(t *testing.T) {
	secure := "global_defs {\n enable_script_security\n}\n"
	asRoot := "global_defs {\n enable_script_security\n script_user root\n}\n"
	service := "virtual_server 192.0.2.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 10.0.0.1 80 {\n"
	for _, c := range []struct {
		name, text string
		code       int
		rules      []string
	}{
		{"all there", instance + "}", 0, nil},
		{"no interface", "vrrp_instance V {\n interface no0\n virtual_router_id 3\n virtual_ipaddress {\n 192.0.2.1/24\n }\n}", 5, []string{"no-interface"}},
		{"the loopback", "vrrp_instance V {\n interface lo\n virtual_router_id 3\n virtual_ipaddress {\n 192.0.2.1/24\n }\n}", 5, []string{"loopback"}},
		{"vrrp_script missing, no instance", "vrrp_script s {\n script /bin/none\n}\n" + service + "}\n}", 0, nil},
		{"address's dev", "vrrp_instance V {\n interface eth0\n virtual_router_id 3\n virtual_ipaddress {\n 192.0.2.1/24 dev no0\n }\n}", 5, []string{"no-interface"}},
		{"track_interface", instance + " track_interface {\n no0\n }\n}", 5, []string{"no-interface"}},
		{"a check's bind_if", service + "TCP_CHECK {\n bind_if no0\n }\n}\n}", 0, nil},
		{"notify", instance + " notify_master /bin/ok\n}", 6, []string{"script-security"}},
		{"notify, no such user", secure + instance + " notify_master /bin/ok none\n}", 0, []string{"no-user"}},
		{"notify that is no program", instance + " notify_master /bin/plain\n}", 6, []string{"script-missing", "script-security"}},
		{"notify missing", instance + " notify_master /bin/none\n}", 0, []string{"script-missing"}},
		{"notify without a user", secure + instance + " notify_master /bin/ok\n}", 5, []string{"no-user"}},
		{"notify as root", asRoot + instance + " notify_master /bin/ok\n}", 0, nil},
		{"script_user missing", "global_defs {\n script_user none\n}\n" + instance + " notify_master /bin/none\n}", 5, []string{"no-user", "script-missing"}},
		{"vrrp_script that is a test of a file", "vrrp_script s {\n script </bin/none\n}\n" + instance + "}", 0, nil},
		{"startup_script", "global_defs {\n startup_script /bin/ok\n}\n" + instance + "}", 6, []string{"script-security"}},
		{"startup_script, no such user", "global_defs {\n startup_script /bin/ok none\n}\n" + instance + "}", 5, []string{"no-user"}},
		{"shutdown_script missing", "global_defs {\n shutdown_script /bin/none\n}\n" + instance + "}", 0, []string{"script-missing"}},
		{"notify_fifo_script", "global_defs {\n notify_fifo_script /bin/ok\n}\n" + instance + "}", 6, []string{"script-security"}},
		{"vrrp_script missing", "vrrp_script s {\n script /bin/none\n}\n" + instance + "}", 5, []string{"script-missing"}},
		{"vrrp_script", "vrrp_script s {\n script /bin/ok\n}\n" + instance + "}", 6, []string{"script-security"}},
		{"vrrp_script with no such user", "vrrp_script s {\n script /bin/ok\n user none\n}\n" + instance + "}", 5, []string{"no-user"}},
		{"vrrp_script anybody can write", asRoot + "vrrp_script s {\n script /bin/unsafe\n}\n" + instance + "}", 5, []string{"script-unsafe"}},
		{"misc_path", service + "MISC_CHECK {\n misc_path /bin/ok\n }\n}\n}", 6, []string{"script-security"}},
		{"no interface and notify", instance + " track_interface {\n no0\n }\n notify /bin/ok\n}", 5, []string{"no-interface"}},
		{"no interface and misc_path", instance + " track_interface {\n no0\n }\n}\n" + service + "MISC_CHECK {\n misc_path /bin/ok\n }\n}\n}", 6, []string{"no-interface", "script-security"}},
		{"misc_path missing", service + "MISC_CHECK {\n misc_path /bin/none\n }\n}\n}", 0, []string{"script-missing"}},
		{"notify_up, quorum_up", service + "notify_up /bin/ok\n}\n quorum_up /bin/none\n}", 6, []string{"script-missing", "script-security"}},
	} {
		cfg, _, fs := config.Load(oneFile(c.text), "x", config.Options{})
		if finding.Worst(fs) == finding.Error {
			t.Fatalf("%s: %v", c.name, fs)
		}
		found := keepalived.HostFindings(cfg, host)
		var rules []string
		for _, f := range found {
			rules = append(rules, f.Rule)
			if f.Where.Line == 0 || f.Fix == "" {
				t.Errorf("%s: no line or no fix: %+v", c.name, f)
			}
		}
		if diff := cmp.Diff(c.rules, rules); diff != "" {
			t.Errorf("%s: rules -want +got\n%s", c.name, diff)
		}
		if got := keepalived.ExitCode(found); got != c.code {
			t.Errorf("%s: status %d, want %d: %v", c.name, got, c.code, found)
		}
	}
}
