package lint

import (
	"fmt"
)

// pairNopreemptWeight: the other node's priority falls, and this one does not
// take over from a master that lives.
func pairNopreemptWeight(c *pairChecker) {
	c.eachSide(func(s, other side) {
		ts := other.shifts()
		if !s.in.NoPreempt || len(ts) == 0 || !leads(other, s) {
			return
		}
		t := ts[0]
		if sum, _ := whole(ts); other.without(sum) >= s.best() {
			return // falls not far enough anyway
		}
		c.report(s.node, s.at(s.in.Where, "nopreempt"), fmt.Sprintf("vrrp_instance %s: nopreempt: %s lowers %s's priority, but %s does not take over from a master that lives, so the addresses stay", s.in.Name, t.event(), other.Name, s.Name),
			fmt.Sprintf("%s: %s, weight %d", t.Where, t.Name, t.size()), "weight 0 on "+other.Name+", so that the failure is a FAULT, or no nopreempt here")
	})
}

// pairNopreemptLower: the node that never takes back anyway.
func pairNopreemptLower(c *pairChecker) {
	c.eachSide(func(s, other side) {
		if s.in.NoPreempt && !other.in.NoPreempt && s.best() < other.best() {
			c.report(s.node, s.at(s.in.Where, "nopreempt"), fmt.Sprintf("vrrp_instance %s: nopreempt only here, where the priority is lower (%s, %s on %s): %s still takes the addresses back when it returns", s.in.Name, s.arithmetic(), other.arithmetic(), other.Name, other.Name),
				other.prio(), "nopreempt (with state BACKUP) on "+other.Name+", or on both")
		}
	})
}

// pairNopreemptLate: a node whose link does not pass packets yet becomes MASTER
// and wins once it does.
func pairNopreemptLate(c *pairChecker) {
	c.eachSide(func(s, other side) {
		if s.in.NoPreempt && other.in.NoPreempt && s.best() == other.best() && s.Config.Global.StartupDelay == 0 {
			c.report(s.node, s.at(s.in.Where, "nopreempt"), fmt.Sprintf("vrrp_instance %s: nopreempt with the same priority as on %s: a node that boots before its link forwards (spanning tree, bond) hears nobody, becomes MASTER, and takes the addresses if its own address is the higher one", s.in.Name, other.Name),
				other.prio(), "global_defs { vrrp_startup_delay 30 }, longer than the link takes, or different priorities")
		}
	})
}

// pairPreemptDelayLower: only who comes back with the higher priority waits.
func pairPreemptDelayLower(c *pairChecker) {
	c.eachSide(func(s, other side) {
		if s.in.PreemptDelay > 0 && other.in.PreemptDelay == 0 && s.best() < other.best() {
			c.report(s.node, s.at(s.in.Where, "preempt_delay"), fmt.Sprintf("vrrp_instance %s: preempt_delay only here, where the priority is lower (%s, %s on %s): it never has somebody to preempt, and %s does not wait", s.in.Name, s.arithmetic(), other.arithmetic(), other.Name, other.Name),
				other.prio(), "preempt_delay on "+other.Name)
		}
	})
}
