package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

// What is printed of a configuration does not hold its secrets, wherever the line
// stands and whatever is wrong with it.
func TestSecretsAreNotShown(t *testing.T) {
	for _, text := range []string{
		"kaname {\nsync_key topsecret-topsecret\n}\n",
		"@kaname kaname {\n@kaname sync_key topsecret\n@kaname sync_key \"topsecret again\" topsecret\n@kaname }\n",
		"kaname {\n\tsync_kye topsecret topsecret\n}\n",
		"kaname {\nsynckey \"topsecret\"\n}\n",
		"kaname {\nsync_key \"topsecret\n}\n",
		"kaname {\nsync_key topsecret {\n}\n}\n",
		"kaname sync_key topsecret\n",
		"sync_key topsecret\n",
		"vrrp_instance V {\nsync_key topsecret\nvirtual_ipaddress {\nsync_key topsecret\n192.0.2.1 sync_key topsecret\n}\n}\n",
		"global_defs {\nlvs_sync_daemon eth0 sync_key topsecret\nlvs_timeouts sync_key topsecret\n",
		"vrrp_instance V {\nauthentication {\nauth_type PASS\nauth_pass topsecret\nauth_pass topsecret again\nauth_pas topsecret\n}\n}\n",
		"vrrp_instance V {\nauthentication {\nauth_pass topsecret-and-longer\n}\nauth_pass topsecret\n}\n",
		"vrrp_instance V {\nauthentication\nauth_pass topsecret\n}\n",
		"vrrp_instance V {\nauthentication { auth_type PASS\n auth_pass \"topsecret\n}\n",
		"vrrp_instance V {\nvirtual_ipaddress {\nauth_pass topsecret\n}\n}\n",
		"vrrp_instance V {\nauth_hmac {\nkey 300 topsecret\nkey 1 topsecret\nkey topsecret\n@lb1 key 2 topsecret\nactive_key topsecret\n}\n}\n",
		"SSL {\npassword topsecret\npassword topsecret again\n}\n",
	} {
		cfg, tree, fs := config.Load(syntax.MapFiles{"t.conf": text}, "t.conf", config.Options{})
		fs = append(fs, lint.Check(cfg, tree)...)
		var out strings.Builder
		for _, f := range fs {
			out.WriteString(finding.Render(f))
		}
		j, err := json.Marshal(struct {
			Config   *config.Config
			Findings []finding.Finding
		}{cfg, fs})
		if err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("read", "key", cfg.Kaname.Sync.Key, "sync", cfg.Kaname.Sync)
		fmt.Fprintf(&out, "%v\n%+v\n%#v\n%s\n%q\n%s", cfg.Kaname, cfg.Kaname, cfg.Kaname, cfg.Kaname.Sync.Key, cfg.Kaname.Sync.Key, j)
		if strings.Contains(out.String(), "topsecret") {
			t.Errorf("%q:\n%s", text, out.String())
		}
	}
}

// The key itself arrives: what is hidden is only its printing.
func TestSyncKey(t *testing.T) {
	cfg, fs := load(t, "kaname {\nsync_key \"a key of some words\"\n}\nglobal_defs {\nlvs_sync_daemon eth0\n}\n")
	if string(cfg.Kaname.Sync.Key) != "a key of some words" {
		t.Errorf("key %q of %d bytes, findings %v", cfg.Kaname.Sync.Key, len(cfg.Kaname.Sync.Key), fs)
	}
	if s := config.Secret("").String(); s != "" {
		t.Errorf("no secret is %q", s)
	}
}
