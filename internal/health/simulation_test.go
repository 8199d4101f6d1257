package health_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/health"
)

// TestSimulation runs random specs against servers that answer at random, with
// reloads and restarts in between, and compares every action and status with
// an oracle that replays the history of results.
func TestSimulation(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			newSim(t, uint64(seed)).play(3 * time.Minute)
		})
	}
}

// TestDeterminism proves that equal inputs give equal actions.
func TestDeterminism(t *testing.T) {
	a, b := newSim(t, 7), newSim(t, 7)
	a.play(20 * time.Minute)
	b.play(20 * time.Minute)
	if len(a.trace) < 100 || !slices.Equal(a.trace, b.trace) {
		t.Errorf("two runs of one seed differ, or are too short (%d, %d actions)", len(a.trace), len(b.trace))
	}
}

// oracle is what the rules of keepalived say of one checker, from its history
// alone. due is when its next probe must start; before a first probe it is
// anything between dueFrom and due.
type oracle struct {
	spec         health.CheckerSpec
	up, known    bool
	failures     int
	weight       int
	hasWeight    bool
	probing      bool
	seq          uint64
	dueFrom, due time.Time
}

func (o *oracle) result(now time.Time, r health.Result) {
	wait := o.spec.DelayLoop
	o.probing = false
	switch {
	case r.Undecided && !r.OK:
		o.dueFrom, o.due = now.Add(wait), now.Add(wait)
		return
	case r.OK:
		o.up, o.failures = true, 0
		o.weight, o.hasWeight = r.Weight, r.HasWeight
	case !o.known || !o.up:
		o.up = false
	case o.failures == o.spec.Retry:
		o.up, o.failures = false, 0
	default:
		o.failures++
		wait = o.spec.DelayBeforeRetry
	}
	o.known = true
	o.dueFrom, o.due = now.Add(wait), now.Add(wait)
}

const slack = 100 * time.Millisecond // the moment before a first probe

func (o *oracle) begin(now time.Time, up bool, warmup time.Duration) {
	o.up, o.dueFrom, o.due = up, now.Add(slack), now.Add(slack+warmup)
}

type sim struct {
	t        *testing.T
	rnd      *rand.Rand
	m        *health.Machine
	now      time.Time
	spec     health.Spec
	oracles  map[health.CheckerID]*oracle
	serverUp map[health.CheckerID]bool // last told or observed, Key empty
	quorumUp map[string]bool           // as told, or found when nothing was to be told
	quorum   map[string]bool           // by the rule
	ends     []ending
	trace    []string
	sick     float64 // probability of a failure
}

func newSim(t *testing.T, seed uint64) *sim {
	t.Helper()
	s := &sim{
		t: t, rnd: rand.New(rand.NewPCG(seed, 99)), now: time.Unix(1_000_000, 0), sick: 0.3,
		oracles: map[health.CheckerID]*oracle{}, serverUp: map[health.CheckerID]bool{}, quorumUp: map[string]bool{}, quorum: map[string]bool{},
	}
	s.spec = s.randomSpec()
	s.m = health.New(s.spec, rand.New(rand.NewPCG(seed, 1)))
	return s
}

func (s *sim) randomSpec() health.Spec {
	var spec health.Spec
	for i := range 1 + s.rnd.IntN(3) {
		svc := health.ServiceSpec{Name: fmt.Sprint("s", i), Sorry: s.rnd.IntN(2) == 0}
		total := 0
		for j := range s.rnd.IntN(5) {
			srv := health.ServerSpec{
				Addr:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(j)}), 80),
				Weight: s.rnd.IntN(4),
			}
			total += srv.Weight
			for k := range s.rnd.IntN(3) {
				srv.Checkers = append(srv.Checkers, health.CheckerSpec{
					Key: fmt.Sprint("c", k+s.rnd.IntN(2)*10), Alpha: s.rnd.IntN(3) == 0, Retry: s.rnd.IntN(3),
					DelayLoop: s.seconds(1, 10), DelayBeforeRetry: s.seconds(0, 3), Warmup: s.seconds(0, 10),
				})
			}
			svc.Servers = append(svc.Servers, srv)
		}
		svc.Quorum = 1 + s.rnd.IntN(total+1)
		svc.Hysteresis = s.rnd.IntN(svc.Quorum)
		spec.Services = append(spec.Services, svc)
	}
	return spec
}

