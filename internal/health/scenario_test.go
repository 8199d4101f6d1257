package health_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/health"
)

var update = flag.Bool("update", false, "rewrite testdata with what the machine does")

// TestScenarios plays testdata/*.txt: commands, a line ----, what follows from
// them, a blank line. See scenario.do for the commands.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScenario(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

func playScenario(t *testing.T, text string) string {
	t.Helper()
	sc := &scenario{t: t, start: time.Unix(1_000_000, 0), answers: map[string]answer{}}
	sc.now = sc.start
	var out strings.Builder
	skipping := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case skipping: // the old output
			skipping = line != ""
			if !skipping {
				out.WriteString("\n")
			}
		case line == "----":
			skipping = true
			out.WriteString("----\n" + sc.out.String())
			sc.out.Reset()
		default:
			out.WriteString(line + "\n")
			if line != "" && !strings.HasPrefix(line, "#") {
				sc.do(strings.Fields(line))
			}
		}
	}
	return out.String()
}

// scenario is a machine with a clock and servers that answer as told.
type scenario struct {
	t          *testing.T
	m          *health.Machine
	spec       health.Spec
	start, now time.Time
	answers    map[string]answer // by "KEY@SERVER"
	ends       []ending          // of running probes
	out        strings.Builder
}

type answer struct {
	result health.Result
	takes  time.Duration
	hangs  bool
}

type ending struct {
	at     time.Time
	result health.Result
}

// do runs one command:
//
//	service NAME [quorum=N] [hysteresis=N] [sorry]   add to the next Spec
//	server ADDR:PORT [weight=N]
//	checker KEY [alpha] [loop=D] [before=D] [warmup=D] [retry=N]
//	spec                                             forget the Spec so far
//	start | reload | stop                            with that Spec
//	restart                                          crash, Remember by JSON, Start
//	answer KEY@SERVER ok|fail|undecided [weight=N] [takes=D] [hangs] [REASON ...]
//	run DURATION                                     let time pass
//	status
func (sc *scenario) do(f []string) {
	sc.t.Helper()
	opts := options(f[1:])
	switch f[0] {
	case "spec":
		sc.spec = health.Spec{}
	case "service":
		sc.spec.Services = append(sc.spec.Services, health.ServiceSpec{
			Name: f[1], Quorum: opts.number("quorum", 1), Hysteresis: opts.number("hysteresis", 0), Sorry: opts.has("sorry"),
		})
	case "server":
		s := &sc.spec.Services[len(sc.spec.Services)-1]
		s.Servers = append(s.Servers, health.ServerSpec{
			Addr: netip.MustParseAddrPort(f[1]), Weight: opts.number("weight", 1),
		})
	case "checker":
		s := &sc.spec.Services[len(sc.spec.Services)-1]
		srv := &s.Servers[len(s.Servers)-1]
		srv.Checkers = append(srv.Checkers, health.CheckerSpec{
			Key: f[1], Alpha: opts.has("alpha"), Retry: opts.number("retry", 1),
			DelayLoop: opts.duration("loop", 10*time.Second), DelayBeforeRetry: opts.duration("before", time.Second),
			Warmup: opts.duration("warmup", 0),
		})
	case "start":
		sc.m = health.New(sc.spec, rand.New(rand.NewPCG(1, 2)))
		sc.step(health.Start{})
	case "restart":
		sc.restart()
	case "reload":
		sc.step(health.Reconfigure{Spec: sc.spec})
	case "stop":
		sc.step(health.Stop{})
	case "answer":
		sc.setAnswer(f[1], f[2], f[3:])
	case "run":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			sc.t.Fatal(err)
		}
		sc.run(sc.now.Add(d))
	case "status":
		sc.status()
	default:
		sc.t.Fatalf("unknown command %q", f)
	}
}

func (sc *scenario) restart() {
	b, err := json.Marshal(sc.m.Remember())
	if err != nil {
		sc.t.Fatal(err)
	}
	var r health.Remembered
	if err := json.Unmarshal(b, &r); err != nil {
		sc.t.Fatal(err)
	}
	sc.ends = nil
	sc.m = health.New(sc.spec, rand.New(rand.NewPCG(1, 2)))
	sc.step(health.Start{Restore: &r})
}

