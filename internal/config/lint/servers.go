package lint

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var serverRules = []rule{
	{"server-without-check", finding.Warning, serverWithoutCheck},
	{"slow-detection", finding.Note, slowDetection},
	{"no-alpha", finding.Note, noAlpha},
	{"check-longer-than-period", finding.Note, checkLongerThanPeriod},
	{"sample-digest", finding.Warning, sampleDigest},
	{"sorry-is-real", finding.Warning, sorryIsReal},
	{"server-is-virtual", finding.Warning, serverIsVirtual},
	{"nat-same-subnet", finding.Note, natSameSubnet},
	{"virtual-address-unknown", finding.Note, virtualAddressUnknown},
}

// serverWithoutCheck: a real server without a checker is always up.
func serverWithoutCheck(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			if len(rs.Checkers) == 0 {
				c.report(rs.Where, fmt.Sprintf("real_server %s %d has no check that runs: it gets traffic even when it is dead", rs.Addr, rs.Port), checkFor(vs.Protocol))
			}
		}
	}
}

// checkFor is a check that suits any server of the protocol.
func checkFor(p lvs.Protocol) string {
	if p == lvs.TCP {
		return "TCP_CHECK { connect_timeout 3 }"
	}
	return "MISC_CHECK { misc_path \"COMMAND\" }, a command that asks the service and exits 0 when it is well"
}

// slowDetection: nobody chose the 60 seconds.
func slowDetection(c *checker) {
	given := map[string]bool{} // places of virtual servers that have a delay_loop somewhere
	c.blocks(func(path string, block *syntax.Statement) {
		if path == "virtual_server" && hasKeyword(block, "delay_loop") {
			given[block.Pos().Place().String()] = true
		}
	})
	for _, vs := range c.cfg.VirtualServers {
		if !given[vs.Where.String()] && vs.DelayLoop == time.Minute && checked(vs) {
			c.report(vs.Where, fmt.Sprintf("virtual_server %s: without delay_loop a dead server is noticed after 60 s or more", vs.Name), "delay_loop 5")
		}
	}
}

// hasKeyword reports whether a block has the keyword, at any depth.
func hasKeyword(block *syntax.Statement, kw string) bool {
	for _, st := range block.Block.Body {
		if st.Keyword() == kw || st.Block != nil && hasKeyword(st, kw) {
			return true
		}
	}
	return false
}

func checked(vs *config.VirtualServer) bool {
	for _, rs := range vs.RealServers {
		if len(rs.Checkers) > 0 {
			return true
		}
	}
	return false
}

// noAlpha: servers start as up.
func noAlpha(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		alpha := vs.Alpha
		for _, rs := range vs.RealServers {
			for _, ch := range rs.Checkers {
				alpha = alpha || ch.Alpha
			}
		}
		if !alpha && checked(vs) {
			c.report(vs.Where, fmt.Sprintf("virtual_server %s: without alpha a server that is dead at the start gets traffic until its first check fails, up to %s", vs.Name, vs.Warmup), "alpha")
		}
	}
}

// checkLongerThanPeriod: a server that hangs is found out late.
func checkLongerThanPeriod(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			for _, ch := range rs.Checkers {
				if ch.Kind != config.MiscCheck && ch.ConnectTimeout > ch.DelayLoop {
					c.report(ch.Where, fmt.Sprintf("connect_timeout %s is longer than delay_loop %s: a server that hangs is noticed after %s", ch.ConnectTimeout, ch.DelayLoop, hang(ch)), "connect_timeout 3")
				}
			}
		}
	}
}

// hang is how long a server that swallows packets goes unnoticed, at least.
func hang(ch *config.Checker) time.Duration {
	return ch.ConnectTimeout*time.Duration(ch.Retry+1) + ch.DelayBeforeRetry*time.Duration(ch.Retry)
}

// sampleDigests are the digests of keepalived's sample files, which no page
// of anybody else has.
var sampleDigests = map[string]bool{
	"ff20ad2481f97b1754ef3e12ecd3a9cc": true,
	"9b3a0c85a887a256d6939da88aabd8cd": true,
	"640205b7b0fc66c1ea91c463fac6334c": true,
	"640205b7b0fc66c1ea91c463fac6334d": true,
}

// sampleDigest: the check can never pass.
func sampleDigest(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			for _, ch := range rs.Checkers {
				for _, u := range ch.URLs {
					if sampleDigests[u.Digest] {
						c.report(u.Where, fmt.Sprintf("url %s: the digest is the one of keepalived's sample file, so the check can never pass", u.Path), "status_code 200 instead of digest")
					}
				}
			}
		}
	}
}

// sorryIsReal: when it recovers, the server is in the table already.
func sorryIsReal(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			if vs.Sorry != nil && vs.Sorry.Addr == rs.Addr && vs.Sorry.Port == rs.Port {
				c.report(vs.Sorry.Where, fmt.Sprintf("sorry_server %s %d is a real_server too, at %s", rs.Addr, rs.Port, rs.Where), "another server")
			}
		}
	}
}

// serverIsVirtual: packets to it come back to the director.
func serverIsVirtual(c *checker) {
	vips := c.virtualAddresses()
	for _, vs := range c.cfg.VirtualServers {
		for _, e := range vs.Endpoints {
			vips[e.Addr] = true
		}
	}
	for _, vs := range c.cfg.VirtualServers {
		for _, rs := range vs.RealServers {
			if vips[rs.Addr] {
				c.report(rs.Where, fmt.Sprintf("real_server %s is a virtual address: what is sent there comes back to a director", rs.Addr), "the server's own address")
			}
		}
	}
}

func (c *checker) virtualAddresses() map[netip.Addr]bool {
	vips := map[netip.Addr]bool{}
	for _, in := range c.cfg.Instances {
		for _, list := range [][]config.Address{in.Addresses, in.Excluded} {
			for _, a := range list {
				vips[a.Prefix.Addr()] = true
			}
		}
	}
	return vips
}

// natSameSubnet: clients of that subnet are answered directly by the server,
// past the director that has to put the virtual address back.
func natSameSubnet(c *checker) {
	for _, vs := range c.cfg.VirtualServers {
		for _, in := range c.cfg.Instances {
			for _, a := range in.Addresses {
				c.natInside(vs, a)
			}
		}
	}
}

func (c *checker) natInside(vs *config.VirtualServer, a config.Address) {
	serves := false
	for _, e := range vs.Endpoints {
		serves = serves || e.Addr == a.Prefix.Addr()
	}
	if !serves || a.Prefix.Bits() == a.Prefix.Addr().BitLen() {
		return
	}
	for _, rs := range vs.RealServers {
		if rs.Method == lvs.NAT && a.Prefix.Contains(rs.Addr) {
			c.report(rs.Where, fmt.Sprintf("real_server %s is in the virtual address's own network %s: it answers clients there directly, past the director, and they drop the answer", rs.Addr, a.Prefix.Masked()),
				"servers in a network of their own with the director as gateway, or lb_kind DR")
		}
	}
}

// virtualAddressUnknown: nothing here puts the address on the host.
func virtualAddressUnknown(c *checker) {
	vips := c.virtualAddresses()
	if len(vips) == 0 {
		return
	}
	for _, vs := range c.cfg.VirtualServers {
		for _, e := range vs.Endpoints {
			if e.Addr.IsValid() && !vips[e.Addr] {
				c.report(e.Where, fmt.Sprintf("%s is a virtual address of no vrrp_instance; it works only if the host has it otherwise", e.Addr), "add it to virtual_ipaddress")
			}
		}
	}
}
