package connsyncio

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

const (
	// maxStreams is how many backups fetch at a time, maxCallers how many may be
	// about to begin.
	maxStreams = 2
	maxCallers = 16
	// Each message of a stream takes streamStep at most, and all of it streamTime.
	streamStep = 10 * time.Second
	streamTime = 5 * time.Minute
	// partLen connections fit one frame, unless they are of IPv6.
	partLen = 1024
)

// streams are the catch-up connections that are open.
type streams struct {
	callers map[net.Conn]*caller
	serving int
}

// caller is one who has connected; serving says that he has asked properly.
type caller struct {
	since   time.Time
	serving bool
}

// serve listens for backups as long as the daemon is a master with a link.
func (w *work) serve(ctx context.Context) {
	d := w.d
	d.mu.Lock()
	l, wanted := d.link, d.spec.CatchUp && d.role.master
	d.mu.Unlock()
	switch {
	case w.unserve != nil && (l == nil || !wanted):
		w.unserve()
		w.unserve = nil
	case w.unserve == nil && l != nil && wanted:
		listener, err := d.listen(ctx, l)
		d.note("listen", err)
		if err != nil {
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		w.wg.Go(func() { d.accept(ctx, listener) })
		w.unserve = func() {
			cancel()
			listener.Close()
		}
	}
}

// listen listens where the announcements come from, on the interface alone.
func (d *Daemon) listen(ctx context.Context, l *link) (listener net.Listener, err error) {
	err = d.enter(func() error {
		lc := net.ListenConfig{Control: onDevice(d.spec.Interface)}
		listener, err = lc.Listen(ctx, "tcp", netip.AddrPortFrom(l.source, d.spec.CatchUpPort).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("interface %s: listen for catch-up: %w", d.spec.Interface, err)
	}
	return listener, nil
}

// onDevice binds sockets to an interface.
func onDevice(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name)
		}); e != nil {
			return e
		}
		return err
	}
}

// accept serves backups until the listener is closed; the streams end with ctx.
func (d *Daemon) accept(ctx context.Context, listener net.Listener) {
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		c, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files and the like: it passes
			select {
			case <-ctx.Done():
				return
			case <-time.After(checkEvery):
			}
			continue
		}
		d.admit(c)
		streams.Go(func() {
			defer d.dismiss(c)
			ctx, cancel := context.WithTimeout(ctx, streamTime)
			defer cancel()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if err := d.stream(ctx, c); err != nil && ctx.Err() == nil {
				d.log.Warn("catch-up stream ended early", "peer", c.RemoteAddr().String(), "reason", err)
			}
		})
	}
}

// admit takes a caller, in place of who has waited longest without a proper
// request if there are too many: who only holds the line open keeps nobody out.
func (d *Daemon) admit(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streams.callers == nil {
		d.streams.callers = map[net.Conn]*caller{}
	}
	if len(d.streams.callers) >= maxCallers {
		var idle net.Conn
		for other, who := range d.streams.callers {
			if !who.serving && (idle == nil || who.since.Before(d.streams.callers[idle].since)) {
				idle = other
			}
		}
		idle.Close() // there are fewer streams than callers
		delete(d.streams.callers, idle)
	}
	d.streams.callers[c] = &caller{since: time.Now()}
}

func (d *Daemon) dismiss(c net.Conn) {
	c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.streams.callers, c)
}

// stream serves one backup.
func (d *Daemon) stream(ctx context.Context, c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(streamStep)); err != nil {
		return err
	}
	hello := make([]byte, connsync.HelloLen)
	if _, err := io.ReadFull(c, hello); err != nil {
		return err
	}
	h, err := connsync.ParseHello(hello)
	if err != nil {
		return err
	}
	answer := d.welcome(h)
	welcome := answer.Append(nil)
	if _, err := c.Write(welcome); err != nil {
		return err
	}
	if err := answer.Status.Err(); err != nil {
		return err
	}
	theirs, ours, err := connsync.Seals(d.key, hello, welcome)
	if err != nil {
		return err
	}
	request, err := readFrame(c, make([]byte, connsync.MaxFrame), theirs)
	if err != nil {
		return err
	}
	s := &serving{d: d, c: c, w: connsync.NewFrameWriter(ours), buf: make([]lvs.Connection, 0, partLen)}
	switch {
	case request.Type == connsync.FrameVerify:
		return s.send(connsync.FrameEnd, connsync.Cursor{})
	case request.Type != connsync.FrameRequest:
		return errors.New("catch-up: the backup does not ask for anything")
	case !d.begin(c):
		return connsync.StatusBusy.Err()
	}
	defer d.end()
	if request.Total != d.life { // the cursor is one of an earlier life
		request.Cursor = connsync.Cursor{}
	}
	return s.table(ctx, request.Cursor)
}

