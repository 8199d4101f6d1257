package lint

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
)

var electionRules = []rule{
	{"owner-priority", finding.Warning, ownerPriority},
	{"owner-ignores-adverts", finding.Warning, ownerIgnoresAdverts},
	{"slow-adverts", finding.Note, slowAdverts},
	{"weight-without-effect", finding.Warning, weightWithoutEffect},
	{"source-address-twice", finding.Warning, sourceAddressTwice},
	{"vmac-without-xmit-base", finding.Warning, vmacWithoutXmitBase},
	{"skip-check-switched-off", finding.Note, skipCheckSwitchedOff},
	{"first-address-not-link-local", finding.Note, firstAddressNotLinkLocal},
}

// ownerPriority: 255 is more than a high priority.
func ownerPriority(c *checker) {
	for _, in := range c.cfg.Instances {
		if st := keyword(c.block(in.Where), "priority"); st != nil && in.Priority == 255 && len(st.Words) > 1 {
			c.report(st.Words[1].Place(), fmt.Sprintf("vrrp_instance %s: priority 255 means that this host owns the addresses: it takes them at once whenever it starts, ready or not, and no weight lowers it", in.Name), "priority 254, unless the addresses are its own")
		}
	}
}

// ownerIgnoresAdverts: an owner cannot be told to listen.
func ownerIgnoresAdverts(c *checker) {
	for _, in := range c.cfg.Instances {
		if st := keyword(c.block(in.Where), "owner_ignore_adverts"); st != nil && switchedOff(st) && in.Priority == 255 {
			at, _ := c.line(in.Where, "priority", "state")
			c.reportFor(st.Pos().Place(), fmt.Sprintf("vrrp_instance %s: keepalived sets owner_ignore_adverts to true all the same, because the priority is 255", in.Name),
				fmt.Sprintf("priority 255 at %s", at), "remove the line, or priority 254")
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
				c.report(t.Where, fmt.Sprintf("vrrp_instance %s: weight %d of %s changes nothing, since the priority is %d and cannot pass %d", in.Name, t.weight, t.Name, in.Priority, limit), fix+", or a weight of the other sign")
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

// vmacWithoutXmitBase: unicast adverts cannot leave by the VMAC.
func vmacWithoutXmitBase(c *checker) {
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) {
		vmac, peers := keyword(block, "use_vmac"), keyword(block, "unicast_peer")
		if vmac == nil || peers == nil || peers.Block == nil || len(peers.Block.Body) == 0 || keyword(block, "vmac_xmit_base") != nil {
			return
		}
		c.reportFor(vmac.Pos().Place(), "with unicast, adverts are sent from the interface below the VMAC: keepalived sets vmac_xmit_base by itself and complains",
			fmt.Sprintf("unicast_peer at %s", peers.Pos().Place()), "vmac_xmit_base")
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

// firstAddressNotLinkLocal: VRRP version 3 wants a link-local one first.
func firstAddressNotLinkLocal(c *checker) {
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) {
		list := keyword(block, "virtual_ipaddress")
		if list == nil || list.Block == nil || len(list.Block.Body) == 0 {
			return
		}
		first := list.Block.Body[0]
		a, ok := address(first.Keyword())
		if ok && a.Is6() && !a.IsLinkLocalUnicast() {
			c.report(first.Pos().Place(), fmt.Sprintf("the first address of an IPv6 instance is to be link-local (RFC 5798 section 5.2.9), so that hosts can have it as their router; %s is not", a), "a line fe80::1/64 before it, with an address that is free on the segment")
		}
	})
}

// address reads ADDRESS[/PREFIX].
func address(s string) (netip.Addr, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Addr(), true
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil
}