func (sc *scenario) setAnswer(id, verdict string, rest []string) {
	opts := options(rest)
	a := answer{takes: opts.duration("takes", 0), hangs: opts.has("hangs")}
	a.result.OK, a.result.Undecided = verdict == "ok", verdict == "undecided"
	a.result.Weight, a.result.HasWeight = opts.number("weight", 0), opts.has("weight")
	var words []string
	for _, w := range rest {
		if !strings.Contains(w, "=") && w != "hangs" {
			words = append(words, w)
		}
	}
	a.result.Reason = strings.Join(words, " ")
	sc.answers[id] = a
}

// run lets time pass until the given moment, in the order of what is due.
func (sc *scenario) run(until time.Time) {
	for {
		next, have := sc.m.Deadline()
		end := -1
		for i := range sc.ends {
			if !have || sc.ends[i].at.Before(next) {
				next, have, end = sc.ends[i].at, true, i
			}
		}
		if !have || next.After(until) {
			sc.now = until
			return
		}
		sc.now = next
		if end < 0 {
			sc.step(health.TimerFired{})
			continue
		}
		e := sc.ends[end]
		sc.ends = append(sc.ends[:end], sc.ends[end+1:]...)
		sc.step(e.result)
	}
}

func (sc *scenario) step(in health.Input) {
	for _, act := range sc.m.Step(sc.now, in) {
		sc.print(act)
		if p, ok := act.(health.Probe); ok {
			a := sc.answers[p.Checker.Key+"@"+p.Checker.Server.String()]
			if a.hangs {
				continue
			}
			a.result.Checker, a.result.Seq, a.result.Duration = p.Checker, p.Seq, a.takes
			sc.ends = append(sc.ends, ending{sc.now.Add(a.takes), a.result})
		}
	}
}

func (sc *scenario) print(act health.Action) {
	fmt.Fprintf(&sc.out, "%-7s ", sc.now.Sub(sc.start).Round(time.Millisecond))
	switch a := act.(type) {
	case health.Probe:
		fmt.Fprintf(&sc.out, "probe %s\n", a.Checker)
	case health.Cancel:
		fmt.Fprintf(&sc.out, "cancel %s\n", a.Checker)
	case health.CheckerChanged:
		fmt.Fprintf(&sc.out, "checker %s: %s, first %t, after %d retries: %s\n", a.Checker, upDown(a.Up), a.First, a.Retries, a.Reason)
	case health.ServerChanged:
		fmt.Fprintf(&sc.out, "SERVER %s of %s %s: %s\n", a.Server, a.Service, upDown(a.Up), a.Reason)
	case health.WeightChanged:
		fmt.Fprintf(&sc.out, "WEIGHT %s of %s %d -> %d: %s\n", a.Server, a.Service, a.From, a.To, a.Reason)
	case health.QuorumChanged:
		fmt.Fprintf(&sc.out, "QUORUM of %s %s: weight %d, threshold %d\n", a.Service, upDown(a.Up), a.Weight, a.Threshold)
	case health.Ignored:
		fmt.Fprintf(&sc.out, "ignored %s: %s\n", a.Checker, a.Reason)
	}
}

func (sc *scenario) status() {
	for _, s := range sc.m.Status().Services {
		fmt.Fprintf(&sc.out, "%s: quorum %s since %s, weight %d\n", s.Name, upDown(s.QuorumUp), s.Since.Sub(sc.start), s.Weight)
		for _, srv := range s.Servers {
			fmt.Fprintf(&sc.out, "  %s %s since %s, weight %d (configured %d), %d checks: %s\n",
				srv.Addr, upDown(srv.Up), srv.Since.Sub(sc.start), srv.Weight, srv.ConfiguredWeight, srv.Checks, srv.Reason)
			for _, c := range srv.Checkers {
				next := "running"
				if !c.Probing {
					next = "next at " + c.Next.Sub(sc.start).Round(time.Millisecond).String()
				}
				fmt.Fprintf(&sc.out, "    %s %s known %t failures %d, %s\n", c.ID.Key, upDown(c.Up), c.Known, c.Failures, next)
			}
		}
	}
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

type options []string

func (o options) lookup(name string) (string, bool) {
	for _, w := range o {
		if k, v, _ := strings.Cut(w, "="); k == name {
			return v, true
		}
	}
	return "", false
}

func (o options) has(name string) bool { _, ok := o.lookup(name); return ok }

func (o options) number(name string, def int) int {
	if v, ok := o.lookup(name); ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			panic(err)
		}
		return n
	}
	return def
}

func (o options) duration(name string, def time.Duration) time.Duration {
	if v, ok := o.lookup(name); ok {
		d, err := time.ParseDuration(v)
		if err != nil {
			panic(err)
		}
		return d
	}
	return def
}
