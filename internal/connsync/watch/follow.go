package watch

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// followQueue is how many events may wait to be written.
const followQueue = 1 << 14

// Follower writes events as lines. Whoever tells it events does not wait for
// the terminal: of the present, what it cannot write in time is counted and
// left out.
type Follower struct {
	// Filter chooses the sessions, Format makes a line of an event.
	Filter *session.Filter
	Format func(e *session.Event) ([]byte, error)
	// Count ends it after that many events, 0 for never; Done is called then.
	Count int
	Done  func()
	// Wait makes Event wait for room. It is for recordings.
	Wait bool

	events chan session.Event
	taken  int
	missed atomic.Uint64
}

// Event takes an event; it is a Spec's Event.
func (f *Follower) Event(e *session.Event) {
	if f.Count > 0 && f.taken == f.Count || !f.Filter.Match(&e.Session, e.Time) {
		return
	}
	if f.taken++; f.taken == f.Count {
		defer f.Done()
	}
	if f.Wait {
		f.events <- *e
		return
	}
	select {
	case f.events <- *e:
	default:
		f.missed.Add(1)
	}
}

// Missed is how many events could not be written in time.
func (f *Follower) Missed() uint64 { return f.missed.Load() }

// Start makes the follower write to w, until the returned function is called:
// after the last event. It waits for what is still to be written, and returns
// the first error of w.
func (f *Follower) Start(w io.Writer) (finish func() error) {
	f.events = make(chan session.Event, followQueue)
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		out := bufio.NewWriter(w)
		for e := range f.events {
			if err != nil {
				continue // nobody reads any more; nobody must be kept waiting either
			}
			line, ferr := f.Format(&e)
			if _, err = out.Write(line); err == nil && len(f.events) == 0 {
				err = out.Flush()
			}
			if err == nil {
				err = ferr
			}
			if err != nil && f.Done != nil {
				f.Done()
			}
		}
		if err == nil {
			err = out.Flush()
		}
	})
	return func() error {
		close(f.events)
		wg.Wait()
		return err
	}
}

// EventJSON is a Format: one JSON object a line.
func EventJSON(e *session.Event) ([]byte, error) { return NewFields(e).JSON(0) }

// EventText is a Format for people: time, event, protocol, source, virtual,
// destination, state, director.
func EventText(e *session.Event) ([]byte, error) {
	s := &e.Session
	state, dest, from := s.StateName(), s.Dest.String(), directorName(s.Director)
	if e.Kinds&(session.Changed|session.Moved) != 0 {
		if old := oldState(e); old != state {
			state = old + "->" + state
		}
		if e.Before.Dest != s.Dest {
			dest = e.Before.Dest.String() + "->" + dest
		}
		if e.Before.Director != s.Director {
			from = directorName(e.Before.Director) + "->" + from
		}
	}
	return fmt.Appendf(nil, "%s %-9s %-4s %-21s %-21s %-21s %-23s %s\n", e.Time.Local().Format("2006-01-02 15:04:05.000"),
		e.Kind(), s.Protocol.KernelName(), s.Client, s.Virtual, dest, state, from), nil
}
