package connsync

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
)

// Trailer is what a kaname director adds to its datagrams, behind the
// connections that the header counts. Kernels do not look there (tried with
// 6.12); tshark shows it as rest. A datagram may consist of header and trailer
// alone: the beacon that a director with nothing to announce sends every
// second.
//
//	offset  size
//	     0     4  magic "kan" 1
//	     4     2  flags: 1 keyed
//	     6     2  TCP port of the catch-up stream, 0 for none
//	     8     8  Sender
//	    16     8  Seq
//	    24     4  Entries
//	    28     4  0
//	    32    16  keyed: HMAC-SHA-256 of the datagram before it, truncated;
//	          its key is that of the source address (Key.From)
type Trailer struct {
	// Sender names the sending daemon's life: when it started, nanoseconds since
	// 1970. A later life has a greater one.
	Sender uint64
	// Seq counts the datagrams of this life, from 1.
	Seq uint64
	// Entries is how many connections the sender has.
	Entries uint32
	// CatchUp is the TCP port on which the sender gives its whole table.
	CatchUp uint16
}

const (
	trailerLen   = 32
	macLen       = 16
	trailerKeyed = 1
)

var trailerMagic = [4]byte{'k', 'a', 'n', 1}

// Key authenticates messages. Derive it with NewKey.
type Key struct {
	datagram [32]byte
	stream   [32]byte
}

// NewKey derives a key from what the configuration has (sync_key).
func NewKey(secret string) (*Key, error) {
	if secret == "" {
		return nil, errors.New("sync key: empty")
	}
	k := &Key{}
	for info, dst := range map[string]*[32]byte{"kaname sync datagram": &k.datagram, "kaname sync stream": &k.stream} {
		b, err := hkdf.Key(sha256.New, []byte(secret), nil, info, len(dst))
		if err != nil {
			return nil, err
		}
		copy(dst[:], b)
	}
	return k, nil
}

// From is the key of datagrams that come from one address. What a director
// sent is worthless under another address, so that a receiver that remembers
// how far each address has come cannot be told old news.
func (k *Key) From(source netip.Addr) *Key {
	a := source.Unmap().As16()
	h := hmac.New(sha256.New, k.datagram[:])
	h.Write(a[:])
	of := &Key{stream: k.stream}
	h.Sum(of.datagram[:0])
	return of
}

// StreamKey is the key of catch-up streams.
func (k *Key) StreamKey() []byte { return k.stream[:] }

func (k *Key) sum(b []byte) []byte {
	h := hmac.New(sha256.New, k.datagram[:])
	h.Write(b)
	return h.Sum(nil)[:macLen]
}

func trailerSize(k *Key) int {
	if k == nil {
		return trailerLen
	}
	return trailerLen + macLen
}

// append completes datagram b of n connections.
func (t Trailer) append(b []byte, k *Key, n int) []byte {
	flags := uint16(0)
	if k != nil {
		flags = trailerKeyed
	}
	size := len(b) + trailerSize(k)
	b = append(b, trailerMagic[:]...)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, t.CatchUp)
	b = binary.BigEndian.AppendUint64(b, t.Sender)
	b = binary.BigEndian.AppendUint64(b, t.Seq)
	b = binary.BigEndian.AppendUint32(b, t.Entries)
	b = append(b, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	b[4] = byte(n)
	if k != nil {
		b = append(b, k.sum(b)...)
	}
	return b
}

// ParseTrailer finds the trailer at the end of a datagram. Keyed reports that
// it carries proof of origin, which Authentic checks.
func ParseTrailer(b []byte) (t Trailer, keyed, ok bool) {
	for _, keyed := range []bool{false, true} {
		at := len(b) - trailerLen
		if keyed {
			at -= macLen
		}
		if at < headerLen || [4]byte(b[at:at+4]) != trailerMagic {
			continue
		}
		x := b[at:]
		if flags := binary.BigEndian.Uint16(x[4:]); flags&trailerKeyed != 0 != keyed {
			continue
		}
		return Trailer{
			CatchUp: binary.BigEndian.Uint16(x[6:]), Sender: binary.BigEndian.Uint64(x[8:]),
			Seq: binary.BigEndian.Uint64(x[16:]), Entries: binary.BigEndian.Uint32(x[24:]),
		}, keyed, true
	}
	return Trailer{}, false, false
}

// Authentic reports whether the datagram, which has a keyed trailer, was made
// by somebody who has the key.
func (k *Key) Authentic(b []byte) bool {
	if len(b) < headerLen+trailerLen+macLen {
		return false
	}
	body := b[:len(b)-macLen]
	return hmac.Equal(k.sum(body), b[len(body):])
}
