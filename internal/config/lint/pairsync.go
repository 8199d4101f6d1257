package lint

import (
	"fmt"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
)

var pairSyncRules = []pairRule{
	{"pair-sync-missing", finding.Warning, pairSyncMissing},
	{"pair-sync-differs", finding.Warning, pairSyncDiffers},
	{"pair-sync-key", finding.Warning, pairSyncKey},
}

// pairSyncMissing: connections go one way only.
func pairSyncMissing(c *pairChecker) {
	c.sides(func(n, other *node) {
		s := other.Config.Global.SyncDaemon
		if s == nil || n.Config.Global.SyncDaemon != nil || len(c.services) == 0 {
			return
		}
		at := n.Config.Global.Where
		if at.IsZero() {
			at = n.file()
		}
		c.report(n, at, fmt.Sprintf("%s has no lvs_sync_daemon: it does not know the connections of %s, and they break when it takes over", n.Name, other.Name),
			fmt.Sprintf("%s: lvs_sync_daemon %s", s.Where, s.Interface), "lvs_sync_daemon in global_defs of both nodes")
	})
}

// pairSyncDiffers: the daemons do not hear each other.
func pairSyncDiffers(c *pairChecker) {
	a, b := c.a.Config.Global.SyncDaemon, c.b.Config.Global.SyncDaemon
	if a == nil || b == nil {
		return
	}
	evidence := fmt.Sprintf("%s: lvs_sync_daemon %s", a.Where, a.Interface)
	rows := []struct {
		what       string
		va, vb     string
		compatible bool
	}{
		{"syncid", fmt.Sprint(a.SyncID), fmt.Sprint(b.SyncID), a.SyncID == 0 || b.SyncID == 0},
		{"port", fmt.Sprint(a.Port), fmt.Sprint(b.Port), false},
		{"group", a.Group.String(), b.Group.String(), false},
	}
	for _, r := range rows {
		if r.va != r.vb && !r.compatible {
			c.report(c.b, b.Where, fmt.Sprintf("lvs_sync_daemon: %s %s, but %s on %s: neither takes the other's connections, and they break with a failover", r.what, r.vb, r.va, c.a.Name),
				evidence, "the same "+r.what+" on both nodes")
		}
	}
	if (a.Instance == "") != (b.Instance == "") {
		c.report(c.b, b.Where, fmt.Sprintf("lvs_sync_daemon: %s, but %s on %s", syncRole(b), syncRole(a), c.a.Name), evidence, "the vrrp_instance on both nodes or on none")
	}
}

func syncRole(s *config.SyncDaemon) string {
	if s.Instance == "" {
		return "announces and takes connections all the time"
	}
	return "follows vrrp_instance " + s.Instance
}

// pairSyncKey: what is signed with another key is refused. The keys are
// compared and never shown.
func pairSyncKey(c *pairChecker) {
	a, b := c.a.Config, c.b.Config
	if a.Global.SyncDaemon == nil || b.Global.SyncDaemon == nil || a.Kaname.Sync.Key == b.Kaname.Sync.Key {
		return
	}
	what := "another sync_key than on " + c.a.Name
	switch {
	case a.Kaname.Sync.Key == "":
		what = "sync_key, and none on " + c.a.Name
	case b.Kaname.Sync.Key == "":
		what = "no sync_key, as " + c.a.Name + " has"
	}
	at := c.b.at(b.Kaname.Where, "sync_key")
	if at.IsZero() {
		at = b.Global.SyncDaemon.Where
	}
	from := c.a.at(a.Kaname.Where, "sync_key")
	if from.IsZero() {
		from = a.Global.SyncDaemon.Where
	}
	c.report(c.b, at, what+": connections announced by one node are refused by the other, and break with a failover", from.String(), "the same sync_key on both nodes")
}
