package health

import (
	"net/netip"
	"time"
)

// build replaces the services by fresh ones from spec, without any state;
// adopt gives them theirs. What is there twice counts once.
func (m *Machine) build(spec Spec) {
	m.services, m.due = nil, nil
	m.checkers = map[CheckerID]*checker{}
	m.places = make(map[string]int, len(spec.Services))
	for _, ss := range spec.Services {
		if _, twice := m.places[ss.Name]; twice {
			m.tell(Ignored{Checker: CheckerID{Service: ss.Name}, Reason: IgnoreDuplicateService})
			continue
		}
		m.places[ss.Name] = len(m.services)
		s := &service{spec: ss}
		s.spec.Servers = nil
		m.buildServers(s, ss.Servers)
		m.services = append(m.services, s)
	}
}

func (m *Machine) buildServers(s *service, specs []ServerSpec) {
	addrs := map[netip.AddrPort]bool{}
	for _, rs := range specs {
		if addrs[rs.Addr] {
			m.tell(Ignored{
				Checker: CheckerID{Service: s.spec.Name, Server: rs.Addr}, Reason: IgnoreDuplicateServer,
			})
			continue
		}
		addrs[rs.Addr] = true
		srv := &server{spec: rs, service: s}
		srv.spec.Checkers = nil
		m.buildCheckers(srv, rs.Checkers)
		s.servers = append(s.servers, srv)
	}
}

func (m *Machine) buildCheckers(srv *server, specs []CheckerSpec) {
	for _, cs := range specs {
		id := CheckerID{Service: srv.service.spec.Name, Server: srv.spec.Addr, Key: cs.Key}
		if m.checkers[id] != nil {
			m.tell(Ignored{Checker: id, Reason: IgnoreDuplicateChecker})
			continue
		}
		c := &checker{id: id, spec: cs, server: srv, order: len(m.checkers)}
		m.checkers[id] = c
		srv.checkers = append(srv.checkers, c)
	}
}

// adopt gives every service its state: that of the service of the same name
// in before, else that of a start. It schedules all probes.
func (m *Machine) adopt(now time.Time, before map[string]*service) {
	for _, s := range m.services {
		old := before[s.spec.Name]
		s.since = now
		servers := map[netip.AddrPort]*server{}
		if old != nil {
			s.quorumUp, s.since = old.quorumUp, old.since
			for _, srv := range old.servers {
				servers[srv.spec.Addr] = srv
			}
		}
		for _, srv := range s.servers {
			m.adoptServer(now, srv, servers[srv.spec.Addr])
		}
		if old != nil {
			m.settleQuorum(now, s)
			continue
		}
		// keepalived counts the quorum as there at a start unless the total is
		// too low to gain it, and speaks only of one that a sorry server stands in for.
		s.quorumUp = s.reached()
		if !s.quorumUp && s.spec.Sorry {
			m.tellQuorum(s, s.spec.Quorum+s.spec.Hysteresis)
		}
	}
}

// adoptServer gives srv and its checkers their state; old is nil for a server
// that is new. Only changes of known servers are told.
func (m *Machine) adoptServer(now time.Time, srv, old *server) {
	if old == nil {
		srv.since, srv.weight = now, srv.spec.Weight
		for _, c := range srv.checkers {
			m.startChecker(now, c, !c.spec.Alpha, c.spec.Warmup)
		}
		srv.up = srv.verdict()
		if srv.up {
			srv.service.weight += srv.weight
		}
		return
	}
	srv.since, srv.reason, srv.checks = old.since, old.reason, old.checks
	m.adoptCheckers(now, srv, old)
	srv.up, srv.weight = old.up, old.weight
	if srv.up {
		srv.service.weight += srv.weight
	}
	m.setWeight(srv, "configured")
	m.settleServer(now, srv)
}

// adoptCheckers continues the checkers of srv that old had and starts the
// others as what they are to a server that is known:
//
//   - on a live server they start up, with alpha too: a reload alone takes no
//     live server out;
//   - on a dead one that an unchanged checker holds down, as at a start;
//   - on a dead one whose failing checkers are gone or configured otherwise,
//     they start down and are run at once, so that a reload alone puts no
//     dead server into service.
//
// Compat: in the last case keepalived puts the server into service unchecked
// unless the checkers are alpha.
func (m *Machine) adoptCheckers(now time.Time, srv, old *server) {
	kept := map[string]*checker{}
	for _, c := range old.checkers {
		kept[c.id.Key] = c
	}
	held := false
	for _, c := range srv.checkers {
		if o := kept[c.id.Key]; o != nil {
			m.continueChecker(now, c, o)
			held = held || !c.up
		}
	}
	for _, c := range srv.checkers {
		if kept[c.id.Key] != nil {
			continue
		}
		switch {
		case old.up:
			m.startChecker(now, c, true, c.spec.Warmup)
		case held:
			m.startChecker(now, c, !c.spec.Alpha, c.spec.Warmup)
		default:
			m.startChecker(now, c, false, 0)
		}
	}
}

func (m *Machine) startChecker(now time.Time, c *checker, up bool, warmup time.Duration) {
	c.up, c.since = up, now
	m.schedule(c, now.Add(moment+m.wait(warmup)))
}

// continueChecker hands the state of old to c, with its running probe or its
// time, which a shorter period brings forward.
func (m *Machine) continueChecker(now time.Time, c, old *checker) {
	c.up, c.known, c.since = old.up, old.known, old.since
	c.reason, c.duration, c.failures = old.reason, old.duration, old.failures
	c.weight, c.hasWeight, c.undecided = old.weight, old.hasWeight, old.undecided
	c.probe = old.probe
	switch {
	case c.probe != 0:
	case old.due.IsZero(): // of a predecessor that died: spread the checks again
		m.schedule(c, now.Add(moment+m.wait(c.spec.DelayLoop)))
	default:
		m.schedule(c, earlier(old.due, now.Add(c.longestWait())))
	}
}

// longestWait is what the next probe waits for at most, by the Spec.
func (c *checker) longestWait() time.Duration {
	switch {
	case !c.known:
		return moment + c.spec.Warmup
	case c.failures > 0:
		return c.spec.DelayBeforeRetry
	}
	return c.spec.DelayLoop
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
