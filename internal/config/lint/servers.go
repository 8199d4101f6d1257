package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var serverRules = slices.Concat(farmRules, forwardRules, scheduleRules, checkRules, mailRules)

// farmRules are about which servers a service has.
var farmRules = []rule{
	{"server-without-check", finding.Warning, serverWithoutCheck},
	{"no-weight", finding.Warning, noWeight},
	{"threshold-order", finding.Warning, thresholdOrder},
	{"quorum-needs-all", finding.Note, quorumNeedsAll},
	{"sorry-is-real", finding.Warning, sorryIsReal},
	{"server-is-virtual", finding.Warning, serverIsVirtual},
	{"server-is-director", finding.Warning, serverIsDirector},
}

// eachServer calls fn for every real server.
func (c *checker) eachServer(fn func(vs *config.VirtualServer, rs *config.RealServer)) {
	for _, vs := range c.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			fn(vs, rs)
		}
	}
}

// serverText is a real server as the file writes it.
func serverText(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return fmt.Sprintf("%s %d", a, port)
}

// serverWithoutCheck: a real server without a checker is always up.
func serverWithoutCheck(c *checker) {
	c.eachServer(func(vs *config.VirtualServer, rs *config.RealServer) {
		if len(rs.Checkers) == 0 {
			c.report(rs.Where, fmt.Sprintf("real_server %s has no check that runs: it gets traffic even when it is dead", serverText(rs.Addr, rs.Port)), checkFor(vs.Protocol))
		}
	})
}

// checkFor is a check that suits any server of the protocol.
func checkFor(p lvs.Protocol) string {
	if p == lvs.TCP {
		return "TCP_CHECK { connect_timeout 3 }"
	}
	return "MISC_CHECK { misc_path \"COMMAND\" }, a command that asks the service and exits 0 when it is well"
}

// noWeight: a service whose servers all have weight 0 takes no connection.
func noWeight(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		if len(vs.RealServers) == 0 || slices.ContainsFunc(vs.RealServers, func(rs *config.RealServer) bool { return rs.Weight != 0 || sets(rs) }) {
			continue
		}
		at, _ := c.line(vs.RealServers[0].Where, "weight")
		c.reportFor(at, fmt.Sprintf("virtual_server %s: all its servers have weight 0, so no new connection is taken (keepalived -t says only that it lowers the quorum to 0)", vs.Name),
			countOf(len(vs.RealServers), "real_server")+", all of weight 0", "weight 1")
	}
}

// sets reports whether a check of the server gives it its weight.
func sets(rs *config.RealServer) bool {
	return slices.ContainsFunc(rs.Checkers, func(ch *config.Checker) bool { return ch.MiscDynamic || ch.Kind == config.FileCheck })
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// thresholdOrder: IPVS stops sending at the upper threshold and starts again
// below the lower one.
func thresholdOrder(c *checker) {
	c.eachServer(func(_ *config.VirtualServer, rs *config.RealServer) {
		at, given := c.line(rs.Where, "lthreshold")
		up, down := rs.UpperThreshold, rs.LowerThreshold
		switch {
		case !given || down == 0:
		case up == 0:
			c.report(at, fmt.Sprintf("real_server %s: lthreshold %d without uthreshold does nothing: the server is never overloaded", serverText(rs.Addr, rs.Port), down), fmt.Sprintf("uthreshold %d, or no lthreshold", down*4/3+1))
		case down >= up:
			upper, _ := c.line(rs.Where, "uthreshold")
			c.reportFor(at, fmt.Sprintf("real_server %s: lthreshold %d is not below uthreshold %d: a server that was full gets connections again at once, so the pause that was meant does not happen", serverText(rs.Addr, rs.Port), down, up),
				fmt.Sprintf("uthreshold %d at %s", up, upper), fmt.Sprintf("lthreshold %d", up*3/4))
		}
	})
}

// quorumNeedsAll: the first server that fails costs the service all of them.
func quorumNeedsAll(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		total, least := 0, 0
		for _, rs := range vs.RealServers {
			total += rs.Weight
			if rs.Weight > 0 && (least == 0 || rs.Weight < least) {
				least = rs.Weight
			}
		}
		at, given := c.line(vs.Where, "quorum")
		// At the quorum less hysteresis the service is still up.
		if !given || vs.Sorry == nil || least == total || total-least >= vs.Quorum-vs.Hysteresis {
			continue
		}
		c.reportFor(at, fmt.Sprintf("virtual_server %s: one server down is below the quorum, and all traffic goes to the sorry_server although others are well", vs.Name),
			fmt.Sprintf("quorum %d, hysteresis %d, total weight %d; sorry_server at %s", vs.Quorum, vs.Hysteresis, total, vs.Sorry.Where), "quorum 1, if the sorry_server is for when no server is left")
	}
}

