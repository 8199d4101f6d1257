package screen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
)

// Spec says what is shown and where.
type Spec struct {
	Watch  *watch.Watch
	Filter *session.Filter // at first
	Expect session.Expect
	In     io.Reader
	Out    io.Writer
}

// Run shows the screen until somebody presses q, or ctx ends.
func Run(ctx context.Context, s Spec) error {
	m := NewModel(s.Expect.Source, &watched{Spec: s}, s.Filter)
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(s.In), tea.WithOutput(s.Out), tea.WithoutSignalHandler()).Run()
	if err != nil && ctx.Err() == nil && !errors.Is(err, tea.ErrInterrupted) {
		return fmt.Errorf("screen: %w", err)
	}
	return nil
}

// watched is the Source of a Watch.
type watched struct {
	Spec
	looked  time.Time // for findings
	finding string
}

// findingsEvery is how often it is looked for findings: it may mean to look at
// every session.
const findingsEvery = 5 * time.Second

// Picture implements Source.
func (w *watched) Picture(q Query) Picture {
	start := time.Now()
	p := Picture{}
	if q.Summary {
		r := w.Watch.Report(q.Filter, 10, session.Expect{})
		p.At, p.Matching = r.Time, r.Sessions+r.Templates
		all := summaryLines(&r)
		p.Lines = all[min(q.Offset, len(all)):]
	} else {
		b := newBest(q)
		w.Watch.Walk(q.Filter, func(s *session.Session, _ time.Time) bool {
			p.Matching++
			b.offer(s)
			return true
		})
		p.Rows = b.from(q.Offset)
	}
	h := w.Watch.Health()
	p.At, p.Sessions, p.Directors = h.Now, h.Sessions, len(h.Table.Directors)
	p.Trouble = w.trouble(&h)
	p.Took = time.Since(start)
	return p
}

// trouble is what should be known besides the sessions.
func (w *watched) trouble(h *watch.Health) string {
	if time.Since(w.looked) > findingsEvery {
		w.looked, w.finding = time.Now(), ""
		for _, f := range w.Watch.Findings(w.Expect) {
			if w.finding != "" {
				w.finding += "; "
			}
			w.finding += f.String()
		}
	}
	text := w.finding
	if h.Overruns > 0 {
		text += fmt.Sprintf("  lost here, not read in time: %d", h.Overruns)
	}
	if dropped := h.Commands.Dropped + h.Webhooks.Dropped; dropped > 0 {
		text += fmt.Sprintf("  triggers dropped: %d", dropped)
	}
	return strings.TrimSpace(text)
}

func summaryLines(r *watch.Report) []string {
	lines := []string{fmt.Sprintf("%-44s %9s %9s %9s  %s", "virtual server", "active", "inactive", "templates", "states")}
	row := func(name string, c session.Counts) {
		var states []string
		for _, s := range slices.Sorted(maps.Keys(c.States)) {
			states = append(states, fmt.Sprintf("%s %d", s, c.States[s]))
		}
		lines = append(lines, fmt.Sprintf("%-44s %9d %9d %9d  %s", name, c.Active, c.Inactive, c.Templates, strings.Join(states, ", ")))
	}
	for _, v := range r.Virtuals {
		row(v.Protocol.KernelName()+" "+v.Virtual.String(), v.Counts)
		for _, d := range v.Servers {
			row("  -> "+d.Dest.String(), d.Counts)
		}
	}
	lines = append(lines, "", fmt.Sprintf("%-44s %9s %9s  %s", "director", "datagrams", "announced", "sessions"))
	for _, d := range r.DirectorList {
		text := fmt.Sprintf("%-44s %9d %9d  %d", fmt.Sprintf("%s syncid %d version %d", d.Director, d.SyncID, d.Version), d.Datagrams, d.Announcements, d.Sessions)
		if d.Kaname {
			text += fmt.Sprintf(" of %d (kaname, %d datagrams lost)", d.Entries, d.Lost)
		}
		lines = append(lines, text)
	}
	lines = append(lines, "", fmt.Sprintf("%-44s %9s", "client", "sessions"))
	for _, c := range r.Clients {
		lines = append(lines, fmt.Sprintf("%-44s %9d", c.Client, c.Sessions))
	}
	return lines
}
