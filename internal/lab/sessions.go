package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Echo is a TCP server in a host that sends back what it gets.
type Echo struct {
	ln net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
	gone  bool
}

// Echo starts an echo server in the host. It ends with the host, or by Close.
func (h *Host) Echo(listen string) (*Echo, error) {
	ln, err := h.Listen("tcp4", listen)
	if err != nil {
		return nil, err
	}
	e := &Echo{ln: ln, conns: map[net.Conn]bool{}}
	go e.accept()
	h.onLose(e.Close)
	return e, nil
}

func (e *Echo) accept() {
	for {
		c, err := e.ln.Accept()
		if err != nil {
			return // closed
		}
		if e.keep(c) {
			go e.serve(c)
		}
	}
}

func (e *Echo) keep(c net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		_ = c.Close() // the host is lost
		return false
	}
	e.conns[c] = true
	return true
}

func (e *Echo) serve(c net.Conn) {
	defer c.Close()
	// The error is the client's end, which is for the client to judge.
	_, _ = io.Copy(c, c)
	e.mu.Lock()
	delete(e.conns, c)
	e.mu.Unlock()
}

// Connections is the number of connections that are open now.
func (e *Echo) Connections() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

// Push writes b to every open connection: the server speaks first.
func (e *Echo) Push(b []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for c := range e.conns {
		if _, err := c.Write(b); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Close ends the server and every connection.
func (e *Echo) Close() {
	_ = e.ln.Close() // a second Close finds it closed
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone = true
	for c := range e.conns {
		_ = c.Close() // its peer notices, which is all that is wanted
	}
}

// Sessions are TCP connections that a host holds open to an Echo.
type Sessions struct {
	conns []*sessionConn
}

type sessionConn struct {
	net.Conn
	sent uint64
	err  error // the first; the connection is out of use then
}

// Open opens n connections, some at a time, and exchanges a first word on
// each. On error the ones that were opened are closed.
func (h *Host) Open(ctx context.Context, to netip.AddrPort, n int) (*Sessions, error) {
	s := &Sessions{conns: make([]*sessionConn, n)}
	errs := make([]error, n)
	slots := make(chan struct{}, 128)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := h.Dial(ctx, to)
			if err != nil {
				errs[i] = err
				return
			}
			s.conns[i] = &sessionConn{Conn: c}
			deadline, ok := ctx.Deadline()
			if !ok {
				deadline = time.Now().Add(time.Minute)
			}
			errs[i] = s.conns[i].exchange(deadline)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Close()
		return nil, fmt.Errorf("host %s: %d sessions to %s: %w", h.spec.Name, n, to, err)
	}
	return s, nil
}

// exchange sends a word and waits for it to come back.
func (c *sessionConn) exchange(deadline time.Time) error {
	if c.err != nil {
		return c.err
	}
	c.sent++
	var out, in [8]byte
	binary.BigEndian.PutUint64(out[:], c.sent)
	c.err = c.SetDeadline(deadline)
	if c.err == nil {
		_, c.err = c.Write(out[:])
	}
	if c.err == nil {
		_, c.err = io.ReadFull(c, in[:])
	}
	if c.err == nil && in != out {
		c.err = fmt.Errorf("word %x came back as %x", out, in)
	}
	return c.err
}

// SessionResult is what became of Sessions under traffic.
type SessionResult struct {
	Exchanges int
	// MaxWait is the longest time that a word was under way.
	MaxWait time.Duration
	Failed  []error // by connection, with its local address
}

// String is a summary with the first failures.
func (r *SessionResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d exchanges, longest %s, %d connections failed", r.Exchanges, r.MaxWait.Round(time.Millisecond), len(r.Failed))
	for _, err := range r.Failed[:min(len(r.Failed), 5)] {
		fmt.Fprintf(&b, "\n  %v", err)
	}
	return b.String()
}

// Talk exchanges words on every connection, one every pause, until ctx ends;
// what is under way then is waited for as long as patience lasts.
func (s *Sessions) Talk(ctx context.Context, pause, patience time.Duration) *SessionResult {
	r := &SessionResult{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, c := range s.conns {
		wg.Go(func() {
			start := time.NewTimer(pause * time.Duration(i) / time.Duration(len(s.conns)))
			defer start.Stop()
			for {
				select {
				case <-start.C:
					start.Reset(pause)
				case <-ctx.Done():
					return
				}
				began := time.Now()
				err := c.exchange(began.Add(patience))
				mu.Lock()
				r.Exchanges++
				r.MaxWait = max(r.MaxWait, time.Since(began))
				if err != nil {
					r.Failed = append(r.Failed, fmt.Errorf("%s: %w", c.LocalAddr(), err))
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return r
}

// Exchange exchanges one word on every connection.
func (s *Sessions) Exchange(patience time.Duration) *SessionResult {
	r := &SessionResult{}
	deadline := time.Now().Add(patience)
	errs := make([]error, len(s.conns))
	var wg sync.WaitGroup
	for i, c := range s.conns {
		wg.Go(func() {
			if err := c.exchange(deadline); err != nil {
				errs[i] = fmt.Errorf("%s: %w", c.LocalAddr(), err)
			}
		})
	}
	began := time.Now()
	wg.Wait()
	r.Exchanges, r.MaxWait = len(s.conns), time.Since(began)
	r.Failed = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	return r
}

// Expect reads b, which the server pushes, on every connection.
func (s *Sessions) Expect(b []byte, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	errs := make([]error, len(s.conns))
	var wg sync.WaitGroup
	for i, c := range s.conns {
		wg.Go(func() {
			got := make([]byte, len(b))
			err := c.SetDeadline(deadline)
			if err == nil {
				_, err = io.ReadFull(c, got)
			}
			if err == nil && !slices.Equal(got, b) {
				err = fmt.Errorf("got %q, want %q", got, b)
			}
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", c.LocalAddr(), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Len is the number of connections.
func (s *Sessions) Len() int { return len(s.conns) }

// Local is the local address of connection i.
func (s *Sessions) Local(i int) netip.AddrPort {
	a, _ := netip.ParseAddrPort(s.conns[i].LocalAddr().String())
	return a
}

// Close closes every connection.
func (s *Sessions) Close() {
	for _, c := range s.conns {
		if c != nil {
			_ = c.Close() // its peer notices, which is all that is wanted
		}
	}
}
