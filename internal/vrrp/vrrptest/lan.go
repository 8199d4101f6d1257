package vrrptest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// epoch is when every simulation begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// defaultDelay is a quiet segment's.
const defaultDelay = 500 * time.Microsecond

// lan is the simulation: segments are named as the interfaces on them.
type lan struct {
	now     time.Time
	rng     *rand.Rand
	queue   queue
	seq     int
	routers []*router
	cuts    map[path]bool

	loss, dup          float64
	delayMin, delayMax time.Duration
	disturbed          time.Time // when something happened last that elections must settle from

	out               strings.Builder
	said              map[string]bool // said since the last command
	adverts, announce bool            // to be shown
	violation         error
}

// path is one direction between two routers on a segment.
type path struct {
	segment  string
	from, to *router
}

func newLAN() *lan {
	l := &lan{now: epoch, disturbed: epoch, cuts: map[path]bool{}, said: map[string]bool{}}
	l.rng = rand.New(rand.NewPCG(0, 0))
	l.heal()
	return l
}

func (l *lan) heal() {
	clear(l.cuts)
	l.loss, l.dup = 0, 0
	l.delayMin, l.delayMax = defaultDelay, defaultDelay
}

// clean tells whether everybody hears everybody.
func (l *lan) clean() bool { return len(l.cuts) == 0 && l.loss == 0 }

func (l *lan) find(name string) *router {
	for _, r := range l.routers {
		if r.name == name {
			return r
		}
	}
	return nil
}

// event happens at a time; seq orders those of the same time.
type event struct {
	at  time.Time
	seq int
	do  func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(a, b int) bool {
	if q[a].at.Equal(q[b].at) {
		return q[a].seq < q[b].seq
	}
	return q[a].at.Before(q[b].at)
}
func (q queue) Swap(a, b int) { q[a], q[b] = q[b], q[a] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func (l *lan) at(at time.Time, do func()) {
	l.seq++
	heap.Push(&l.queue, event{at, l.seq, do})
}

// run lets time pass.
func (l *lan) run(d time.Duration) {
	end := l.now.Add(d)
	for len(l.queue) > 0 && !l.queue[0].at.After(end) && l.violation == nil {
		e := heap.Pop(&l.queue).(event)
		l.now = e.at
		e.do()
		l.check()
	}
	l.now = end
	l.check()
}

// transmit carries a packet to all other routers on the segment.
func (l *lan) transmit(from *router, segment string, packet []byte) {
	if !from.links[segment] {
		return
	}
	for _, to := range l.routers {
		if _, there := to.links[segment]; !there || to == from || l.cuts[path{segment, from, to}] {
			continue
		}
		copies := 1
		if l.dup > 0 && l.rng.Float64() < l.dup {
			copies = 2
		}
		for range copies {
			if l.loss > 0 && l.rng.Float64() < l.loss {
				continue
			}
			l.at(l.now.Add(l.delay()), func() { to.receive(segment, packet) })
		}
	}
}

func (l *lan) delay() time.Duration {
	if l.delayMax <= l.delayMin {
		return l.delayMin
	}
	return l.delayMin + time.Duration(l.rng.Int64N(int64(l.delayMax-l.delayMin)))
}

// say writes one line of output.
func (l *lan) say(format string, args ...any) {
	fmt.Fprintf(&l.out, "%8.3f  %s\n", l.now.Sub(epoch).Seconds(), fmt.Sprintf(format, args...))
}

// sayOnce writes it unless it was said since the last command.
func (l *lan) sayOnce(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !l.said[line] {
		l.said[line] = true
		l.say("%s", line)
	}
}

func (l *lan) show(r *router, a vrrp.Action) {
	switch a := a.(type) {
	case vrrp.SendPacket:
		l.showAdvert(r, a)
	case vrrp.Announce:
		if l.announce {
			l.say("%s %s announces %v %d times", r.name, a.Instance, a.Addrs, a.Repeat)
		}
	case vrrp.Transition:
		l.say("%s %s %v -> %v, priority %d: %s", r.name, a.Instance, a.From, a.To, a.Priority, a.Reason)
	case vrrp.GroupTransition:
		l.say("%s group %s %v: %s", r.name, a.Group, a.To, a.Reason)
	case vrrp.PriorityChanged:
		l.say("%s %s priority %d -> %d", r.name, a.Instance, a.From, a.To)
	case vrrp.ScriptChanged:
		l.say("%s script %s up=%v: %s", r.name, a.Script, a.Up, a.Detail)
	case vrrp.Ignored:
		name := a.Instance
		if name == "" {
			name = "-"
		}
		l.sayOnce("%s %s ignores %v: %v %s", r.name, name, a.From, a.Reason, a.Detail)
	case vrrp.Contended:
		l.sayOnce("%s %s contended by %v with priority %d", r.name, a.Instance, a.From, a.Priority)
	}
}

func (l *lan) showAdvert(r *router, a vrrp.SendPacket) {
	if !l.adverts && a.Priority != 0 {
		return
	}
	var p vrrp.Packet
	if err := p.Decode(a.Packet); err != nil {
		l.fail("%s %s sent what does not decode: %v", r.name, a.Instance, err)
		return
	}
	ah := ""
	if p.AH {
		ah = fmt.Sprintf(", AH sequence %d", p.Sequence)
	}
	l.say("%s %s sends priority %d from %v%s", r.name, a.Instance, a.Priority, p.Src, ah)
}
