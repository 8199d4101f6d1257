package config

import (
	"fmt"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// serviceKey is what two virtual servers must not share.
type serviceKey struct {
	Protocol lvs.Protocol
	Addr     netip.Addr
	Port     uint16
	FWMark   uint32
}

// finishEndpoints marks what another virtual server has already; kaname runs
// the first.
func (b *builder) finishEndpoints(vs *virtualServer, seen map[serviceKey]Where) {
	if vs.FWMark != 0 {
		b.taken(vs, Endpoint{FWMark: vs.FWMark}, seen)
		return
	}
	reported, running := false, 0
	for i := range vs.Endpoints {
		e := &vs.Endpoints[i]
		if first, dup := b.claim(vs, *e, seen); dup {
			if !reported {
				b.duplicate(vs, *e, first)
			}
			reported = true
			e.NotRun = "another virtual_server has it already"
		}
		if e.NotRun == "" {
			running++
		}
	}
	switch {
	case vs.NotRun != "" || running > 0:
	case reported:
		vs.NotRun = "another virtual_server has its address already"
	case vs.Group != "":
		vs.NotRun = "none of the group's entries is supported yet"
	}
}

// taken is finishEndpoints for one firewall mark.
func (b *builder) taken(vs *virtualServer, e Endpoint, seen map[serviceKey]Where) {
	if first, dup := b.claim(vs, e, seen); dup {
		b.duplicate(vs, e, first)
	}
}

// claim registers an endpoint, unless it is there already: dup then, and where.
func (b *builder) claim(vs *virtualServer, e Endpoint, seen map[serviceKey]Where) (first Where, dup bool) {
	k := serviceKey{Protocol: vs.Protocol, Addr: e.Addr, Port: e.Port, FWMark: e.FWMark}
	if first, dup = seen[k]; !dup {
		seen[k] = vs.Where
	}
	return first, dup
}

func (b *builder) duplicate(vs *virtualServer, e Endpoint, first Where) {
	what := fmt.Sprintf("%s %s %d", vs.Protocol, e.Addr, e.Port)
	if !e.Addr.IsValid() {
		what = fmt.Sprintf("fwmark %d", e.FWMark)
	}
	b.warn("duplicate-virtual-server", vs.at, fmt.Sprintf("virtual server %s exists already, at %s; it is left out here (keepalived lets the two fight)", what, first), "merge the two blocks")
}

// servicePort returns the port that all endpoints share, false when they
// differ or are firewall marks.
func (vs *virtualServer) servicePort() (uint16, bool) {
	if vs.marked() {
		return 0, false
	}
	first := true
	var port uint16
	for _, e := range vs.Endpoints {
		switch {
		case !e.Addr.IsValid():
		case first:
			first, port = false, e.Port
		case e.Port != port:
			return 0, false
		}
	}
	return port, !first
}

// realPort settles the real server's port: only NAT can change it.
func (b *builder) realPort(vs *virtualServer, rs *realServer) {
	port, same := vs.servicePort()
	switch {
	case vs.marked():
		if rs.Method != lvs.NAT && rs.Port != 0 {
			b.warn("port-not-changed", rs.at, fmt.Sprintf("real_server %s: %s cannot change the port; %d is ignored, and each packet keeps its own", rs.Addr, rs.Method, rs.Port), "real_server "+rs.Addr.String())
			rs.Port = 0
		}
	case rs.Port == 0 && same:
		rs.Port = port
	case rs.Method == lvs.NAT:
	case !same:
		if rs.Port != 0 {
			b.warn("port-not-changed", rs.at, fmt.Sprintf("real_server %s: %s cannot change the port, and the addresses of group %s have several: %d is used only by those that have it", rs.Addr, rs.Method, vs.Group, rs.Port), "real_server "+rs.Addr.String()+", or lb_kind NAT")
		}
	case rs.Port != port:
		b.warn("port-not-changed", rs.at, fmt.Sprintf("real_server %s: %s cannot change the port; %s is used, not %d", rs.Addr, rs.Method, portName(port), rs.Port), withPort("real_server "+rs.Addr.String(), port)+", or lb_kind NAT")
		rs.Port = port
	}
}

// portName is a port for reading.
func portName(p uint16) string {
	if p == 0 {
		return "the port of each connection"
	}
	return fmt.Sprint(p)
}

// withPort is a server with its port, if it has one, as the file would have it.
func withPort(server string, port uint16) string {
	if port == 0 {
		return server
	}
	return fmt.Sprintf("%s %d", server, port)
}

func (b *builder) finishSorry(vs *virtualServer) {
	s := vs.sorry
	if s == nil {
		return
	}
	if s.Method == lvs.TUN || !s.Addr.Is4() {
		s.NotRun = "IPv6 or TUN for a sorry_server is not supported yet"
		if vs.NotRun == "" {
			b.warn("not-supported", s.at, "not supported yet: IPv6 or TUN for a sorry_server; it is left out", "")
		}
	}
	if port, same := vs.servicePort(); same && (s.Port == 0 || s.Method != lvs.NAT && s.Port != port) {
		if s.Port != 0 {
			b.warn("port-not-changed", s.at, fmt.Sprintf("sorry_server %s: %s cannot change the port; %s is used, not %d", s.Addr, s.Method, portName(port), s.Port), withPort("sorry_server "+s.Addr.String(), port)+", or sorry_server_lvs_method NAT")
		}
		s.Port = port
	}
	vs.Sorry = s.SorryServer
}
