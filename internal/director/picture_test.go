package director

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/health"
	"github.com/kaname-lb/kaname/internal/lvs"
)

func TestRealServerPicture(t *testing.T) {
	rip := netip.MustParseAddr("10.0.0.1")
	at := netip.AddrPortFrom(rip, 8080)
	svc := health.ServiceStatus{Servers: []health.ServerStatus{{Addr: at, Up: false, Reason: "connection refused", Since: epoch}}}
	for _, tt := range []struct {
		name   string
		method lvs.Method
		svc    health.ServiceStatus
		table  []lvs.Destination
		up, in bool
		weight int
	}{
		{"not checked, not in the table", lvs.NAT, health.ServiceStatus{}, nil, true, false, 0},
		{"down, inhibited", lvs.NAT, svc, []lvs.Destination{{Addr: rip, Port: 8080, Weight: 0}}, false, true, 0},
		{"of NAT with another port", lvs.NAT, svc, []lvs.Destination{{Addr: rip, Port: 80, Weight: 3}}, false, false, 0},
		{"of DR, which has the service's port", lvs.DR, svc, []lvs.Destination{{Addr: rip, Port: 80, Weight: 3}}, false, true, 3},
	} {
		rs := &config.RealServer{Addr: rip, Port: 8080, Method: tt.method, Weight: 5}
		got := realServer(rs, tt.svc, tt.table)
		if got.Up != tt.up || got.InTable != tt.in || got.Weight != tt.weight || got.ConfiguredWeight != 5 || got.Addr != at {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if !tt.up && got.Reason != "connection refused" {
			t.Errorf("%s: reason %q", tt.name, got.Reason)
		}
	}
}

func TestReloadPicture(t *testing.T) {
	fs := []finding.Finding{{Severity: finding.Warning}, {Severity: finding.Error}, {Severity: finding.Warning}}
	if r := reloaded(epoch, fs, ""); !r.OK || r.Warnings != 2 || !r.Time.Equal(epoch) {
		t.Errorf("%+v", r)
	}
	if r := reloaded(epoch, fs, "it has errors\n"); r.OK || r.Error != "it has errors" {
		t.Errorf("%+v", r)
	}
}

// A trouble with the state file is a condition for as long as it lasts.
func TestConditionsEnd(t *testing.T) {
	var c conditions
	bad := errors.New("disk full")
	c.forgetful(bad)
	if !c.applied(bad) || c.applied(bad) {
		t.Error("applied: want news the first time only")
	}
	if got := c.conclude(at(1), nil); len(got) != 2 {
		t.Errorf("conditions %+v, want two", got)
	}
	c.forgetful(nil)
	if !c.applied(nil) || c.applied(nil) {
		t.Error("applied without an error: want news the first time only")
	}
	if got := c.conclude(at(1+time.Minute.Seconds()), nil); len(got) != 0 {
		t.Errorf("conditions %+v, want none any more", got)
	}
}

// Forged senders cost no more than so much memory, and not for ever.
func TestEvidenceIsBounded(t *testing.T) {
	var c conditions
	for i := range 5 * maxEvidence {
		o := advert(1, 100)
		o.From = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		c.observe(o)
	}
	if len(c.adverts) != maxEvidence {
		t.Errorf("%d senders are kept, want %d", len(c.adverts), maxEvidence)
	}
	c.conclude(at(2+evidenceLasts.Seconds()), nil)
	if len(c.adverts) != 0 {
		t.Errorf("%d senders are kept for ever", len(c.adverts))
	}
}
