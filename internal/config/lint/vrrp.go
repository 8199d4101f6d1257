package lint

import (
	"fmt"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var vrrpRules = []rule{
	{"master-no-head-start", finding.Note, masterNoHeadStart},
	{"nopreempt-with-weight", finding.Warning, nopreemptWithWeight},
	{"weight-out-of-range", finding.Warning, weightOutOfRange},
	{"same-address-twice", finding.Warning, sameAddressTwice},
	{"address-without-prefix", finding.Note, addressWithoutPrefix},
}

// masterNoHeadStart: state MASTER does not make the node MASTER at once.
func masterNoHeadStart(c *checker) {
	for _, in := range c.cfg.Instances {
		if in.State == "MASTER" && in.Priority < 255 {
			at, _ := c.line(in.Where, "state")
			c.reportFor(at, fmt.Sprintf("vrrp_instance %s: state MASTER gives no head start; the priority (%d) alone decides", in.Name, in.Priority), c.written(in.Where, "priority"), "nothing where this priority is the highest; else state BACKUP and the right priority")
		}
	}
}

// nopreemptWithWeight: a tracker lowers the master's priority, but the other
// node does not take over from a living master.
func nopreemptWithWeight(c *checker) {
	for _, in := range c.cfg.Instances {
		if !in.NoPreempt {
			continue
		}
		for _, t := range c.trackers(in) {
			if t.weight != 0 {
				c.reportFor(t.Where, fmt.Sprintf("vrrp_instance %s has nopreempt: when %s fails, the priority changes by %d but the addresses stay, since a nopreempt backup never takes over from a living master", in.Name, t.Name, max(t.weight, -t.weight)),
					c.written(in.Where, "nopreempt"), "weight 0, so that the failure is a FAULT, or remove nopreempt")
			}
		}
	}
}

// weightOutOfRange: priorities end at 1 and 254, so weights beyond put nodes
// level that should not be.
func weightOutOfRange(c *checker) {
	for _, in := range c.cfg.Instances {
		low, high := in.Priority, in.Priority
		var worst config.Track
		for _, t := range c.trackers(in) {
			if stuck(in.Priority, t.weight) {
				continue // that is weightWithoutEffect
			}
			if t.weight < 0 {
				low += t.weight
			} else {
				high += t.weight
			}
			worst = t.Track
		}
		if in.Priority < 255 && (low < 1 || high > 254) {
			c.reportFor(worst.Where, fmt.Sprintf("vrrp_instance %s: priority %d with the weights reaches from %d to %d, and is cut to 1..254: the order of the nodes can be lost", in.Name, in.Priority, low, high),
				c.written(in.Where, "priority"), "smaller weights, or a priority further inside")
		}
	}
}

// tracker is a tracked thing with the weight that counts.
type tracker struct {
	config.Track
	weight int
}

// scriptWeights are the weights of the scripts, by name.
func (c *checker) scriptWeights() map[string]int {
	if c.weights == nil {
		c.weights = map[string]int{}
		for _, s := range c.cfg.Scripts {
			c.weights[s.Name] = s.Weight
		}
	}
	return c.weights
}

func (c *checker) trackers(in *config.Instance) []tracker {
	var out []tracker
	for _, t := range in.TrackInterfaces {
		out = append(out, tracker{t, t.Weight})
	}
	for _, t := range in.TrackScripts {
		w := t.Weight
		if !t.HasWeight {
			w = c.scriptWeights()[t.Name]
		}
		out = append(out, tracker{t, w})
	}
	return out
}

// sameAddressTwice: two instances that both put one address on the host.
func sameAddressTwice(c *checker) {
	type owner struct {
		instance string
		at       finding.Place
	}
	seen := map[netip.Addr]owner{}
	for _, in := range c.cfg.Instances {
		for _, list := range [][]config.Address{in.Addresses, in.Excluded} {
			for _, a := range list {
				ip := a.Prefix.Addr()
				if o, ok := seen[ip]; ok && o.instance != in.Name {
					c.report(a.Where, fmt.Sprintf("%s is an address of vrrp_instance %s too, at %s: when one gives it up the other still needs it", ip, o.instance, o.at), "one instance per address")
					continue
				}
				seen[ip] = owner{in.Name, a.Where}
			}
		}
	}
}

// addressWithoutPrefix: the address becomes a /32.
func addressWithoutPrefix(c *checker) {
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) {
		for _, list := range block.Block.Body {
			if list.Keyword() != "virtual_ipaddress" || list.Block == nil {
				continue
			}
			for _, st := range list.Block.Body {
				if a, err := netip.ParseAddr(st.Keyword()); err == nil {
					c.report(st.Pos().Place(), fmt.Sprintf("%s has no prefix length and becomes a /%d", a, a.BitLen()), fmt.Sprintf("%s/%d, or the prefix of the network", a, a.BitLen()))
				}
			}
		}
	})
}

// scriptNeverTracked: a script that nothing tracks does not run.
func scriptNeverTracked(c *checker) {
	tracked := map[string]bool{}
	add := func(ts []config.Track) {
		for _, t := range ts {
			tracked[t.Name] = true
		}
	}
	for _, in := range c.cfg.Instances {
		add(in.TrackScripts)
	}
	for _, g := range c.cfg.SyncGroups {
		add(g.TrackScripts)
	}
	// Instances with an Error are not in the Config, so ask the text too.
	c.blocks(func(_ string, block *syntax.Statement) {
		for _, st := range block.Block.Body {
			if st.Keyword() == "track_script" && st.Block != nil {
				for _, t := range st.Block.Body {
					tracked[t.Keyword()] = true
				}
			}
		}
	})
	for _, s := range c.cfg.Scripts {
		if !tracked[s.Name] {
			c.report(s.Where, fmt.Sprintf("vrrp_script %s is tracked by nothing and never runs", s.Name), "track_script { "+s.Name+" } in the vrrp_instance")
		}
	}
}

// scriptTimeout: a run that outlasts the interval makes the next one be skipped.
func scriptTimeout(c *checker) {
	for _, s := range c.cfg.Scripts {
		if s.Timeout > s.Interval {
			at, _ := c.line(s.Where, "timeout")
			c.reportFor(at, fmt.Sprintf("vrrp_script %s: a run may last %s, longer than the interval of %s; runs are skipped and a failure is seen late", s.Name, s.Timeout, s.Interval), c.written(s.Where, "interval"), fmt.Sprintf("timeout %g, or a longer interval", s.Interval.Seconds()))
		}
	}
}
