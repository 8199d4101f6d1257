package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/screen"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
	"github.com/kaname-lb/kaname/internal/finding"
)

// findingsEvery is how often it is looked for findings with --findings.
const findingsEvery = 5 * time.Second

// show runs the watch and its view to their end.
func (w *watchCall) show(ctx context.Context, spec watch.Spec) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // the second signal kills
	var ln net.Listener
	if w.listen != "" {
		var err error
		if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", w.listen); err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
		defer ln.Close()
	}
	w.out = &lockedWriter{w: w.env.Stdout}
	w.follower = w.newFollower()
	if w.follower != nil {
		spec.Event, spec.Kinds = w.follower.Event, session.AllKinds
	}
	w.x = watch.New(spec)
	if w.follower != nil {
		w.follower.Done = w.x.Stop
	}
	if w.live {
		w.note("listening to " + w.expect.Source)
	}
	if ln != nil {
		w.note("serving http://" + ln.Addr().String() + "/")
	}
	return w.run(ctx, ln)
}

// run plays the watch, its view and its server, until one of them ends it.
func (w *watchCall) run(ctx context.Context, ln net.Listener) error {
	started := time.Now()
	inner, end := context.WithCancel(ctx)
	defer end()
	var beside sync.WaitGroup
	var runErr, serveErr error
	if ln != nil {
		beside.Go(func() { serveErr = (&watch.Server{Watch: w.x, Expect: w.expect}).Serve(inner, ln) })
	}
	if w.findings {
		beside.Go(func() { w.tellFindings(inner) })
	}
	finish := func() error { return nil }
	if w.follower != nil {
		finish = w.follower.Start(w.out)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runErr = w.x.Run(ctx)
	}()
	viewErr := w.view(ctx, ended)
	w.x.Stop()
	<-ended
	followErr := finish()
	end()
	beside.Wait()
	findErr := w.newFindings()
	w.note(w.lastLine(time.Since(started)))
	return errors.Join(runErr, viewErr, followErr, serveErr, findErr)
}

// view shows what was asked for and returns when it is over.
func (w *watchCall) view(ctx context.Context, ended <-chan struct{}) error {
	switch {
	case w.screen:
		return screen.Run(ctx, screen.Spec{
			Watch: w.x, Filter: w.chosen, Expect: w.expect, In: w.env.Stdin, Out: w.env.Stdout,
		})
	case w.every > 0:
		return w.repeat(ctx, ended)
	}
	w.wait(ctx, ended)
	w.endProgress()
	var err error
	if w.table || w.summary || w.json && !w.follow {
		err = w.print()
	}
	if !w.live && w.listen != "" && err == nil {
		<-ctx.Done() // a recording is served until somebody has seen enough
	}
	return err
}

// endProgress takes the progress line off the terminal.
func (w *watchCall) endProgress() {
	if w.recorded != nil && w.recorded.Progress != nil {
		fmt.Fprint(w.env.Stderr, "\r\x1b[K")
	}
}

// wait waits for the end of what is listened to, or for --for.
func (w *watchCall) wait(ctx context.Context, ended <-chan struct{}) {
	var over <-chan time.Time
	if w.lasting > 0 {
		over = time.After(w.lasting)
	}
	select {
	case <-ctx.Done():
	case <-ended:
	case <-over:
	}
}

// repeat prints the view again and again.
func (w *watchCall) repeat(ctx context.Context, ended <-chan struct{}) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	var over <-chan time.Time
	if w.lasting > 0 {
		over = time.After(w.lasting)
	}
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			return nil
		case <-over:
			return nil
		case <-tick.C:
		}
		if err := w.print(); err != nil || n == w.count {
			return err
		}
	}
}

func (w *watchCall) newFollower() *watch.Follower {
	if !w.follow {
		return nil
	}
	f := &watch.Follower{Filter: w.chosen, Format: watch.EventText, Count: w.count, Wait: !w.live}
	if w.json {
		f.Format = watch.EventJSON
	}
	return f
}

// tellFindings tells findings as they are made.
func (w *watchCall) tellFindings(ctx context.Context) {
	tick := time.NewTicker(findingsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := w.newFindings(); err != nil {
			return // the output is gone, and its writer says so
		}
	}
}

// newFindings tells the findings that have not been told: with --findings and
// --json as objects among the others, else on standard error.
func (w *watchCall) newFindings() error {
	var fs []finding.Finding
	for _, f := range w.x.Findings(w.expect) {
		if key := f.Rule + " " + f.Where.String(); !w.told[key] {
			w.told[key] = true
			fs = append(fs, f)
		}
	}
	if !w.findings || !w.json {
		writeFindings(w.env.Stderr, fs)
		return nil
	}
	for _, f := range fs {
		if err := json.NewEncoder(w.out).Encode(map[string]finding.Finding{"finding": f}); err != nil {
			return err
		}
	}
	return nil
}

// note prints a line about the watch itself.
func (w *watchCall) note(line string) {
	if !w.quiet && !w.screen {
		fmt.Fprintf(w.env.Stderr, "kaname: %s\n", line)
	}
}

// lockedWriter keeps lines of several writers apart.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
