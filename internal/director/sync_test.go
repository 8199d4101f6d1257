package director

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync/connsyncio"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func TestSyncSpec(t *testing.T) {
	instance := `vrrp_instance A {
    interface eth0
    virtual_router_id 51
    virtual_ipaddress {
        192.0.2.100
    }
}
`
	atOnce := lvs.SyncRules{AtOnce: true, Refresh: time.Minute}
	group := netip.MustParseAddr("224.0.0.81")
	tests := []struct {
		name, text string
		want       connsyncio.Spec
		none       bool
	}{
		{name: "none", text: instance, none: true},
		{
			name: "short", text: "global_defs {\n    lvs_sync_daemon eth0 A\n}\n" + instance,
			want: connsyncio.Spec{Interface: "eth0", SyncID: 51, Group: group, Port: 8848, TTL: 1, Rules: atOnce, CatchUp: true, CatchUpPort: 8848},
		},
		{
			name: "everything", text: "global_defs {\n    lvs_sync_daemon eth1 inst A id 7 maxlen 1000 port 9000 ttl 3 group 239.1.2.3\n}\n" + `kaname {
    sync_key 0123456789abcdef
    sync_at_once off
    sync_threshold 3 50
    sync_refresh_period 20
    sync_retries 2
    sync_qlen_max 100
    sync_rate 1000
    sync_catch_up off
    sync_catch_up_port 9001
}
` + instance,
			want: connsyncio.Spec{
				Interface: "eth1", SyncID: 7, MaxLen: 1000, Group: netip.MustParseAddr("239.1.2.3"), Port: 9000, TTL: 3,
				Secret: "0123456789abcdef", Rules: lvs.SyncRules{Threshold: 3, Period: 50, Refresh: 20 * time.Second, Retries: 2},
				QueueLen: 100, Rate: 1000, CatchUpPort: 9001,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := syncSpec(parse(t, tt.text))
			if ok == tt.none {
				t.Fatalf("there is a daemon: %v", ok)
			}
			if diff := cmp.Diff(tt.want, got, addrs); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
