package lint

import (
	"fmt"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var electionRules = []rule{
	{"owner-priority", finding.Warning, ownerPriority},
	{"slow-adverts", finding.Note, slowAdverts},
	{"weight-without-effect", finding.Warning, weightWithoutEffect},
	{"source-address-twice", finding.Warning, sourceAddressTwice},
	{"skip-check-switched-off", finding.Note, skipCheckSwitchedOff},
}

// ownerPriority: 255 is more than a high priority.
func ownerPriority(c *checker) {
	for _, in := range c.cfg.Instances {
		if st := keyword(c.block(in.Where), "priority"); st != nil && in.Priority == 255 && len(st.Words) > 1 {
			c.report(st.Words[1].Place(), fmt.Sprintf("vrrp_instance %s: priority 255 means that this host owns the addresses: it takes them at once whenever it starts, ready or not, and no weight lowers it", in.Name), "priority 254, unless the addresses are its own")
		}
	}
}

// slowAdverts: the advert interval decides how long an outage lasts.
func slowAdverts(c *checker) {
	for _, in := range c.cfg.Instances {
		if in.AdvertInterval < 5*time.Second {
			continue
		}
		at, ok := c.line(in.Where, "advert_int")
		if !ok {
			continue
		}
		c.report(at, fmt.Sprintf("vrrp_instance %s: with an advert every %s the other node takes over %s after this one has died", in.Name, in.AdvertInterval, time.Duration(in.DownTimerAdverts)*in.AdvertInterval),
			"advert_int 1, on all nodes alike")
	}
}

// weightWithoutEffect: the priority is at its limit already.
func weightWithoutEffect(c *checker) {
	for _, in := range c.cfg.Instances {
		for _, t := range c.trackers(in) {
			if stuck(in.Priority, t.weight) {
				limit, fix := 254, "a lower priority"
				if t.weight < 0 {
					limit, fix = 1, "a higher priority"
				}
				c.reportFor(t.Where, fmt.Sprintf("vrrp_instance %s: weight %d of %s changes nothing, since the priority is %d and cannot pass %d", in.Name, t.weight, t.Name, in.Priority, limit), c.written(in.Where, "priority"), fix+", or a weight of the other sign")
			}
		}
	}
}

// stuck reports whether a weight can never move a priority, because that stands
// at the end of the range.
func stuck(priority, weight int) bool {
	return weight > 0 && priority == 254 || weight < 0 && priority == 1
}

// sourceAddressTwice: both keywords set one thing.
func sourceAddressTwice(c *checker) {
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) {
		a, b := keyword(block, "mcast_src_ip"), keyword(block, "unicast_src_ip")
		if a == nil || b == nil {
			return
		}
		if a.Pos().Place().Line > b.Pos().Place().Line {
			a, b = b, a
		}
		if len(a.Words) > 1 && len(b.Words) > 1 && a.Words[1].Text == b.Words[1].Text {
			c.reportAs(finding.Note, b.Pos().Place(), fmt.Sprintf("%s says the same as %s at %s", text(b), text(a), a.Pos().Place()), "keep one")
			return
		}
		c.reportFor(b.Pos().Place(), fmt.Sprintf("%s replaces %s: there is one source address, and the later line counts", text(b), text(a)),
			fmt.Sprintf("%s at %s", text(a), a.Pos().Place()), "keep one")
	})
}

// skipCheckSwitchedOff: the value is not looked at everywhere.
func skipCheckSwitchedOff(c *checker) {
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) {
		if st := keyword(block, "skip_check_adv_addr"); st != nil && switchedOff(st) {
			c.report(st.Pos().Place(), "newer releases of keepalived switch it ON by this line, whatever it says; kaname leaves it off", "remove the line; vrrp_skip_check_adv_addr false in global_defs is safe")
		}
	})
}
