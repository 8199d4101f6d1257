package connsyncio

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// dialTime is how long a master may take to answer.
const dialTime = 3 * time.Second

// fetching is one catch-up of this backup.
type fetching struct {
	d      *Daemon
	what   connsync.Fetch
	ctx    context.Context
	cancel context.CancelFunc
	link   *link

	proof  connsync.Proof
	resume connsync.Cursor
	total  uint64 // that came on this stream
}

// newFetching begins a catch-up; the daemon's lock is held.
func (d *Daemon) newFetching(ctx context.Context, f connsync.Fetch, now time.Time) *fetching {
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	if !f.Verify {
		have := uint64(0)
		if f.Resume != (connsync.Cursor{}) && d.catchUp != nil {
			have = d.catchUp.Have
		}
		d.catchUp = &snapshot.CatchUp{From: f.From, State: "running", Since: now, Have: have}
	}
	return &fetching{d: d, what: f, ctx: ctx, cancel: cancel, link: d.link, resume: f.Resume}
}

// run makes the catch-up and says how it ended.
func (f *fetching) run() {
	err := f.fetch()
	if f.ctx.Err() != nil && err != nil {
		err = context.Cause(f.ctx)
	}
	f.cancel()
	d, now := f.d, time.Now()
	d.mu.Lock()
	d.fetch = nil
	d.backup.Fetched(now, f.what, f.proof, f.resume, err)
	if c := d.catchUp; c != nil && !f.what.Verify {
		c.Until, c.State = now, "complete"
		if err != nil {
			c.State, c.Error = "failed", err.Error()
		}
	}
	d.mu.Unlock()
	d.wake()
	switch {
	case err != nil:
		d.log.Warn("catch-up failed", "peer", f.what.From.String(), "connections", f.total, "reason", err)
	case !f.what.Verify:
		d.log.Info("catch-up complete", "peer", f.what.From.String(), "connections", f.total)
	}
}

func (f *fetching) fetch() error {
	c, err := f.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(f.ctx, func() { c.Close() })()
	in, out, err := f.handshake(c)
	if err != nil {
		return err
	}
	mark, err := f.d.table.Mark()
	if err != nil {
		return wrap("clock", err)
	}
	typ := connsync.FrameRequest
	if f.what.Verify {
		typ = connsync.FrameVerify
	}
	if _, err := c.Write(connsync.NewFrameWriter(out).Finish(typ, f.resume, f.what.Life)); err != nil {
		return err
	}
	return f.read(c, in, mark)
}

func (f *fetching) dial() (c net.Conn, err error) {
	to := peerAddr(f.d.spec, f.what)
	err = f.d.enter(func() error {
		dialer := net.Dialer{
			Timeout: dialTime, Control: onDevice(f.d.spec.Interface),
			LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.link.source, 0)),
		}
		c, err = dialer.DialContext(f.ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: is TCP port %d open there?", err, to.Port())
	}
	return c, nil
}

// handshake says hello and returns the seals of what comes and of what is sent.
func (f *fetching) handshake(c net.Conn) (in, out *connsync.Seal, err error) {
	if err := c.SetDeadline(time.Now().Add(streamStep)); err != nil {
		return nil, nil, err
	}
	h := connsync.Hello{Keyed: f.d.key != nil, SyncID: f.what.SyncID}
	rand.Read(h.Nonce[:])
	hello, welcome := h.Append(nil), make([]byte, connsync.WelcomeLen)
	if _, err := c.Write(hello); err != nil {
		return nil, nil, err
	}
	if _, err := io.ReadFull(c, welcome); err != nil {
		return nil, nil, fmt.Errorf("catch-up: no answer: %w", err)
	}
	w, err := connsync.ParseWelcome(welcome)
	if err != nil {
		return nil, nil, err
	}
	if err := w.Status.Err(); err != nil {
		return nil, nil, err
	}
	switch {
	case w.Keyed != h.Keyed:
		return nil, nil, errors.New("catch-up: the master does not say the same about its key")
	case f.what.Resume != connsync.Cursor{} && w.Life != f.what.Life:
		f.resume = connsync.Cursor{}
	}
	f.d.mu.Lock()
	if cu := f.d.catchUp; cu != nil && !f.what.Verify {
		cu.Want = w.Entries
	}
	f.d.mu.Unlock()
	if h.Keyed {
		f.proof = connsync.Proof{Life: w.Life, Seq: w.Seq}
	}
	out, in, err = connsync.Seals(f.d.key, hello, welcome)
	return in, out, err
}

// read takes the frames. The sender is in the life that it claims as soon as
// the first seal is right.
func (f *fetching) read(c net.Conn, in *connsync.Seal, mark uint32) error {
	claimed := f.proof
	f.proof = connsync.Proof{}
	r, buf := bufio.NewReaderSize(c, connsync.MaxFrame), make([]byte, connsync.MaxFrame)
	conns, p := make([]lvs.Connection, 0, changesLen), placer{d: f.d}
	for {
		if err := c.SetReadDeadline(time.Now().Add(streamStep)); err != nil {
			return err
		}
		frame, err := readFrame(r, buf, in)
		if errors.Is(err, io.EOF) && f.total == 0 && in != nil {
			return errors.New("the master closed the stream when it saw our proof: its sync_key is another one, or it is busy")
		}
		if err != nil {
			return fmt.Errorf("catch-up: %w", err)
		}
		f.proof = claimed
		switch frame.Type {
		case connsync.FrameConnections:
		case connsync.FrameEnd:
			if frame.Total != f.total {
				return fmt.Errorf("catch-up: %d connections came, the master sent %d", f.total, frame.Total)
			}
			f.whole()
			return nil
		default:
			return fmt.Errorf("catch-up: a frame of type %d is not for a backup", frame.Type)
		}
		if conns, err = frame.Connections(conns[:0]); err != nil {
			return err
		}
		if err := p.place(conns, mark); err != nil {
			return err
		}
		f.came(&frame)
	}
}

// whole notes how many the master really sent: what its welcome said was about
// a second old.
func (f *fetching) whole() {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if c := f.d.catchUp; c != nil && !f.what.Verify {
		c.Want = c.Have
	}
}

// came counts a frame that has been entered.
func (f *fetching) came(frame *connsync.Frame) {
	f.resume = frame.Cursor
	f.total += uint64(frame.Count)
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if c := f.d.catchUp; c != nil {
		c.Have += uint64(frame.Count)
	}
}