// sorryIsReal: when it recovers, the server is in the table already.
func sorryIsReal(c *checker) {
	c.eachServer(func(vs *config.VirtualServer, rs *config.RealServer) {
		if vs.Sorry != nil && vs.Sorry.Addr == rs.Addr && vs.Sorry.Port == rs.Port {
			c.reportFor(vs.Sorry.Where, fmt.Sprintf("sorry_server %s is one of the real_servers: it is there for when they are all down, and would be down too; when it recovers, keepalived adds an entry that is there already", serverText(rs.Addr, rs.Port)),
				fmt.Sprintf("real_server at %s", rs.Where), "sorry_server on another host or port")
		}
	})
}

// serverIsVirtual: packets to it come back to the director.
func serverIsVirtual(c *checker) {
	vips := c.virtualAddresses()
	for _, vs := range c.cfg.VirtualServers {
		for _, e := range vs.Endpoints {
			if _, ok := vips[e.Addr]; !ok {
				vips[e.Addr] = e.Where
			}
		}
	}
	c.eachServer(func(_ *config.VirtualServer, rs *config.RealServer) {
		if at, ok := vips[rs.Addr]; ok && rs.Addr.IsValid() {
			c.reportFor(rs.Where, fmt.Sprintf("real_server %s is a virtual address: what is sent there comes back to a director", rs.Addr), fmt.Sprintf("virtual address at %s", at), "the server's own address")
		}
	})
}

// virtualAddresses are the addresses that instances and static_ipaddress put on
// the host, and where.
func (c *checker) virtualAddresses() map[netip.Addr]config.Where {
	vips := map[netip.Addr]config.Where{}
	for _, a := range c.addresses() {
		if _, ok := vips[a.Prefix.Addr()]; !ok {
			vips[a.Prefix.Addr()] = a.Where
		}
	}
	return vips
}

func (c *checker) addresses() []config.Address {
	var all []config.Address
	for _, in := range c.cfg.Instances {
		all = append(append(all, in.Addresses...), in.Excluded...)
	}
	return append(all, c.cfg.StaticAddresses...)
}

// serverIsDirector: with DR or TUN the other director takes the packet for a
// new one of the service and balances it again.
func serverIsDirector(c *checker) {
	directors := c.directors()
	c.eachServer(func(_ *config.VirtualServer, rs *config.RealServer) {
		d := directors[rs.Addr.String()]
		if d != nil && (rs.Method == lvs.DR || rs.Method == lvs.TUN) {
			c.reportFor(rs.Where, fmt.Sprintf("real_server %s is a director itself: while it is the backup it has the service too, and balances packets that it gets by %s again, so that they can go back and forth between the two until their TTL ends", rs.Addr, rs.Method),
				fmt.Sprintf("%s at %s", text(d), d.Pos().Place()), "servers on other hosts, or lb_kind NAT to a port of its own")
		}
	})
}

// directors are the lines that give an address of this director or of another
// one, by the address.
func (c *checker) directors() map[string]*syntax.Statement {
	all := map[string]*syntax.Statement{}
	c.inBlocks("vrrp_instance", func(block *syntax.Statement) {
		for _, st := range block.Block.Body {
			switch kw := st.Keyword(); {
			case (kw == "unicast_src_ip" || kw == "mcast_src_ip") && len(st.Words) > 1:
				all[st.Words[1].Text] = st
			case kw == "unicast_peer" && st.Block != nil:
				for _, peer := range st.Block.Body {
					all[peer.Keyword()] = peer
				}
			}
		}
	})
	return all
}

// joined lists words, the last after "and".
func joined(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
