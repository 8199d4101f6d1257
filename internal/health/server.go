package health

import "time"

// service is one virtual server.
type service struct {
	spec     ServiceSpec
	servers  []*server
	weight   int // total of the servers that are up
	quorumUp bool
	since    time.Time
}

// server is one real server.
type server struct {
	spec     ServerSpec
	service  *service
	checkers []*checker
	up       bool
	weight   int // effective
	since    time.Time
	reason   string // of the last result
	checks   uint64
}

const (
	reasonNoChecker  = "no checker configured"
	reasonNotChecked = "not checked yet"
)

// verdict is the rule: up while all checkers are up.
func (srv *server) verdict() bool {
	for _, c := range srv.checkers {
		if !c.up {
			return false
		}
	}
	return true
}

// why explains the state in one line: the first checker that holds the server
// down, else the last result.
func (srv *server) why() string {
	if len(srv.checkers) == 0 {
		return reasonNoChecker
	}
	for _, c := range srv.checkers {
		if !c.up && c.reason != "" {
			return c.reason
		}
	}
	if srv.reason == "" {
		return reasonNotChecked
	}
	return srv.reason
}

// effectiveWeight is the configured weight, moved by what each checker with a
// weight of its own asks for; with one such checker it is exactly its weight.
func (srv *server) effectiveWeight() int {
	w := srv.spec.Weight
	for _, c := range srv.checkers {
		if c.hasWeight {
			w += c.weight - srv.spec.Weight
		}
	}
	return max(0, w)
}

// settleServer applies the rule to srv and tells when it changes.
func (m *Machine) settleServer(now time.Time, srv *server) {
	up := srv.verdict()
	if up == srv.up {
		return
	}
	srv.up, srv.since = up, now
	if up {
		srv.service.weight += srv.weight
	} else {
		srv.service.weight -= srv.weight
	}
	m.tell(ServerChanged{Service: srv.service.spec.Name, Server: srv.spec.Addr, Up: up, Reason: srv.why()})
}

// setWeight recomputes the effective weight of srv and tells when it changes.
func (m *Machine) setWeight(srv *server, reason string) {
	w := srv.effectiveWeight()
	if w == srv.weight {
		return
	}
	m.tell(WeightChanged{
		Service: srv.service.spec.Name, Server: srv.spec.Addr,
		From: srv.weight, To: w, Reason: reason,
	})
	if srv.up {
		srv.service.weight += w - srv.weight
	}
	srv.weight = w
}

// reached reports whether the live weight is enough to gain the quorum.
func (s *service) reached() bool {
	return s.weight > 0 && s.weight >= s.spec.Quorum+s.spec.Hysteresis
}

// missed reports whether the live weight is too little to keep the quorum.
func (s *service) missed() bool {
	return s.weight <= 0 || s.weight < s.spec.Quorum-s.spec.Hysteresis
}

// settleQuorum applies quorum and hysteresis and tells when the state changes.
func (m *Machine) settleQuorum(now time.Time, s *service) {
	switch {
	case s.quorumUp && s.missed():
		s.quorumUp, s.since = false, now
		m.tellQuorum(s, s.spec.Quorum-s.spec.Hysteresis)
	case !s.quorumUp && s.reached():
		s.quorumUp, s.since = true, now
		m.tellQuorum(s, s.spec.Quorum+s.spec.Hysteresis)
	}
}

func (m *Machine) tellQuorum(s *service, threshold int) {
	m.tell(QuorumChanged{Service: s.spec.Name, Up: s.quorumUp, Weight: s.weight, Threshold: threshold})
}
