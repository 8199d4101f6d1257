package desired

import (
	"slices"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Compute returns what must be so on this host. A nil cfg asks for nothing.
func Compute(cfg *config.Config, v VRRP, h Health, host Host) State {
	if cfg == nil {
		return State{}
	}
	services := services(cfg, h)
	return State{
		Addresses:  addresses(cfg, v),
		Services:   services,
		Timeouts:   cfg.Global.LVSTimeouts,
		Interfaces: interfaces(cfg, services, host),
	}
}

// addresses returns those of the active instances. Two instances that name
// the same address on the same interface (keepalived accepts it) share it.
func addresses(cfg *config.Config, v VRRP) []Address {
	type key struct {
		dev    string
		prefix string
	}
	seen := map[key]bool{}
	var all []Address
	for _, inst := range cfg.Instances {
		if !v[inst.Name] {
			continue
		}
		for _, a := range slices.Concat(inst.Addresses, inst.Excluded) {
			dev := a.Dev
			if dev == "" {
				dev = inst.Interface
			}
			k := key{dev, a.Prefix.String()}
			if seen[k] {
				continue
			}
			seen[k] = true
			all = append(all, Address{Interface: dev, Prefix: a.Prefix, Label: a.Label, Scope: a.Scope})
		}
	}
	slices.SortFunc(all, Address.Compare)
	return all
}

// services returns every virtual server's services, on every director whatever
// its VRRP state: the table is filled before the addresses come.
func services(cfg *config.Config, h Health) []lvs.ServiceSet {
	at := map[lvs.ServiceKey]int{}
	var all []lvs.ServiceSet
	for i, vs := range cfg.VirtualServers {
		// Firewall marks are not built yet; config warns about them.
		if vs.FWMark != 0 {
			continue
		}
		for _, ep := range vs.Endpoints {
			set := lvs.ServiceSet{
				Service:      service(vs, ep),
				Destinations: destinations(vs, ep, h.of(i)),
			}
			j, dup := at[set.ServiceKey]
			if !dup {
				at[set.ServiceKey] = len(all)
				all = append(all, set)
				continue
			}
			// Compat: keepalived adds the servers of a virtual_server that is
			// written twice to the one service that IPVS has; how it is
			// balanced stays as the first block says.
			for _, d := range set.Destinations {
				all[j].Destinations = addDestination(all[j].Destinations, d)
			}
		}
	}
	slices.SortFunc(all, func(a, b lvs.ServiceSet) int { return a.ServiceKey.Compare(b.ServiceKey) })
	return all
}

func service(vs *config.VirtualServer, ep config.Endpoint) lvs.Service {
	return lvs.Service{
		ServiceKey:     lvs.ServiceKey{Protocol: vs.Protocol, Addr: ep.Addr, Port: ep.Port},
		Scheduler:      vs.Scheduler,
		SchedulerFlags: vs.SchedulerFlags,
		Persistence:    vs.PersistenceTimeout,
		OnePacket:      vs.OnePacket,
	}
}

// of returns the health of the i-th virtual server, nil when it is not known.
func (h Health) of(i int) *Service {
	if i < len(h) {
		return &h[i]
	}
	return nil
}

// server returns the health of the i-th real server, or that of one without
// checkers.
func (s *Service) server(i int, configured int) Server {
	if s == nil || i >= len(s.Servers) {
		return Server{Up: true, Weight: configured}
	}
	return s.Servers[i]
}

// destinations returns the real servers that belong in the table, in the
// file's order, then the sorry server.
func destinations(vs *config.VirtualServer, ep config.Endpoint, h *Service) []lvs.Destination {
	sorryIn := vs.Sorry != nil && h != nil && !h.QuorumUp
	all := make([]lvs.Destination, 0, len(vs.RealServers)+1)
	for i, rs := range vs.RealServers {
		st := h.server(i, rs.Weight)
		d := lvs.Destination{
			Addr:           rs.Addr,
			Port:           destinationPort(rs.Method, rs.Port, ep.Port),
			Method:         rs.Method,
			Weight:         max(st.Weight, 0),
			UpperThreshold: uint32(max(rs.UpperThreshold, 0)),
			LowerThreshold: uint32(max(rs.LowerThreshold, 0)),
		}
		// A server that is taken out leaves the table, or stays in it without
		// new connections when it is inhibited on failure. That holds for one
		// that is down and for a live one that makes room for the sorry server.
		if !st.Up || sorryIn {
			if !rs.InhibitOnFailure && !vs.InhibitOnFailure {
				continue
			}
			d.Weight = 0
		}
		all = addDestination(all, d)
	}
	return addSorry(all, vs.Sorry, ep, sorryIn)
}

// addSorry puts the sorry server in when quorum is lost. With
// sorry_server_inhibit it is always in the table, quiesced while not needed,
// so that its connections outlive the return of the quorum.
func addSorry(all []lvs.Destination, s *config.SorryServer, ep config.Endpoint, in bool) []lvs.Destination {
	if s == nil || !in && !s.Inhibit {
		return all
	}
	d := lvs.Destination{Addr: s.Addr, Port: destinationPort(s.Method, s.Port, ep.Port), Method: s.Method}
	if !in {
		return addDestination(all, d)
	}
	d.Weight = 1
	// A sorry server that is also a real server was taken out above and may
	// stand in the table with weight 0: while quorum is lost it must serve.
	all = slices.DeleteFunc(all, func(o lvs.Destination) bool { return o.AddrPort() == d.AddrPort() })
	return append(all, d)
}

// destinationPort returns the port that packets to the server carry: without
// NAT it cannot differ from the service's, and a server without port takes it.
func destinationPort(m lvs.Method, port, service uint16) uint16 {
	if m != lvs.NAT || port == 0 {
		return service
	}
	return port
}

// addDestination appends d unless the service has that server already.
func addDestination(all []lvs.Destination, d lvs.Destination) []lvs.Destination {
	for _, o := range all {
		if o.AddrPort() == d.AddrPort() {
			return all
		}
	}
	return append(all, d)
}
