package connsync

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxCount is how many connections one datagram can count.
const MaxCount = 255

// Limits of --sync-maxlen, and what it is unless given: what fits an Ethernet
// frame behind IPv4's and behind IPv6's headers.
const (
	MaxLen       = 65507
	DefaultLen4  = 1472
	DefaultLen6  = 1452
	minDatagram  = headerLen + connLen6 + trailerLen + macLen
	maxConnBytes = 0xfff
)

// AppendHeader appends the header of a datagram; FinishHeader completes it.
func AppendHeader(b []byte, version int, syncID uint8) []byte {
	if version == 0 {
		return append(b, 0, syncID, 0, 0)
	}
	return append(b, 0, syncID, 0, 0, 0, 1, 0, 0)
}

// FinishHeader writes the size and the count of connections (modulo 256, as
// kernels do) into the header at the start of datagram b.
func FinishHeader(b []byte, version, count int) {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	if version == 0 {
		b[0] = byte(count)
	} else {
		b[4] = byte(count)
	}
}

// Pad appends what separates a connection of version 1 from the one before.
func Pad(b []byte) []byte {
	for len(b)&3 != 0 {
		b = append(b, 0)
	}
	return b
}

// AppendConn appends a connection to a datagram that begins at b[0]. It
// fails, and appends nothing, for addresses of different families or ones
// that version 0 cannot carry, and for too many options.
func AppendConn(b []byte, version int, c *Conn) ([]byte, error) {
	ca, va, da := c.Client.Addr(), c.Virtual.Addr(), c.Dest.Addr()
	v4 := ca.Is4()
	if !ca.IsValid() || va.Is4() != v4 || da.Is4() != v4 || !va.IsValid() || !da.IsValid() {
		return b, fmt.Errorf("connection %s -> %s -> %s: addresses of different families cannot be announced", c.Client, c.Virtual, c.Dest)
	}
	if version == 0 {
		return appendConn0(b, c, v4)
	}
	size, typ := connLen4+len(c.Options), byte(0)
	if !v4 {
		size, typ = connLen6+len(c.Options), 1
	}
	if size > maxConnBytes {
		return b, fmt.Errorf("connection %s -> %s: %d bytes of options are too many", c.Client, c.Virtual, len(c.Options))
	}
	b = Pad(b)
	b = append(b, typ, byte(c.Protocol))
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Flags))
	b = binary.BigEndian.AppendUint16(b, c.State)
	b = binary.BigEndian.AppendUint16(b, c.Client.Port())
	b = binary.BigEndian.AppendUint16(b, c.Virtual.Port())
	b = binary.BigEndian.AppendUint16(b, c.Dest.Port())
	b = binary.BigEndian.AppendUint32(b, c.FWMark)
	b = binary.BigEndian.AppendUint32(b, c.Timeout)
	if v4 {
		x, y, z := ca.As4(), va.As4(), da.As4()
		b = append(append(append(b, x[:]...), y[:]...), z[:]...)
	} else {
		x, y, z := ca.As16(), va.As16(), da.As16()
		b = append(append(append(b, x[:]...), y[:]...), z[:]...)
	}
	return append(b, c.Options...), nil
}

func appendConn0(b []byte, c *Conn, v4 bool) ([]byte, error) {
	if !v4 {
		return b, fmt.Errorf("connection %s -> %s: version 0 has no IPv6", c.Client, c.Virtual)
	}
	options := 0
	if c.Flags&SeqMask != 0 {
		options = sequenceLen
	}
	if len(c.Options) != options {
		return b, fmt.Errorf("connection %s -> %s: %d bytes of sequence data, want %d", c.Client, c.Virtual, len(c.Options), options)
	}
	b = append(b, 0, byte(c.Protocol))
	b = binary.BigEndian.AppendUint16(b, c.Client.Port())
	b = binary.BigEndian.AppendUint16(b, c.Virtual.Port())
	b = binary.BigEndian.AppendUint16(b, c.Dest.Port())
	x, y, z := c.Client.Addr().As4(), c.Virtual.Addr().As4(), c.Dest.Addr().As4()
	b = append(append(append(b, x[:]...), y[:]...), z[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(c.Flags))
	b = binary.BigEndian.AppendUint16(b, c.State)
	return append(b, c.Options...), nil
}

// ErrFull is returned by Writer.Add when the datagram has no room.
var ErrFull = errors.New("sync message: full")

// Writer fills datagrams of version 1 with connections.
type Writer struct {
	syncID  uint8
	room    int // bytes for header and connections
	b       []byte
	n       int
	trailer bool
	key     *Key
}

// NewWriter returns a writer of datagrams of at most maxLen bytes, kept within
// what a message can be. With trailer set each ends with one, signed if there
// is a key.
func NewWriter(syncID uint8, maxLen int, trailer bool, key *Key) *Writer {
	maxLen = min(max(maxLen, minDatagram), MaxLen)
	w := &Writer{syncID: syncID, room: maxLen, trailer: trailer, key: key}
	if trailer {
		w.room -= trailerSize(key) + 3 // and what pads the last connection
	}
	w.Reset()
	return w
}

// Reset begins a new datagram.
func (w *Writer) Reset() { w.b, w.n = AppendHeader(w.b[:0], 1, w.syncID), 0 }

// Len is the number of connections in the datagram so far.
func (w *Writer) Len() int { return w.n }

// Add adds a connection. ErrFull says that the datagram must be finished first.
func (w *Writer) Add(c *Conn) error {
	if w.n == MaxCount {
		return ErrFull
	}
	before := len(w.b)
	b, err := AppendConn(w.b, 1, c)
	if err != nil {
		return err
	}
	w.b = b
	if len(b) > w.room && w.n > 0 {
		w.b = b[:before]
		return ErrFull
	}
	w.n++
	return nil
}

// Finish returns the whole datagram, which is valid until the next Reset. The
// trailer is left out by a writer without one.
func (w *Writer) Finish(t Trailer) []byte {
	if !w.trailer {
		FinishHeader(w.b, 1, w.n)
		return w.b
	}
	w.b = t.append(Pad(w.b), w.key, w.n)
	return w.b
}