// begin makes a caller a stream, if there is room for one more.
func (d *Daemon) begin(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	who := d.streams.callers[c]
	if who == nil || d.streams.serving >= maxStreams {
		return false
	}
	who.serving = true
	d.streams.serving++
	return true
}

func (d *Daemon) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.streams.serving--
}

// welcome decides whether a backup may have the table.
func (d *Daemon) welcome(h connsync.Hello) connsync.Welcome {
	entries := d.table.Entries()
	d.mu.Lock()
	defer d.mu.Unlock()
	w := connsync.Welcome{
		Keyed: d.key != nil, SyncID: d.spec.SyncID, Life: d.life, Seq: d.sent.datagrams,
		Entries: entries + uint64(d.kept.Len()),
	}
	rand.Read(w.Nonce[:])
	switch {
	case h.SyncID != d.spec.SyncID:
		w.Status = connsync.StatusSyncID
	case w.Keyed && !h.Keyed:
		w.Status = connsync.StatusNeedsKey
	case h.Keyed && !w.Keyed:
		w.Status = connsync.StatusHasNoKey
	case !d.role.master:
		w.Status = connsync.StatusNotMaster
	case d.streams.serving >= maxStreams:
		w.Status = connsync.StatusBusy
	}
	return w
}

// serving is one stream that a backup fetches.
type serving struct {
	d   *Daemon
	c   net.Conn
	w   *connsync.FrameWriter
	buf []lvs.Connection
}

// table sends the table from a cursor on, and then what is kept.
func (s *serving) table(ctx context.Context, at connsync.Cursor) error {
	for ctx.Err() == nil {
		part, next, last, err := s.part(at)
		if err != nil {
			return err
		}
		for i := range part {
			if !s.w.Add(&part[i]) {
				continue
			}
			// Only behind the last connection of the part can the stream be resumed
			// at the next one.
			if err := s.send(connsync.FrameConnections, at); err != nil {
				return err
			}
		}
		if err := s.send(connsync.FrameConnections, next); err != nil {
			return err
		}
		if last {
			return s.send(connsync.FrameEnd, connsync.Cursor{})
		}
		at = next
	}
	return ctx.Err()
}

// part is what stands at a cursor, and where to go on.
func (s *serving) part(at connsync.Cursor) (part []lvs.Connection, next connsync.Cursor, last bool, err error) {
	if !at.Kept {
		part, next.At, err = s.d.table.Walk(at.At, s.buf)
		next.Kept = next.At == 0
		return part, next, false, wrap("walk", err)
	}
	part, next.At = s.d.keptPart(at.At, s.buf)
	next.Kept = true
	return part, next, next.At == 0, nil
}

func (s *serving) send(typ connsync.FrameType, at connsync.Cursor) error {
	if typ == connsync.FrameConnections && s.w.Len() == 0 {
		return nil
	}
	if err := s.c.SetWriteDeadline(time.Now().Add(streamStep)); err != nil {
		return err
	}
	_, err := s.c.Write(s.w.Finish(typ, at, 0))
	return err
}

// readFrame reads one frame into buf.
func readFrame(r io.Reader, buf []byte, seal *connsync.Seal) (connsync.Frame, error) {
	if _, err := io.ReadFull(r, buf[:4]); err != nil {
		return connsync.Frame{}, err
	}
	n, err := connsync.FrameSize(buf[:4])
	if err != nil {
		return connsync.Frame{}, err
	}
	if _, err := io.ReadFull(r, buf[4:n]); err != nil {
		return connsync.Frame{}, err
	}
	return connsync.ParseFrame(buf[:n], seal)
}
