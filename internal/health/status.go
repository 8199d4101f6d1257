package health

import (
	"net/netip"
	"time"
)

// Status is the machine at one moment, in the order of the Spec. The machine
// does not touch it any more.
type Status struct {
	Services []ServiceStatus
	places   map[string]int // in Services by name
}

// ServiceStatus is one virtual server.
type ServiceStatus struct {
	Name     string
	QuorumUp bool
	Since    time.Time // of the quorum's state
	Weight   int       // total effective weight of the servers that are up
	Servers  []ServerStatus
}

// ServerStatus is one real server. Weight is the effective weight it has, or
// would have, while up. Reason is that of the first checker that is down, else
// that of the last result.
type ServerStatus struct {
	Addr             netip.AddrPort
	Up               bool
	Since            time.Time
	Weight           int
	ConfiguredWeight int
	Reason           string
	Checks           uint64 // results so far
	Checkers         []CheckerStatus
}

// CheckerStatus is one checker. Known is false before its first result.
type CheckerStatus struct {
	ID       CheckerID
	Up       bool
	Known    bool
	Since    time.Time
	Reason   string
	Duration time.Duration // of the last probe
	Failures int           // failed tries in a row while still up
	Probing  bool          // a probe is running
	Next     time.Time     // when the next probe is due, zero while one runs
}

// Service returns the status of the service of that name.
func (s Status) Service(name string) (ServiceStatus, bool) {
	if i, ok := s.places[name]; ok {
		return s.Services[i], true
	}
	return ServiceStatus{}, false
}

// Server returns the status of the server with that address.
func (s ServiceStatus) Server(addr netip.AddrPort) (ServerStatus, bool) {
	for i := range s.Servers {
		if s.Servers[i].Addr == addr {
			return s.Servers[i], true
		}
	}
	return ServerStatus{}, false
}

// Status returns the machine's state for showing and for director/desired.
func (m *Machine) Status() Status {
	st := Status{Services: make([]ServiceStatus, 0, len(m.services)), places: m.places}
	for _, s := range m.services {
		ss := ServiceStatus{
			Name: s.spec.Name, QuorumUp: s.quorumUp, Since: s.since, Weight: s.weight,
			Servers: make([]ServerStatus, 0, len(s.servers)),
		}
		for _, srv := range s.servers {
			ss.Servers = append(ss.Servers, srv.status())
		}
		st.Services = append(st.Services, ss)
	}
	return st
}

func (srv *server) status() ServerStatus {
	st := ServerStatus{
		Addr: srv.spec.Addr, Up: srv.up, Since: srv.since,
		Weight: srv.weight, ConfiguredWeight: srv.spec.Weight,
		Reason: srv.why(), Checks: srv.checks,
		Checkers: make([]CheckerStatus, 0, len(srv.checkers)),
	}
	for _, c := range srv.checkers {
		st.Checkers = append(st.Checkers, CheckerStatus{
			ID: c.id, Up: c.up, Known: c.known, Since: c.since, Reason: c.reason,
			Duration: c.duration, Failures: c.failures, Probing: c.probe != 0, Next: c.due,
		})
	}
	return st
}
