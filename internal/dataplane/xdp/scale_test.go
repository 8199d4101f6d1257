package xdp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Ten thousand services of four servers fit, and a change of one touches one.
func TestTenThousandServices(t *testing.T) {
	b := newBench(t)
	set := make([]lvs.ServiceSet, 10000)
	for i := range set {
		s := &set[i]
		s.ServiceKey = lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), Port: 80}
		s.Scheduler = []lvs.Scheduler{lvs.RR, lvs.WRR, lvs.WLC, lvs.SH}[i%4]
		for j := range 4 {
			s.Destinations = append(s.Destinations, lvs.Destination{
				Addr: netip.AddrFrom4([4]byte{10, 8, byte(i >> 8 << 2), byte(i)}), Port: uint16(8000 + j), Method: lvs.DR, Weight: 1 + j,
			})
		}
	}
	begin := time.Now()
	if err := b.Set(set); err != nil {
		t.Fatal(err)
	}
	t.Log("whole configuration:", time.Since(begin))
	n := b.Writes()
	set[5000].Destinations[0].Weight = 9
	begin = time.Now()
	if err := b.Set(set); err != nil {
		t.Fatal(err)
	}
	t.Log("one change:", time.Since(begin))
	if n = b.Writes() - n; n == 0 || n > 8 {
		t.Errorf("one change wrote %d times", n)
	}
	if got := b.Services(); len(got) != len(set) || len(got[9999].Destinations) != 4 {
		t.Errorf("%d services listed", len(got))
	}
}
