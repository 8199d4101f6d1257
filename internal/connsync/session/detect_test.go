package session_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// rules lists findings by rule, place and severity.
func rules(fs []finding.Finding) (out []string) {
	for _, f := range fs {
		out = append(out, fmt.Sprintf("%s %s: %s", f.Severity, f.Rule, f.Where))
		if f.What == "" || f.Fix == "" {
			out = append(out, "without what or fix")
		}
	}
	return out
}

func TestDetectSilence(t *testing.T) {
	e := session.Expect{Source: "224.0.0.81 on eth0", Listening: at(0)}
	tab := session.New(session.Options{})
	if got := session.Detect(tab, at(29), e); len(got) != 0 {
		t.Errorf("too early: %v", got)
	}
	if diff := cmp.Diff([]string{"warning sync-silent: 224.0.0.81 on eth0"}, rules(session.Detect(tab, at(30), e))); diff != "" {
		t.Errorf("nothing heard (-want +got):\n%s", diff)
	}
	apply(t, tab, 40, lb1, tcp("10.0.0.1:1", 1, lvs.StateEstablished))
	if got := session.Detect(tab, at(60), e); len(got) != 0 {
		t.Errorf("heard 20 s ago: %v", got)
	}
	if diff := cmp.Diff([]string{"note sync-silent: 224.0.0.81 on eth0"}, rules(session.Detect(tab, at(100), e))); diff != "" {
		t.Errorf("heard 60 s ago (-want +got):\n%s", diff)
	}
}

