package connsync

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// A catch-up stream is one TCP connection from a backup to the master it
// hears:
//
//	backup   Hello
//	master   Welcome                     and closes, unless it is StatusOK
//	backup   frame Request
//	master   frames Connections ... End
//
// With a key every frame is sealed. The master gives nothing out before it has
// seen a sealed request.
const (
	HelloLen   = 40
	WelcomeLen = 64
	// MaxFrame is the size of a frame at most, FrameHead that of what begins it.
	MaxFrame  = 1 << 16
	FrameHead = 20
	// NonceLen is the length of the nonces in Hello and Welcome.
	NonceLen = 32

	streamVersion = 1
	sealLen       = sha256.Size
)

var (
	helloMagic   = [4]byte{'k', 'a', 'n', 2}
	welcomeMagic = [4]byte{'k', 'a', 'n', 3}
)

// Hello is how a backup begins.
//
//	offset  size
//	     0     4  magic "kan" 2
//	     4     1  version, 1
//	     5     1  flags: 1 keyed
//	     6     1  syncid
//	     7     1  0
//	     8    32  nonce
type Hello struct {
	Keyed  bool
	SyncID uint8
	Nonce  [NonceLen]byte
}

// Append appends the message.
func (h *Hello) Append(b []byte) []byte {
	b = append(b, helloMagic[:]...)
	b = append(b, streamVersion, flag(h.Keyed), h.SyncID, 0)
	return append(b, h.Nonce[:]...)
}

// ParseHello reads a Hello of HelloLen bytes.
func ParseHello(b []byte) (Hello, error) {
	if len(b) != HelloLen || [4]byte(b) != helloMagic {
		return Hello{}, errors.New("catch-up: this is no hello")
	}
	if b[4] != streamVersion {
		return Hello{}, fmt.Errorf("catch-up: version %d, want %d", b[4], streamVersion)
	}
	return Hello{Keyed: b[5]&1 != 0, SyncID: b[6], Nonce: [NonceLen]byte(b[8:])}, nil
}

// Status is whether a master gives its table.
type Status uint8

// Statuses of a Welcome.
const (
	StatusOK        Status = iota
	StatusBusy             // others are fetching
	StatusNotMaster        // it announces nothing any more
	StatusSyncID           // it is another set of directors
	StatusNeedsKey         // it has a sync_key, the backup has none
	StatusHasNoKey         // the backup has a sync_key, it has none
	numStatuses
)

// Err is what the backup makes of it, nil for StatusOK.
func (s Status) Err() error {
	switch s {
	case StatusOK:
		return nil
	case StatusBusy:
		return errors.New("the master is serving others: trying again")
	case StatusNotMaster:
		return errors.New("it is no master any more")
	case StatusSyncID:
		return errors.New("it has another syncid")
	case StatusNeedsKey:
		return errors.New("the master has a sync_key and this director has none: give both the same")
	case StatusHasNoKey:
		return errors.New("this director has a sync_key and the master has none: give both the same")
	default:
		return fmt.Errorf("the master answers with status %d", s)
	}
}

// Welcome is how a master answers.
//
//	offset  size
//	     0     4  magic "kan" 3
//	     4     1  version, 1
//	     5     1  flags: 1 keyed
//	     6     1  syncid
//	     7     1  status
//	     8    32  nonce
//	    40     8  Life: the Sender of its datagrams
//	    48     8  Seq: of the newest of them
//	    56     8  Entries
type Welcome struct {
	Keyed   bool
	SyncID  uint8
	Status  Status
	Nonce   [NonceLen]byte
	Life    uint64
	Seq     uint64
	Entries uint64
}

// Append appends the message.
func (w *Welcome) Append(b []byte) []byte {
	b = append(b, welcomeMagic[:]...)
	b = append(b, streamVersion, flag(w.Keyed), w.SyncID, byte(w.Status))
	b = append(b, w.Nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, w.Life)
	b = binary.BigEndian.AppendUint64(b, w.Seq)
	return binary.BigEndian.AppendUint64(b, w.Entries)
}

