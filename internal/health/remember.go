package health

import (
	"net/netip"
	"time"
)

// Remembered is what a director writes down so that its successor can go on
// after a crash. It survives JSON.
type Remembered struct {
	Services []RememberedService `json:"services"`
}

// RememberedService is one virtual server's part of Remembered.
type RememberedService struct {
	Name     string             `json:"name"`
	QuorumUp bool               `json:"quorum_up"`
	Since    time.Time          `json:"since"`
	Servers  []RememberedServer `json:"servers"`
}

// RememberedServer is one real server's part of Remembered.
type RememberedServer struct {
	Addr     netip.AddrPort      `json:"address"`
	Up       bool                `json:"up"`
	Since    time.Time           `json:"since"`
	Weight   int                 `json:"weight"` // effective
	Checkers []RememberedChecker `json:"checkers,omitempty"`
}

// RememberedChecker is one checker's part of Remembered.
type RememberedChecker struct {
	Key       string    `json:"key"`
	Up        bool      `json:"up"`
	Known     bool      `json:"known"`
	Since     time.Time `json:"since"`
	Reason    string    `json:"reason,omitempty"`
	Weight    int       `json:"weight,omitempty"`
	HasWeight bool      `json:"has_weight,omitempty"`
}

// Remember returns what a successor needs after a crash.
func (m *Machine) Remember() Remembered {
	var r Remembered
	for _, s := range m.services {
		rs := RememberedService{Name: s.spec.Name, QuorumUp: s.quorumUp, Since: s.since}
		for _, srv := range s.servers {
			rs.Servers = append(rs.Servers, srv.remember())
		}
		r.Services = append(r.Services, rs)
	}
	return r
}

func (srv *server) remember() RememberedServer {
	r := RememberedServer{Addr: srv.spec.Addr, Up: srv.up, Since: srv.since, Weight: srv.weight}
	for _, c := range srv.checkers {
		r.Checkers = append(r.Checkers, RememberedChecker{
			Key: c.id.Key, Up: c.up, Known: c.known, Since: c.since,
			Reason: c.reason, Weight: c.weight, HasWeight: c.hasWeight,
		})
	}
	return r
}

// services returns the remembered state as services of a machine whose
// checkers are not scheduled.
func (r *Remembered) services() map[string]*service {
	all := make(map[string]*service, len(r.Services))
	for _, rs := range r.Services {
		s := &service{spec: ServiceSpec{Name: rs.Name}, quorumUp: rs.QuorumUp, since: rs.Since}
		for _, srv := range rs.Servers {
			s.servers = append(s.servers, srv.server())
		}
		all[rs.Name] = s
	}
	return all
}

func (r RememberedServer) server() *server {
	srv := &server{spec: ServerSpec{Addr: r.Addr}, up: r.Up, since: r.Since, weight: r.Weight}
	for _, rc := range r.Checkers {
		srv.checkers = append(srv.checkers, &checker{
			id: CheckerID{Key: rc.Key}, up: rc.Up, known: rc.Known, since: rc.Since,
			reason: rc.Reason, weight: rc.Weight, hasWeight: rc.HasWeight,
		})
		if rc.Known {
			srv.reason = rc.Reason
		}
	}
	return srv
}
