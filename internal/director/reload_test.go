package director

import (
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// An instance that only changed its name stays what it is, even when the news
// of its last transition was still on its way under the old name.
func TestRename(t *testing.T) {
	old := parse(t, pairConfig)
	now := parse(t, strings.ReplaceAll(pairConfig, "vrrp_instance A ", "vrrp_instance Z "))
	d := &director{
		log: slog.New(slog.DiscardHandler), loaded: loaded{cfg: old}, unready: map[string]bool{},
		active: map[string]bool{"A": true}, told: map[string]string{"A": "MASTER", "B": "BACKUP"},
	}
	d.rename(old, now)
	d.loaded.cfg = now
	if got := d.told["Z"]; !d.active["Z"] || d.active["A"] || got != "MASTER" || d.told["B"] != "BACKUP" {
		t.Errorf("active %v, told %v", d.active, d.told)
	}
	d.onTransition(epoch, vrrp.Transition{Instance: "A", From: vrrp.Active, To: vrrp.Backup})
	if d.active["Z"] || d.told["Z"] != "BACKUP" {
		t.Errorf("a transition under the old name: active %v, told %v", d.active, d.told)
	}
	// The reload after it knows of no renaming any more.
	d.rename(now, now)
	d.onTransition(epoch, vrrp.Transition{Instance: "A", From: vrrp.Backup, To: vrrp.Active})
	if d.active["Z"] {
		t.Errorf("active %v", d.active)
	}
}

func TestAnnounceChanged(t *testing.T) {
	old := parse(t, pairConfig)
	d := &director{unready: map[string]bool{}, active: map[string]bool{"A": true}}
	d.announceChanged(old, parse(t, pairConfig))
	if len(d.unready) != 0 {
		t.Errorf("nothing changed: %v", d.unready)
	}
	now := parse(t, strings.NewReplacer("192.0.2.2/24", "192.0.2.3/24", "203.0.113.1/24", "203.0.113.9/24").Replace(pairConfig))
	d.announceChanged(old, now)
	want := map[string]bool{"A": true} // B changed as well, and is not active
	if diff := cmp.Diff(want, maps.Clone(d.unready)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