// ParseWelcome reads a Welcome of WelcomeLen bytes.
func ParseWelcome(b []byte) (Welcome, error) {
	if len(b) != WelcomeLen || [4]byte(b) != welcomeMagic {
		return Welcome{}, errors.New("catch-up: this is no kaname director")
	}
	if b[4] != streamVersion {
		return Welcome{}, fmt.Errorf("catch-up: the master has version %d of the stream, this director %d", b[4], streamVersion)
	}
	return Welcome{
		Keyed: b[5]&1 != 0, SyncID: b[6], Status: Status(b[7]), Nonce: [NonceLen]byte(b[8:]),
		Life: binary.BigEndian.Uint64(b[40:]), Seq: binary.BigEndian.Uint64(b[48:]), Entries: binary.BigEndian.Uint64(b[56:]),
	}, nil
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// Seal authenticates the frames of one direction of one stream, in their
// order. A nil Seal seals nothing.
type Seal struct {
	mac   hash.Hash
	count uint64
	sum   []byte
}

// Seals returns those of what the backup sends and of what the master sends.
// They depend on the key and on the whole of both messages that began the
// stream.
func Seals(key *Key, hello, welcome []byte) (backup, master *Seal, err error) {
	if key == nil {
		return nil, nil, nil
	}
	h := sha256.New()
	h.Write(hello)
	h.Write(welcome)
	salt := h.Sum(nil)
	if backup, err = newSeal(key, salt, "kaname sync stream of the backup"); err != nil {
		return nil, nil, err
	}
	master, err = newSeal(key, salt, "kaname sync stream of the master")
	return backup, master, err
}

func newSeal(key *Key, salt []byte, info string) (*Seal, error) {
	k, err := hkdf.Key(sha256.New, key.StreamKey(), salt, info, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("catch-up: stream key: %w", err)
	}
	return &Seal{mac: hmac.New(sha256.New, k)}, nil
}

// next is the sum of the next frame.
func (s *Seal) next(b []byte) []byte {
	s.mac.Reset()
	var count [8]byte
	binary.BigEndian.PutUint64(count[:], s.count)
	s.count++
	s.mac.Write(count[:])
	s.mac.Write(b)
	s.sum = s.mac.Sum(s.sum[:0])
	return s.sum
}

// FrameType says what a frame is.
type FrameType uint8

// Types of frames.
const (
	FrameRequest     FrameType = 1 // from the backup: the table from Cursor on; Total is the life it means
	FrameVerify      FrameType = 2 // from the backup: nothing but the End, sealed
	FrameConnections FrameType = 3 // Count connections; the stream can be resumed behind them at Cursor
	FrameEnd         FrameType = 4 // that was all; Total is how many connections the stream had
)

// Frame is one message of a catch-up stream.
//
//	offset  size
//	     0     4  size of the frame, with its seal
//	     4     1  type
//	     5     1  flags: 1 the cursor is among the kept connections
//	     6     2  count
//	     8     4  cursor
//	    12     8  total
//	    20        connections as in a datagram of version 1, each with OptionRemaining
//	 end-32    32  keyed: HMAC-SHA-256 of the frame's number (8 bytes) and the frame
type Frame struct {
	Type   FrameType
	Cursor Cursor
	Count  int
	Total  uint64
	// Payload points into the memory of the frame.
	Payload []byte
}

// FrameSize returns the size that the first four bytes of a frame announce.
func FrameSize(b []byte) (int, error) {
	if n := binary.BigEndian.Uint32(b); n >= FrameHead && n <= MaxFrame {
		return int(n), nil
	}
	return 0, errors.New("catch-up: the size of a frame is wrong")
}

// ParseFrame reads a whole frame and checks its seal.
func ParseFrame(b []byte, seal *Seal) (Frame, error) {
	body := b
	if seal != nil {
		if len(b) < FrameHead+sealLen {
			return Frame{}, errors.New("catch-up: frame: there is no seal")
		}
		body = b[:len(b)-sealLen]
		if !hmac.Equal(seal.next(body), b[len(body):]) {
			return Frame{}, errors.New("catch-up: frame: the seal is wrong: the sync_key is another one there, or somebody has changed the stream")
		}
	}
	if len(body) < FrameHead || int(binary.BigEndian.Uint32(body)) != len(b) {
		return Frame{}, errors.New("catch-up: frame: its size is wrong")
	}
	return Frame{
		Type: FrameType(body[4]), Cursor: Cursor{Kept: body[5]&1 != 0, At: binary.BigEndian.Uint32(body[8:])},
		Count: int(binary.BigEndian.Uint16(body[6:])), Total: binary.BigEndian.Uint64(body[12:]), Payload: body[FrameHead:],
	}, nil
}

// Connections appends the connections of a frame to out: those of them that a
// backup takes. Their Expires counts from now.
func (f *Frame) Connections(out []lvs.Connection) ([]lvs.Connection, error) {
	r := ReadBare(f.Payload, f.Count)
	for c := (Conn{}); r.Next(&c); {
		if c.Refusal(1) == ReasonNone {
			out = append(out, c.Connection())
		}
	}
	if err := r.Err(); err != nil {
		return out, fmt.Errorf("catch-up: frame: %w", err)
	}
	return out, nil
}

// FrameWriter fills frames.
type FrameWriter struct {
	seal   *Seal
	b      []byte
	n      int
	total  uint64
	option [6]byte
}

// NewFrameWriter returns a writer of frames sealed with seal.
func NewFrameWriter(seal *Seal) *FrameWriter {
	w := &FrameWriter{seal: seal, b: make([]byte, FrameHead, MaxFrame), option: [6]byte{OptionRemaining, 4}}
	return w
}

// Add adds a connection; one that no message can carry is left out. With full
// the frame must be finished before the next.
func (w *FrameWriter) Add(l *lvs.Connection) (full bool) {
	c := FromConnection(l)
	ms := min(max(l.Expires/time.Millisecond, 0), 1<<32-1)
	binary.BigEndian.PutUint32(w.option[2:], uint32(ms))
	c.Options = w.option[:]
	if b, err := AppendConn(w.b, 1, &c); err == nil {
		w.b = b
		w.n++
		w.total++
	}
	return len(w.b)+3+connLen6+len(w.option)+sealLen > MaxFrame
}

// Len is how many connections are in the frame.
func (w *FrameWriter) Len() int { return w.n }

// Finish returns the frame, valid until the next Add or Finish. The total of a
// request is given, others have that of the writer.
func (w *FrameWriter) Finish(typ FrameType, c Cursor, total uint64) []byte {
	if typ == FrameConnections || typ == FrameEnd {
		total = w.total
	}
	b := w.b
	size := len(b)
	if w.seal != nil {
		size += sealLen
	}
	binary.BigEndian.PutUint32(b, uint32(size))
	b[4], b[5] = byte(typ), flag(c.Kept)
	binary.BigEndian.PutUint16(b[6:], uint16(w.n))
	binary.BigEndian.PutUint32(b[8:], c.At)
	binary.BigEndian.PutUint64(b[12:], total)
	if w.seal != nil {
		b = append(b, w.seal.next(b)...)
	}
	w.b, w.n = b[:FrameHead], 0
	return b
}
