package keeper

import "time"

// Verdict is how the next director is started after a crash.
type Verdict struct {
	// Resume: the director goes on with what it had, as if nothing happened.
	Resume bool
	// Release: what the dead director left on the host is taken away before
	// the delay, so that it cannot collide with a peer that takes over.
	Release bool
	Delay   time.Duration
}

const (
	// calm is how long a director must have run for its crash to count as the first.
	calm     = 10 * time.Second
	maxDelay = 30 * time.Second
)

// policy decides on restarts. It is pure: Crashed takes the time.
type policy struct {
	crashes int       // in a row
	last    time.Time // of the last crash
}

// Crashed answers a crash at now; ready says whether that director had served.
// The first crash of a serving director resumes at once. A second one soon
// after starts afresh at once, since resuming may be what kills it. From the
// third on the addresses are released and the pause doubles.
func (p *policy) Crashed(now time.Time, ready bool) Verdict {
	if p.crashes > 0 && now.Sub(p.last) > calm {
		p.crashes = 0
	}
	p.crashes++
	p.last = now
	switch {
	case p.crashes == 1 && ready:
		return Verdict{Resume: true}
	case p.crashes <= 2:
		return Verdict{}
	}
	// The pause is below calm for a while and then above it; count the pause in,
	// else a director that crashes after every long pause would look calm.
	delay := min(time.Second<<min(p.crashes-3, 10), maxDelay)
	p.last = now.Add(delay)
	return Verdict{Release: true, Delay: delay}
}
