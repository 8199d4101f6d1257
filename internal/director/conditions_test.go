package director

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

var (
	epoch = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	other = netip.MustParseAddr("192.168.2.12")
	mine  = netip.MustParseAddr("192.168.2.11")
	vip   = netip.MustParseAddr("192.168.2.1")
)

func at(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

func advert(s float64, priority uint8) vrrpio.Observation {
	return vrrpio.Observation{
		Time: at(s), Interface: "eth0", Kind: vrrpio.AdvertOnWire,
		From: other, VRID: 51, Priority: priority, Count: 1,
	}
}

func arp(s float64) vrrpio.Observation {
	return vrrpio.Observation{
		Time: at(s), Interface: "eth0", Kind: vrrpio.ForeignARP,
		MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}, VIP: vip, Count: 1,
	}
}

func TestConditionsOfAnElection(t *testing.T) {
	master := view{
		name: "SERVICE", iface: "eth0", vrid: 51, active: true, interval: time.Second,
		addrs: []netip.Addr{vip}, source: mine,
	}
	backup := master
	backup.active = false
	with := func(v view, change func(*view)) view { change(&v); return v }
	heard := func(s float64) func(*view) { return func(v *view) { v.delivered, v.lastAdvert = at(s), at(s) } }

	for _, tt := range []struct {
		name  string
		seen  []vrrpio.Observation
		view  view
		now   float64
		code  string // "" for no condition
		cause string
	}{
		{"alone", nil, master, 10, "", ""},
		{
			"adverts on the wire never reach the socket: local firewall",
			[]vrrpio.Observation{advert(8, 100), advert(9, 100)},
			master, 10, "two-masters", "firewall of this host drops protocol 112",
		},
		{
			"one advert is no evidence yet",
			[]vrrpio.Observation{advert(9.9, 100)},
			master, 10, "", "",
		},
		{
			"old adverts of a master that is gone",
			[]vrrpio.Observation{advert(1, 100), advert(2, 100)},
			master, 30, "", "",
		},
		{
			"a release ends the evidence",
			[]vrrpio.Observation{advert(8, 100), advert(9, 100), advert(9.5, 0)},
			master, 10, "", "",
		},
		{
			"a backup that hears its master",
			[]vrrpio.Observation{advert(8, 100), advert(9, 100)},
			with(backup, heard(9)), 10, "", "",
		},
		{
			"a backup that does not, in a group that waits",
			[]vrrpio.Observation{advert(8, 100), advert(9, 100)},
			with(backup, func(v *view) { v.group, v.groupState = "VG", "BACKUP" }), 10, "adverts-lost", "firewall of this host",
		},
		{
			"adverts are ignored for their password",
			[]vrrpio.Observation{advert(8, 100), advert(9, 100)},
			with(with(master, heard(9)), func(v *view) {
				v.ignored = []ignored{{reason: vrrp.IgnorePassword, last: at(9), from: other}}
			}), 10, "two-masters", "ignored: password",
		},
		{
			"the other does not hear us",
			[]vrrpio.Observation{advert(1, 90), advert(9, 90)},
			with(master, heard(9)), 10, "two-masters", "does not hear this host",
		},
		{
			"our address claimed by another and no advert on the wire",
			[]vrrpio.Observation{arp(9)},
			master, 10, "two-masters", "something between the two drops protocol 112",
		},
		{
			"a claim from before the other gave way",
			[]vrrpio.Observation{arp(8)},
			with(master, heard(9)), 10, "", "",
		},
		{
			"adverts of the master that gave way to us just now",
			[]vrrpio.Observation{advert(1, 200), advert(9, 200)},
			with(with(master, heard(9)), func(v *view) { v.since = at(9.5) }), 10, "", "",
		},
		{"a claim while backup is the master's right", []vrrpio.Observation{arp(9)}, backup, 10, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c conditions
			for _, o := range tt.seen {
				c.observe(o)
			}
			got := c.conclude(at(tt.now), []view{tt.view})
			if tt.code == "" {
				if len(got) > 0 {
					t.Fatalf("got %+v, want no condition", got)
				}
				return
			}
			if len(got) != 1 || got[0].Code != tt.code || !strings.Contains(got[0].Cause, tt.cause) {
				t.Fatalf("got %+v, want one %q caused by %q", got, tt.code, tt.cause)
			}
			if got[0].Fix == "" || got[0].Object != tt.view.name {
				t.Errorf("condition without fix or object: %+v", got[0])
			}
		})
	}
}

func TestConditionOfAGroupThatWaits(t *testing.T) {
	var c conditions
	v := view{name: "A", iface: "eth0", vrid: 51, interval: time.Second, source: mine, group: "G", groupState: "BACKUP", waiting: true}
	if got := c.conclude(at(0), []view{v}); len(got) != 0 {
		t.Fatalf("a moment's wait is no condition: %+v", got)
	}
	got := c.conclude(at(10), []view{v})
	if len(got) != 1 || got[0].Code != "adverts-lost" || !strings.Contains(got[0].What, "sync group G") {
		t.Fatalf("got %+v, want adverts-lost that names the group", got)
	}
	v.waiting = false
	if got := c.conclude(at(11), []view{v}); len(got) != 0 {
		t.Fatalf("it waits no more: %+v", got)
	}
}

func TestClaimedAddressesAreAskedFor(t *testing.T) {
	var c conditions
	v := view{name: "A", iface: "eth0", vrid: 51, active: true, addrs: []netip.Addr{vip}, source: mine}
	if got := c.doubtful(at(1), []view{v}); len(got) != 0 {
		t.Errorf("nothing is claimed: %v", got)
	}
	c.observe(arp(1))
	second := arp(1)
	second.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 8}
	c.observe(second)
	want := []question{{"eth0", vip, mine}}
	if got := c.doubtful(at(2), []view{v}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := c.doubtful(at(60), []view{v}); len(got) != 0 {
		t.Errorf("an old claim is no doubt: %v", got)
	}
	v.active = false
	if got := c.doubtful(at(2), []view{v}); len(got) != 0 {
		t.Errorf("a backup has nothing to ask: %v", got)
	}
}

func TestConditionKeepsItsBeginning(t *testing.T) {
	var c conditions
	v := view{name: "A", iface: "eth0", vrid: 51, active: true, interval: time.Second, source: mine}
	c.observe(advert(1, 100))
	c.observe(advert(2, 100))
	first := c.conclude(at(3), []view{v})
	c.observe(advert(3, 100))
	second := c.conclude(at(5), []view{v})
	if len(first) != 1 || len(second) != 1 || second[0].Since != at(3) {
		t.Fatalf("since must stay at the first sight: %+v then %+v", first, second)
	}
	if none := c.conclude(at(60), []view{v}); len(none) != 0 {
		t.Fatalf("without evidence it must go: %+v", none)
	}
}
