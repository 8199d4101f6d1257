package statedump

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// WriteChecks prints keepalived_check.data. Its layout is from the source of
// keepalived: no IPVS was there to run it.
func WriteChecks(w io.Writer, s *State) error {
	p := printer{w: w}
	s.global(&p)
	if len(s.Config.VirtualServers) == 0 {
		return p.err
	}
	p.line("------< LVS Topology >------")
	for i, vs := range s.Config.VirtualServers {
		var now snapshot.VirtualServer
		if i < len(s.Services) {
			now = s.Services[i]
		}
		s.virtualServer(&p, vs, now)
	}
	s.checkers(&p)
	return p.err
}

func (s *State) virtualServer(p *printer, vs *config.VirtualServer, now snapshot.VirtualServer) {
	p.line(" ------< Virtual server >------")
	switch {
	case vs.Group != "":
		p.line(" VS GROUP = %s", vs.Group)
	case vs.FWMark != 0:
		p.line(" VS FWMARK = %d", vs.FWMark)
	case len(vs.Endpoints) > 0:
		p.line(" VS VIP = %s, VPORT = %d", vs.Endpoints[0].Addr, vs.Endpoints[0].Port)
	}
	p.line("   delay_loop = %s", trim(vs.DelayLoop))
	p.line("   lvs_sched = %s", vs.Scheduler)
	p.line("   protocol = %s", protocolName(vs.Protocol))
	p.line("   alpha is %s, omega is %s", word(vs.Alpha, "ON", "OFF"), word(vs.Omega, "ON", "OFF"))
	p.line("   quorum = %d, hysteresis = %d", vs.Quorum, vs.Hysteresis)
	if vs.QuorumUp.Set() {
		p.line("   -> Notify script UP = %s", s.withIDs(vs.QuorumUp))
	}
	if vs.QuorumDown.Set() {
		p.line("   -> Notify script DOWN = %s", s.withIDs(vs.QuorumDown))
	}
	p.line("   Using smtp notification = %s", yes(vs.SMTPAlert))
	p.line("   default forwarding method = %s", vs.Method)
	if vs.Sorry != nil {
		p.line("   sorry server = [%s]:%d", vs.Sorry.Addr, vs.Sorry.Port)
	}
	p.line("   VS alive = %d", bit(len(now.Keys) > 0))
	p.line("   quorum_state_up = %t", now.QuorumUp)
	for i, rs := range vs.RealServers {
		var state snapshot.RealServer
		if i < len(now.Servers) {
			state = now.Servers[i]
		}
		s.realServer(p, rs, state)
	}
}

func (s *State) realServer(p *printer, rs *config.RealServer, now snapshot.RealServer) {
	p.line("   ------< Real server >------")
	p.line("   RIP = %s, RPORT = %d, WEIGHT = %d EFF WEIGHT = %d", rs.Addr, rs.Port, rs.Weight, now.Weight)
	p.line("     forwarding method = %s", rs.Method)
	p.line("     Alpha is %s", word(rs.Alpha, "ON", "OFF"))
	p.line("     Inhibit on failure is %s", word(rs.InhibitOnFailure, "ON", "OFF"))
	p.line("     alive = %d", bit(now.Up))
	p.line("     num failed checkers = %d", bit(!now.Up))
	if rs.NotifyUp.Set() {
		p.line("     -> Notify script UP = %s", s.withIDs(rs.NotifyUp))
	}
	if rs.NotifyDown.Set() {
		p.line("     -> Notify script DOWN = %s", s.withIDs(rs.NotifyDown))
	}
}

func (s *State) checkers(p *printer) {
	p.line("------< Health checkers >------")
	for _, vs := range s.Config.VirtualServers {
		for _, rs := range vs.RealServers {
			for _, ch := range rs.Checkers {
				p.line(" %s", ServiceName(netip.AddrPortFrom(rs.Addr, rs.Port), vs.Protocol))
				p.line("   Keepalive method = %s", ch.Kind)
				p.line("   Connection to = %s", ch.ConnectTo)
				p.line("   Connection timeout = %s", trim(ch.ConnectTimeout))
				p.line("   Delay loop = %s", trim(ch.DelayLoop))
				p.line("   Retry count = %d", ch.Retry)
				p.line("   Retry delay = %s", trim(ch.DelayBeforeRetry))
				p.line("   Warmup = %s", trim(ch.Warmup))
			}
		}
	}
}

// ServiceName is how keepalived writes a service in logs and dumps:
// "[10.0.0.1]:tcp:80".
func ServiceName(a netip.AddrPort, proto lvs.Protocol) string {
	return fmt.Sprintf("[%s]:%s:%d", a.Addr(), protocolName(proto), a.Port())
}

func protocolName(p lvs.Protocol) string {
	switch p {
	case lvs.TCP:
		return "tcp"
	case lvs.UDP:
		return "udp"
	case lvs.SCTP:
		return "sctp"
	}
	return "none"
}
