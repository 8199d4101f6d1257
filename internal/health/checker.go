package health

import "time"

// checker is one checker and its history.
type checker struct {
	id     CheckerID
	spec   CheckerSpec
	server *server
	order  int // place in the Spec

	up       bool
	known    bool // has had a result
	since    time.Time
	reason   string
	duration time.Duration
	failures int // failed tries in a row while up
	// undecided says that the last probe could not be made.
	undecided bool
	// weight, when hasWeight, is the server weight that its last success asked for.
	weight    int
	hasWeight bool

	probe uint64    // Seq of the running probe, 0 for none
	due   time.Time // of the next probe, zero while one runs
}

func (m *Machine) stepResult(now time.Time, r Result) {
	c := m.checkers[r.Checker]
	if m.phase != running || c == nil || c.probe == 0 || c.probe != r.Seq {
		m.tell(Ignored{Checker: r.Checker, Reason: IgnoreLateResult, Detail: r.Reason})
		return
	}
	c.probe = 0
	c.reason, c.duration = r.Reason, r.Duration
	srv := c.server
	srv.checks++
	srv.reason = r.Reason

	wait := c.spec.DelayLoop
	switch {
	case r.OK:
		c.weight, c.hasWeight = max(0, r.Weight), r.HasWeight
		m.setWeight(srv, r.Reason)
		m.judge(now, c, true)
	case r.Undecided:
		if !c.undecided {
			m.tell(Ignored{Checker: c.id, Reason: IgnoreUndecided, Detail: r.Reason})
		}
	case c.up && c.known && c.failures < c.spec.Retry:
		c.failures++
		wait = c.spec.DelayBeforeRetry
	default: // out of tries, the first run, or down already
		m.judge(now, c, false)
	}
	c.undecided = r.Undecided && !r.OK
	m.schedule(c, now.Add(wait))
	m.settleQuorum(now, srv.service)
}

// judge makes up the verdict of c and what follows for its server.
func (m *Machine) judge(now time.Time, c *checker, up bool) {
	first, retries := !c.known, c.failures
	c.known, c.failures = true, 0
	if up == c.up && !first {
		return
	}
	if up != c.up {
		c.up, c.since = up, now
	}
	m.tell(CheckerChanged{Checker: c.id, Up: up, First: first, Retries: retries, Reason: c.reason})
	m.settleServer(now, c.server)
}