func (s *sim) seconds(from, to int) time.Duration {
	return time.Duration(from)*time.Second + time.Duration(s.rnd.Int64N(int64(to-from)*1000))*time.Millisecond
}

// play starts the machine and lets total pass, with a reload or a restart now
// and then.
func (s *sim) play(total time.Duration) {
	s.t.Helper()
	end := s.now.Add(total)
	s.expectNew(s.spec, nil)
	s.step(health.Start{})
	change := s.now.Add(s.seconds(5, 40))
	for s.now.Before(end) {
		next, have := s.m.Deadline()
		which := -1
		for i := range s.ends {
			if !have || s.ends[i].at.Before(next) {
				next, have, which = s.ends[i].at, true, i
			}
		}
		if !have || !next.Before(change) {
			s.now = change
			change = s.now.Add(s.seconds(5, 40))
			s.shake()
			continue
		}
		s.now = next
		if which < 0 {
			s.step(health.TimerFired{})
			continue
		}
		e := s.ends[which]
		s.ends = slices.Delete(s.ends, which, which+1)
		if o := s.oracles[e.result.Checker]; o != nil && o.probing && o.seq == e.result.Seq {
			o.result(s.now, e.result)
		}
		s.step(e.result)
	}
	s.step(health.Stop{})
	if _, have := s.m.Deadline(); have {
		s.t.Error("a stopped machine has a deadline")
	}
}

// shake reloads, restarts after a crash, or changes how sick the servers are.
func (s *sim) shake() {
	s.sick = s.rnd.Float64()
	switch s.rnd.IntN(4) {
	case 0:
		remembered := s.m.Remember()
		s.m = health.New(s.spec, rand.New(rand.NewPCG(s.rnd.Uint64(), 1)))
		for _, o := range s.oracles {
			o.failures, o.probing, o.seq = 0, false, 0
			if o.known {
				o.dueFrom, o.due = s.now, s.now.Add(slack+o.spec.DelayLoop)
			} else {
				o.dueFrom, o.due = s.now, s.now.Add(slack+max(o.spec.Warmup, o.spec.DelayLoop))
			}
		}
		s.ends = nil
		s.step(health.Start{Restore: &remembered})
	case 1:
		old := s.spec
		s.spec = s.randomSpec()
		s.expectNew(s.spec, &old)
		s.step(health.Reconfigure{Spec: s.spec})
	}
}

// expectNew sets the oracles for a new spec that follows old.
func (s *sim) expectNew(spec health.Spec, old *health.Spec) {
	before, told, quorum, ruled := s.oracles, s.serverUp, s.quorumUp, s.quorum
	s.oracles, s.serverUp = map[health.CheckerID]*oracle{}, map[health.CheckerID]bool{}
	s.quorumUp, s.quorum = map[string]bool{}, map[string]bool{}
	for _, svc := range spec.Services {
		if up, known := quorum[svc.Name]; known {
			s.quorumUp[svc.Name], s.quorum[svc.Name] = up, ruled[svc.Name]
		}
		for _, srv := range svc.Servers {
			id := health.CheckerID{Service: svc.Name, Server: srv.Addr}
			wasUp, known := told[id]
			if known {
				s.serverUp[id] = wasUp
			}
			held := false
			for _, c := range srv.Checkers {
				id.Key = c.Key
				o := before[id]
				held = held || o != nil && !o.up
			}
			for _, c := range srv.Checkers {
				id.Key = c.Key
				s.oracles[id] = s.expectChecker(c, before[id], known, wasUp, held)
			}
		}
	}
}

func (s *sim) expectChecker(c health.CheckerSpec, old *oracle, known, wasUp, held bool) *oracle {
	o := &oracle{spec: c}
	switch {
	case old != nil:
		*o = *old
		o.spec = c
		wait := c.DelayLoop
		if !o.known {
			wait = slack + c.Warmup
		} else if o.failures > 0 {
			wait = c.DelayBeforeRetry
		}
		if at := s.now.Add(wait); at.Before(o.due) {
			o.due = at
			if at.Before(o.dueFrom) {
				o.dueFrom = at
			}
		}
		if o.failures > c.Retry { // fewer tries now: the next failure is the last
			o.failures = c.Retry
		}
	case !known || held:
		o.begin(s.now, !c.Alpha, c.Warmup)
	case wasUp:
		o.begin(s.now, true, c.Warmup)
	default:
		o.begin(s.now, false, 0)
	}
	return o
}

