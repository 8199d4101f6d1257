package xdp

import (
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// estimatePeriod is LVS's: counters are looked at every 2 s.
const estimatePeriod = 2 * time.Second

// estimate is LVS's rate estimator for one set of counters
// (net/netfilter/ipvs/ip_vs_est.c): an exponentially weighted mean of the last
// period's rate with weight 1/4, in fixed point: rates per second times 1024,
// of bytes times 32.
type estimate struct {
	seen               lvs.Counters
	cps, inPPS, outPPS uint64
	inBPS, outBPS      uint64
}

// step takes the counters of one period later.
func (e *estimate) step(c lvs.Counters) {
	mean := func(old, now, before uint64, shift uint) uint64 {
		rate := int64((now - before) << shift)
		return uint64(int64(old) + (rate-int64(old))>>2)
	}
	e.cps = mean(e.cps, c.Conns, e.seen.Conns, 9)
	e.inPPS = mean(e.inPPS, c.InPkts, e.seen.InPkts, 9)
	e.outPPS = mean(e.outPPS, c.OutPkts, e.seen.OutPkts, 9)
	e.inBPS = mean(e.inBPS, c.InBytes, e.seen.InBytes, 4)
	e.outBPS = mean(e.outBPS, c.OutBytes, e.seen.OutBytes, 4)
	e.seen = c
}

// rates rounds as LVS does when it is read.
func (e *estimate) rates() lvs.Rates {
	return lvs.Rates{
		CPS:    (e.cps + 0x1ff) >> 10,
		InPPS:  (e.inPPS + 0x1ff) >> 10,
		OutPPS: (e.outPPS + 0x1ff) >> 10,
		InBPS:  (e.inBPS + 0xf) >> 5,
		OutBPS: (e.outBPS + 0xf) >> 5,
	}
}
