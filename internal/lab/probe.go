package lab

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Probe asks a service again and again, at a steady beat whether or not
// answers come, to see how long it is away. Each question has a connection of
// its own.
type Probe struct {
	host   *Host
	target netip.AddrPort
	// How often to ask.
	interval time.Duration

	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	beats []beat
}

// beat is one question; answered says how it went once it is known.
type beat struct {
	sent     time.Time
	answered bool
	server   string
}

// probeTimeout is how long one question waits. It is shorter than TCP's first
// retransmission (1 s), so that a question is answered at once or not at all.
const probeTimeout = 500 * time.Millisecond

// Probe starts asking at every interval. End it with Stop.
func (h *Host) Probe(target netip.AddrPort, interval time.Duration) *Probe {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Probe{host: h, target: target, interval: interval, cancel: cancel, done: make(chan struct{})}
	go p.run(ctx)
	return p
}

func (p *Probe) run(ctx context.Context) {
	defer close(p.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			wg.Go(p.ask)
		}
	}
}

func (p *Probe) ask() {
	b := beat{sent: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	a, err := p.host.get(ctx, netip.AddrPort{}, p.target, "/", p.target.Addr().String())
	b.answered, b.server = err == nil, a.Server
	p.mu.Lock()
	p.beats = append(p.beats, b)
	p.mu.Unlock()
}

// ProbeReport is what a probe saw in a span of time.
type ProbeReport struct {
	Sent, Answered int
	ByServer       map[string]int
	// Gap is the longest time between two questions that were answered one
	// after the other, counted from when they were sent; GapStart is the
	// earlier of the two. Time in which no question was sent, because this
	// machine was too busy, is no evidence and not part of it: it is in Blind.
	Gap      time.Duration
	GapStart time.Time
	Blind    time.Duration // over the whole span
}

// blindAfter is how long after a question the probe still counts as watching.
const blindAfter = 20 * time.Millisecond

// Since reports on the questions sent after t whose fate is known.
func (p *Probe) Since(t time.Time) ProbeReport {
	var beats []beat
	p.mu.Lock()
	for _, b := range p.beats {
		if !b.sent.Before(t) {
			beats = append(beats, b)
		}
	}
	p.mu.Unlock()
	slices.SortFunc(beats, func(a, b beat) int { return a.sent.Compare(b.sent) })
	r := ProbeReport{ByServer: map[string]int{}}
	var answered time.Time // the last question that was
	var gap time.Duration  // watched since then
	for i, b := range beats {
		r.Sent++
		if i > 0 {
			step := b.sent.Sub(beats[i-1].sent)
			watched := min(step, max(blindAfter, 2*p.interval))
			gap += watched
			r.Blind += step - watched
		}
		if !b.answered {
			continue
		}
		r.Answered++
		r.ByServer[b.server]++
		if !answered.IsZero() && gap > r.Gap {
			r.Gap, r.GapStart = gap, answered
		}
		answered, gap = b.sent, 0
	}
	return r
}

// AwaitSteady waits until the service has answered every question of the last
// span without a miss, all of them sent after t.
func (p *Probe) AwaitSteady(ctx context.Context, t time.Time, span time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// A question's fate is known after probeTimeout at the latest.
		from := time.Now().Add(-probeTimeout - span)
		if r := p.Since(from); from.After(t) && r.Sent > 0 && r.Answered == r.Sent {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop ends the probe and waits for the last answers.
func (p *Probe) Stop() {
	p.cancel()
	<-p.done
}