func (s *sim) step(in health.Input) {
	s.t.Helper()
	for _, act := range s.m.Step(s.now, in) {
		s.trace = append(s.trace, fmt.Sprintf("%s %T %+v", s.now, act, act))
		switch a := act.(type) {
		case health.Probe:
			s.expectProbe(a)
		case health.Cancel:
			s.ends = slices.DeleteFunc(s.ends, func(e ending) bool {
				return e.result.Seq == a.Seq && s.rnd.IntN(2) == 0 // else it comes late
			})
		case health.ServerChanged:
			id := health.CheckerID{Service: a.Service, Server: a.Server}
			if was, known := s.serverUp[id]; !known || was == a.Up {
				s.fail("%s: told %t, was %t, known %t", id, a.Up, was, known)
			}
			s.serverUp[id] = a.Up
		case health.QuorumChanged:
			if was, known := s.quorumUp[a.Service]; known && was == a.Up || !known && a.Up {
				s.fail("quorum of %s: told %t twice", a.Service, a.Up)
			}
			s.quorumUp[a.Service] = a.Up
		}
	}
	if _, stopped := in.(health.Stop); !stopped {
		s.compare()
	}
}

func (s *sim) expectProbe(p health.Probe) {
	s.t.Helper()
	o := s.oracles[p.Checker]
	switch {
	case o == nil:
		s.fail("probe of unknown %s", p.Checker)
		return
	case o.probing:
		s.fail("%s: a second probe at once", p.Checker)
	case s.now.Before(o.dueFrom) || s.now.After(o.due):
		s.fail("%s: probe at %s, want %s to %s", p.Checker, s.now, o.dueFrom, o.due)
	}
	o.probing, o.seq = true, p.Seq
	r := health.Result{Checker: p.Checker, Seq: p.Seq, OK: s.rnd.Float64() >= s.sick, Reason: "r"}
	r.Undecided = s.rnd.IntN(10) == 0
	if s.rnd.IntN(4) == 0 {
		r.Weight, r.HasWeight = s.rnd.IntN(5), true
	}
	s.ends = append(s.ends, ending{s.now.Add(time.Duration(s.rnd.Int64N(int64(4 * time.Second)))), r})
}

// compare checks the whole status against the oracles.
func (s *sim) compare() {
	s.t.Helper()
	for id, o := range s.oracles {
		if !o.probing && s.now.After(o.due) {
			s.fail("%s: the probe due at %s did not start", id, o.due)
		}
	}
	st := s.m.Status()
	for i, svc := range s.spec.Services {
		total := 0
		for j, srv := range svc.Servers {
			got := st.Services[i].Servers[j]
			id := health.CheckerID{Service: svc.Name, Server: srv.Addr}
			up, weight := true, srv.Weight
			for _, c := range srv.Checkers {
				id.Key = c.Key
				o := s.oracles[id]
				up = up && o.up
				if o.hasWeight {
					weight += o.weight - srv.Weight
				}
			}
			weight = max(0, weight)
			if up {
				total += weight
			}
			id.Key = ""
			if got.Up != up || got.Weight != weight {
				s.fail("%s: up %t weight %d, want %t %d", id, got.Up, got.Weight, up, weight)
			}
			if told, known := s.serverUp[id]; known && told != up {
				s.fail("%s: told up=%t, is %t", id, told, up)
			}
			s.serverUp[id] = up
		}
		s.compareQuorum(svc, st.Services[i], total)
	}
}

func (s *sim) compareQuorum(svc health.ServiceSpec, got health.ServiceStatus, total int) {
	s.t.Helper()
	if got.Weight != total {
		s.fail("%s: weight %d, want %d", svc.Name, got.Weight, total)
	}
	want, known := s.quorum[svc.Name]
	switch {
	case total == 0 || total < svc.Quorum-svc.Hysteresis:
		want = false
	case total >= svc.Quorum+svc.Hysteresis:
		want = true
	case !known:
		want = false
	}
	told, spoken := s.quorumUp[svc.Name]
	if got.QuorumUp != want || spoken && told != want || !spoken && !want && svc.Sorry {
		s.fail("%s: quorum %t, told %t (%t), want %t at weight %d", svc.Name, got.QuorumUp, told, spoken, want, total)
	}
	s.quorum[svc.Name], s.quorumUp[svc.Name] = want, want
}

func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	for _, line := range s.trace[max(0, len(s.trace)-25):] {
		s.t.Log(line)
	}
	s.t.Fatalf("at %s: %s", s.now, fmt.Sprintf(format, args...))
}
