package lab

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Load is a crowd of clients on one host.
type Load struct {
	Target   netip.AddrPort
	Clients  int           // how many at a time; 0 is 1
	Duration time.Duration // clients start no request after it
	// KeepAlive uses one connection per client as long as it lasts; otherwise
	// every request has a connection of its own.
	KeepAlive bool
	Pause     time.Duration // between two requests of a client
	Timeout   time.Duration // of a request with its connection; 0 is 5 s
	Path      string        // "" is "/"
}

// LoadResult is what became of every request of a Load.
type LoadResult struct {
	Took     time.Duration
	Outcomes map[Outcome]int
	ByServer map[string]int // answers of OK requests
	// MaxGap is the longest time in which no client got an answer, between
	// the first and the last one.
	MaxGap time.Duration
	Errors []LoadError // every failure, in the order they were noticed
}

// LoadError is one failed request.
type LoadError struct {
	At      time.Duration // since the start of the load
	Client  int
	Local   netip.AddrPort // zero when there was no connection
	Outcome Outcome
	Err     error
}

// OK is the number of requests answered.
func (r *LoadResult) OK() int { return r.Outcomes[OK] }

// Failed is the number of requests not answered, or not well.
func (r *LoadResult) Failed() int { return len(r.Errors) }

// PerSecond is the rate of answers.
func (r *LoadResult) PerSecond() float64 { return float64(r.OK()) / r.Took.Seconds() }

// String is a summary on one line, followed by the first failures.
func (r *LoadResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ok, %d failed in %.1f s (%.0f a second, longest gap %s)", r.OK(), r.Failed(), r.Took.Seconds(), r.PerSecond(), r.MaxGap.Round(100*time.Microsecond))
	for _, name := range slices.Sorted(maps.Keys(r.ByServer)) {
		fmt.Fprintf(&b, "; %s %d", name, r.ByServer[name])
	}
	for i, e := range r.Errors {
		if i == 10 {
			fmt.Fprintf(&b, "\n  … %d more", len(r.Errors)-i)
			break
		}
		fmt.Fprintf(&b, "\n  at %.3f s, client %d from %s: %s: %v", e.At.Seconds(), e.Client, e.Local, e.Outcome, e.Err)
	}
	return b.String()
}

// Load runs the crowd to its end, or to that of ctx. A request under way at
// the end is waited for and counted.
func (h *Host) Load(ctx context.Context, l Load) *LoadResult {
	if l.Timeout == 0 {
		l.Timeout = 5 * time.Second
	}
	if l.Path == "" {
		l.Path = "/"
	}
	r := &crowd{host: h, load: l, start: time.Now(), result: LoadResult{Outcomes: map[Outcome]int{}, ByServer: map[string]int{}}}
	ending, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	var wg sync.WaitGroup
	for i := range max(1, l.Clients) {
		wg.Go(func() { r.client(ending, i) })
	}
	wg.Wait()
	r.result.Took = time.Since(r.start)
	return &r.result
}

// crowd is a Load under way.
type crowd struct {
	host  *Host
	load  Load
	start time.Time

	mu     sync.Mutex
	last   time.Time // of the last answer
	result LoadResult
}

func (r *crowd) client(ctx context.Context, id int) {
	var c *client
	defer func() {
		if c != nil {
			c.conn.Close()
		}
	}()
	for ctx.Err() == nil {
		var a Answer
		var err error
		c, a, err = r.request(c)
		r.count(id, a, err)
		if r.load.Pause > 0 {
			select {
			case <-time.After(r.load.Pause):
			case <-ctx.Done():
			}
		}
	}
}

// request makes one request, on the given connection if there is one, and
// returns the connection if it can serve again.
func (r *crowd) request(c *client) (*client, Answer, error) {
	deadline := time.Now().Add(r.load.Timeout)
	if c == nil {
		// Not the load's own context: a request that was begun is finished.
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		conn, err := r.host.Dial(ctx, r.load.Target)
		cancel()
		if err != nil {
			return nil, Answer{}, err
		}
		c = newClient(conn)
	}
	a, err := c.ask(r.load.Path, r.load.Target.Addr().String(), !r.load.KeepAlive, deadline)
	a.Local = c.local
	if err != nil || !r.load.KeepAlive {
		c.conn.Close()
		c = nil
	}
	return c, a, err
}

func (r *crowd) count(id int, a Answer, err error) {
	now := time.Now()
	outcome := classify(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Outcomes[outcome]++
	if err != nil {
		r.result.Errors = append(r.result.Errors, LoadError{At: now.Sub(r.start), Client: id, Local: a.Local, Outcome: outcome, Err: err})
		return
	}
	r.result.ByServer[a.Server]++
	if !r.last.IsZero() {
		r.result.MaxGap = max(r.result.MaxGap, now.Sub(r.last))
	}
	r.last = now
}