func TestDetectTwoMasters(t *testing.T) {
	c := tcp("10.0.0.1:1", 1, lvs.StateEstablished)
	for _, s := range []struct {
		name  string
		heard string // who sends, every 5 s
		ids   [2]uint8
		want  bool
	}{
		{"one director", "111111111111", [2]uint8{51, 51}, false},
		{"failover", "111111222222", [2]uint8{51, 51}, false},
		{"failover and back", "11112221111", [2]uint8{51, 51}, false},
		{"in turns", "1212", [2]uint8{51, 51}, true},
		{"one is quieter", "11121111211", [2]uint8{51, 51}, true},
		{"in turns with two syncids", "12121212", [2]uint8{51, 52}, false},
		{"failovers far apart", "1" + strings.Repeat(" ", 20) + "2" + strings.Repeat(" ", 20) + "1" + strings.Repeat(" ", 20) + "2", [2]uint8{51, 51}, false},
	} {
		t.Run(s.name, func(t *testing.T) {
			tab := session.New(session.Options{})
			end := 0.0
			for i, who := range s.heard {
				if end = float64(5 * i); who == ' ' {
					continue
				}
				from, id := lb1, s.ids[0]
				if who == '2' {
					from, id = lb2, s.ids[1]
				}
				if _, err := tab.Apply(at(end), from, message(t, 1, id, c)); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			if s.want {
				want = []string{"error sync-two-masters: syncid 51"}
			}
			got := session.Detect(tab, at(end), session.Expect{})
			if diff := cmp.Diff(want, rules(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if s.want && !(strings.Contains(got[0].What, lb1.String()) && strings.Contains(got[0].What, lb2.String())) {
				t.Errorf("does not name both: %s", got[0].What)
			}
			for _, f := range session.Detect(tab, at(end+3600), session.Expect{}) {
				if f.Rule == "sync-two-masters" {
					t.Errorf("an hour later: %v", f)
				}
			}
		})
	}
}

func TestDetectMixedVersions(t *testing.T) {
	c := tcp("10.0.0.1:1", 1, lvs.StateEstablished)
	tab := session.New(session.Options{})
	for i, version := range []int{0, 1} {
		if _, err := tab.Apply(at(float64(i)), lb1, message(t, version, 51, c)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"warning sync-mixed-versions: eth0 syncid 51"}, rules(session.Detect(tab, at(5), session.Expect{Source: "eth0"}))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// The upgrade was longer ago.
	apply(t, tab, 700, lb1, c)
	if got := session.Detect(tab, at(701), session.Expect{}); len(got) != 0 {
		t.Errorf("after the upgrade: %v", got)
	}
}

func TestDetectMessagesAboveTheMTU(t *testing.T) {
	var cs []connsync.Conn
	for i := range 40 {
		cs = append(cs, tcp(fmt.Sprintf("10.0.0.1:%d", i), 1, lvs.StateEstablished))
	}
	tab := session.New(session.Options{})
	apply(t, tab, 0, lb1, cs...) // 1448 bytes, 1476 with headers
	six := netip.MustParseAddr("fd00::11")
	apply(t, tab, 0, six, cs...) // 1496 with headers
	for mtu, want := range map[int][]string{
		0:    nil,
		1496: nil,
		1495: {"warning sync-above-mtu: director fd00::11"},
		1475: {"warning sync-above-mtu: director 10.7.0.11", "warning sync-above-mtu: director fd00::11"},
	} {
		got := session.Detect(tab, at(1), session.Expect{MTU: mtu})
		if diff := cmp.Diff(want, rules(got)); diff != "" {
			t.Errorf("MTU %d (-want +got):\n%s", mtu, diff)
		}
		if mtu == 1475 && !strings.HasSuffix(got[0].Fix, " to 1447") {
			t.Errorf("fix: %s", got[0].Fix)
		}
	}
}

func TestDetectUnknownServers(t *testing.T) {
	ap := netip.MustParseAddrPort
	tab := session.New(session.Options{})
	other := tcp("10.0.0.1:3", 1, lvs.StateEstablished)
	other.Virtual = ap("192.168.10.101:80")
	marked := tcp("10.0.0.1:4", 1, lvs.StateEstablished)
	marked.Virtual, marked.FWMark, marked.Dest = ap("192.168.10.102:9"), 7, ap("192.168.10.1:9")
	template := tcp("10.0.0.0:0", 1, lvs.TemplateAssured)
	template.Flags |= connsync.Template | connsync.Inactive
	template.Virtual, template.Dest = ap("192.168.10.100:0"), ap("192.168.10.1:0")
	apply(t, tab, 0, lb1, tcp("10.0.0.1:1", 1, lvs.StateEstablished), tcp("10.0.0.1:2", 3, lvs.StateEstablished),
		tcp("10.0.0.1:5", 3, lvs.StateEstablished), other, marked, template)
	e := session.Expect{
		Services: []lvs.ServiceKey{{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.168.10.100"), Port: 80}, {FWMark: 7}},
		Servers:  []netip.AddrPort{ap("192.168.10.1:80"), ap("192.168.10.2:80")},
	}
	got := session.Detect(tab, at(1), e)
	want := []string{
		"warning sync-unknown-service: virtual server TCP 192.168.10.101:80",
		"warning sync-unknown-server: real server 192.168.10.3:80", "warning sync-unknown-server: real server 192.168.10.1:9",
	}
	if diff := cmp.Diff(want, rules(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got[1].What != "2 sessions to a real server that the configuration does not name" || !strings.Contains(got[1].Evidence, "10.0.0.1:2") {
		t.Errorf("%+v", got[1])
	}
	// A server named without a port is it on every port, a service too.
	e.Servers = []netip.AddrPort{ap("192.168.10.1:0"), ap("192.168.10.3:0")}
	e.Services = append(e.Services, lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.168.10.101")})
	if got := session.Detect(tab, at(1), e); len(got) != 0 {
		t.Errorf("all are named: %v", got)
	}
	if got := session.Detect(tab, at(1), session.Expect{}); len(got) != 0 {
		t.Errorf("no configuration: %v", got)
	}
	// Of very many not each one is reported.
	for i := range 30 {
		c := tcp("10.0.0.9:1", 1, lvs.StateEstablished)
		c.Client = netip.AddrPortFrom(c.Client.Addr(), uint16(100+i))
		c.Virtual = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 9, byte(i)}), 80)
		apply(t, tab, 0, lb1, c)
	}
	got = session.Detect(tab, at(1), e)
	if len(got) != 20 || !strings.HasSuffix(got[19].Evidence, "10 more of the kind are not listed") {
		t.Errorf("%d findings, the last %+v", len(got), got[len(got)-1])
	}
}

func TestSummary(t *testing.T) {
	tab := session.New(session.Options{})
	template := tcp("10.0.0.0:0", 1, lvs.TemplateAssured)
	template.Flags |= connsync.Template | connsync.Inactive
	other := tcp("10.0.0.7:9", 2, lvs.StateEstablished)
	other.Virtual = netip.MustParseAddrPort("192.168.10.101:80")
	apply(t, tab, 0, lb1, tcp("10.0.0.1:1", 1, lvs.StateEstablished), tcp("10.0.0.1:2", 1, lvs.StateFinWait), template)
	apply(t, tab, 0, lb2, tcp("10.0.0.2:1", 2, lvs.StateEstablished), other)

	all := session.Summarize(tab, at(1), nil, 2)
	if all.Sessions != 4 || all.Active != 3 || all.Inactive != 1 || all.Templates != 1 || all.Directors[lb1] != 3 || all.Directors[lb2] != 2 {
		t.Errorf("in all %+v", all.Counts)
	}
	if diff := cmp.Diff(map[string]int{"ESTABLISHED": 3, "FIN_WAIT": 1}, all.States); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	var got []string
	for _, v := range all.Virtuals {
		got = append(got, fmt.Sprintf("%s %s: %d active, %d inactive, %d templates", v.Protocol, v.Virtual, v.Active, v.Inactive, v.Templates))
		for _, s := range v.Servers {
			got = append(got, fmt.Sprintf("  %s: %d active, %d inactive, %d templates", s.Dest, s.Active, s.Inactive, s.Templates))
		}
	}
	for _, c := range all.Clients {
		got = append(got, fmt.Sprintf("%s %d", c.Client, c.Sessions))
	}
	want := []string{
		"TCP 192.168.10.100:80: 2 active, 1 inactive, 1 templates",
		"  192.168.10.1:80: 1 active, 1 inactive, 1 templates",
		"  192.168.10.2:80: 1 active, 0 inactive, 0 templates",
		"TCP 192.168.10.101:80: 1 active, 0 inactive, 0 templates",
		"  192.168.10.2:80: 1 active, 0 inactive, 0 templates",
		"10.0.0.1 2", "10.0.0.2 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	f, err := session.ParseFilter("director=10.7.0.12")
	if err != nil {
		t.Fatal(err)
	}
	if some := session.Summarize(tab, at(1), f, 0); some.Sessions != 2 || len(some.Virtuals) != 2 || len(some.Clients) != 0 {
		t.Errorf("of lb2: %+v", some)
	}
}
