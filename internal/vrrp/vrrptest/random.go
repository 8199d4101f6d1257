package vrrptest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Random makes up a script: two to four directors, some of them with a sync
// group over two segments, and several rounds of trouble, each followed by
// quiet time in which elections must settle.
func Random(seed uint64) string {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 2))}
	g.line("seed %d", seed)
	g.setup()
	for range 2 + g.rng.IntN(2) {
		for range 1 + g.rng.IntN(6) {
			g.trouble()
			g.line("run %v", g.time(6*time.Second))
		}
		g.settle()
	}
	for _, r := range g.routers {
		if r.up && g.rng.IntN(2) == 0 {
			g.line("stop %s", r.name)
			g.line("run %v", g.time(2*time.Second))
		}
	}
	g.line("status")
	return g.out.String()
}

type generator struct {
	rng     *rand.Rand
	out     strings.Builder
	routers []*randomRouter
	grouped bool
	auth    string
	advert  time.Duration
}

type randomRouter struct {
	name   string
	up     bool
	down   map[string]bool // links
	bare   map[string]bool // segments without an address
	failed bool            // script
}

// address is the router's on a segment, or none.
func (r *randomRouter) address(segment string) string {
	if r.bare[segment] {
		return "none"
	}
	return map[string]string{"eth0": "10.7.0.1", "eth1": "10.8.0.1"}[segment] + r.name[1:]
}

func (g *generator) line(format string, args ...any) { fmt.Fprintf(&g.out, format+"\n", args...) }

func (g *generator) time(most time.Duration) time.Duration {
	return time.Duration(g.rng.Int64N(int64(most))).Round(time.Millisecond)
}

func (g *generator) pick(words ...string) string { return words[g.rng.IntN(len(words))] }

func (g *generator) router() *randomRouter { return g.routers[g.rng.IntN(len(g.routers))] }

// segments are those of a sync group, or one.
func (g *generator) segments() []string {
	if g.grouped {
		return []string{"eth0", "eth1"}
	}
	return []string{"eth0"}
}

func (g *generator) setup() {
	g.grouped = g.rng.IntN(2) == 0
	g.auth = g.pick("none", "pass:secret", "ah:secret")
	g.advert = time.Duration(1+g.rng.IntN(2)) * time.Second
	priorities := []int{50, 100, 100, 150, 200, 254, 255}
	if g.grouped {
		priorities = priorities[:6] // an owner in a group is not for this simulation
	}
	for n := range 2 + g.rng.IntN(3) {
		r := &randomRouter{name: fmt.Sprintf("r%d", n+1), down: map[string]bool{}, bare: map[string]bool{}}
		g.routers = append(g.routers, r)
		g.line("router %s eth0=%s eth1=%s", r.name, r.address("eth0"), r.address("eth1"))
		options := ""
		switch g.rng.IntN(6) {
		case 0:
			options = " preempt=no"
		case 1:
			options = fmt.Sprintf(" delay=%ds", 1+g.rng.IntN(5))
		case 2:
			options = " lastword=yes noanswer=yes"
		}
		priority := priorities[g.rng.IntN(len(priorities))]
		for s, segment := range g.segments() {
			g.line("instance %s VI_%d iface=%s vrid=%d prio=%d advert=%v auth=%s vip=10.%d.0.100%s",
				r.name, s+1, segment, 51+s, priority, g.advert, g.auth, 7+s, options)
		}
		track := "VI_1"
		if g.grouped {
			track = "G1"
			g.line("group %s G1 VI_1 VI_2", r.name)
		}
		g.line("script %s chk rise=%d fall=%d", r.name, 1+g.rng.IntN(2), 1+g.rng.IntN(2))
		g.line("track %s %s script chk weight=%d", r.name, track, []int{0, -60, 30}[g.rng.IntN(3)])
		if g.rng.IntN(4) == 0 {
			g.line("startup %s %v", r.name, g.time(5*time.Second))
		}
		g.line("hostdelay %s %v", r.name, g.time(200*time.Millisecond))
	}
	for _, r := range g.routers {
		g.start(r, "start")
		g.line("run %v", g.time(3*time.Second))
	}
}

func (g *generator) start(r *randomRouter, verb string) {
	g.line("%s %s", verb, r.name)
	g.line("result %s chk ok", r.name)
	r.up, r.failed = true, false
}

// trouble is one thing that happens.
func (g *generator) trouble() {
	r, other := g.router(), g.router()
	segment := g.pick(g.segments()...)
	switch g.rng.IntN(14) {
	case 0, 1:
		g.line("net loss=0.%d dup=0.%d delay=1ms..%dms", g.rng.IntN(7), g.rng.IntN(5), 2+g.rng.IntN(200))
	case 2:
		if r != other {
			g.line("%s %s %s %s", g.pick("cut", "split"), segment, r.name, other.name)
		}
	case 3, 4:
		g.outage(r)
	case 5, 6:
		r.down[segment] = !r.down[segment]
		g.line("link %s %s %s", r.name, segment, choose(r.down[segment], "down", "up"))
	case 7, 8:
		r.failed = !r.failed
		g.results(r)
	case 9:
		g.line("lost %s VI_1", r.name)
	case 10:
		g.line("failover %s VI_1", r.name)
	case 11:
		r.bare[segment] = !r.bare[segment]
		g.line("addr %s %s %s", r.name, segment, r.address(segment))
	case 12:
		g.regroup(r)
	case 13:
		// Members of one group with different priorities do not work well.
		priority := []int{40, 100, 120, 220}[g.rng.IntN(4)]
		for s := range g.segments() {
			g.line("instance %s VI_%d prio=%d", r.name, s+1, priority)
		}
		g.line("reload %s", r.name)
	}
}

// regroup takes the sync group apart and puts it together again in two reloads.
func (g *generator) regroup(r *randomRouter) {
	if !g.grouped {
		return
	}
	g.line("drop %s G1", r.name)
	g.line("reload %s", r.name)
	g.line("run %v", g.time(8*time.Second))
	g.line("group %s G1 VI_1 VI_2", r.name)
	g.line("reload %s", r.name)
}

// outage ends a process or brings it back. A resumed one was away for less than
// an advert interval.
func (g *generator) outage(r *randomRouter) {
	switch {
	case !r.up:
		g.start(r, "start")
	case g.rng.IntN(3) == 0:
		g.line("kill %s", r.name)
		g.line("run %v", g.time(g.advert))
		g.start(r, "resume")
	default:
		g.line("%s %s", g.pick("stop", "kill"), r.name)
		r.up = false
	}
}

// results are enough runs of the script to settle its verdict.
func (g *generator) results(r *randomRouter) {
	for range 2 {
		g.line("result %s chk %s", r.name, choose(r.failed, g.pick("fail", "timeout", "signal"), "ok"))
	}
}

func choose(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// settle heals the network, some of the time also the hosts, and waits longer
// than any election takes.
func (g *generator) settle() {
	g.line("heal")
	if g.rng.IntN(2) == 0 {
		for _, r := range g.routers {
			for _, segment := range g.segments() {
				g.line("link %s %s up", r.name, segment)
				r.down[segment], r.bare[segment] = false, false
				g.line("addr %s %s %s", r.name, segment, r.address(segment))
			}
			r.failed = false
			g.results(r)
		}
	}
	g.line("run 45s")
}
