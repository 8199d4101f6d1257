package cli_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/cli"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// TestHostByDefault: check looks at this host when the file is its own.
func TestHostByDefault(t *testing.T) {
	const own, other = "/etc/keepalived/keepalived.conf", "/etc/keepalived/other.conf"
	instance := "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.10/24\n }\n}\n"
	files := syntax.MapFiles{own: instance, other: strings.ReplaceAll(instance, "eth0", "ens3"), "/home/a/keepalived.conf": instance}
	for _, tt := range []struct {
		name string
		root bool
		args []string
		want bool
	}{
		{"root, its own file", true, []string{own}, true},
		{"not root", false, []string{own}, false},
		{"not root, but asked for", false, []string{"--host", own}, true},
		{"another host's interfaces", true, []string{other}, false},
		{"a file of a user", true, []string{"/home/a/keepalived.conf"}, false},
		{"switched off", true, []string{"--no-host", own}, false},
		{"two files", true, []string{own, own}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			e := env(&out, &errs)
			asked := false
			e.Files, e.Root = files, tt.root
			e.Observe = func(_ context.Context, q lint.Questions) lint.Host {
				asked = len(q.Virtual) == 1
				return lint.Host{}
			}
			code := cli.Main(t.Context(), e, append([]string{"kaname", "check"}, tt.args...))
			if code != cli.ExitOK || asked != tt.want {
				t.Errorf("status %d, asked %v\n%s%s", code, asked, &out, &errs)
			}
		})
	}
}
