package connsync

import (
	"encoding/binary"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/lvs"
)

// Sizes of what the wire has.
const (
	headerLen0 = 4
	headerLen  = 8
	connLen0   = 24
	connHead   = 24 // of a version 1 connection, before its addresses
	connLen4   = connHead + 3*4
	connLen6   = connHead + 3*16
)

// Header is what a datagram says about itself.
type Header struct {
	Version int // 0 or 1
	SyncID  uint8
	// Count is the number of connections. The field has one byte; of a datagram
	// large enough for more than 255 Reader finds out how many there are.
	Count int
}

// ParseHeader reads the header of a datagram and checks that it is whole. The
// error is an *Error.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < headerLen0 {
		return Header{}, broken(ReasonShort, 0, "%d bytes are less than a header", len(b))
	}
	h := Header{SyncID: b[1], Count: int(b[0])}
	if size := int(binary.BigEndian.Uint16(b[2:])); size != len(b) {
		return h, broken(ReasonSize, 0, "says that it has %d bytes, and has %d", size, len(b))
	}
	// Where version 0 counts its connections version 1 has a 0.
	if b[0] == 0 && len(b) >= headerLen && b[5] == 1 && b[6] == 0 && b[7] == 0 {
		h.Version, h.Count = 1, int(b[4])
	}
	return h, nil
}

// Reader reads a datagram's connections one after the other. It allocates
// nothing and keeps a reference to the datagram.
type Reader struct {
	Header
	b    []byte // the datagram
	at   int    // offset of the next connection
	left int    // how many there are still to come
	n    int    // how many there were
	bare bool   // no datagram: b has exactly Count connections
	err  *Error
}

// Read begins to read a datagram. The error is an *Error.
func Read(b []byte) (Reader, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return Reader{Header: h}, err
	}
	r := Reader{Header: h, b: b, at: headerLen0, left: h.Count}
	if h.Version == 1 {
		r.at = headerLen
	}
	return r, nil
}

// ReadBare begins to read count connections of version 1 that stand in b
// without a header, as catch-up streams have them.
func ReadBare(b []byte, count int) Reader {
	return Reader{Header: Header{Version: 1, Count: count}, b: b, left: count, bare: true}
}

// Next reads one connection into c, whose Options then point into the
// datagram. At the end, and where the datagram is broken (see Err), it returns
// false.
func (r *Reader) Next(c *Conn) bool {
	if r.left == 0 && !r.wrapped() {
		return false
	}
	var ok bool
	if r.Version == 1 {
		ok = r.next1(c)
	} else {
		ok = r.next0(c)
	}
	if ok {
		r.left--
		r.n++
	}
	return ok
}

// wrapped finds out whether the count has overflowed its byte, as that of
// kernels does with --sync-maxlen above 9188: their own backups lose what is
// behind it, we do not.
func (r *Reader) wrapped() bool {
	if r.Version != 1 || r.bare || r.err != nil || len(r.b)-r.at < 256*connLen4 {
		return false
	}
	r.left = 256
	r.Count += 256
	return true
}

// Err says where the datagram is broken, nil if it was whole so far.
func (r *Reader) Err() *Error { return r.err }

// Taken is how many connections were read.
func (r *Reader) Taken() int { return r.n }

// Rest is what stands behind the last connection that was read.
func (r *Reader) Rest() []byte { return r.b[min(r.at, len(r.b)):] }

func (r *Reader) fail(err *Error) bool {
	r.err, r.left = err, 0
	return false
}

func (r *Reader) next1(c *Conn) bool {
	b := r.b[min(r.at, len(r.b)):]
	if len(b) < connLen4 {
		return r.fail(broken(ReasonCut, r.n, "%d bytes are left, the count says that there is another", len(b)))
	}
	size, addrs := int(binary.BigEndian.Uint16(b[2:])), 4
	if b[0]&1 != 0 {
		addrs = 16
	}
	switch {
	case b[0]&^1 != 0:
		return r.fail(broken(ReasonType, r.n, "type %d, want 0 (IPv4) or 1 (IPv6)", b[0]))
	case size>>12 != 0:
		return r.fail(broken(ReasonConnVersion, r.n, "version %d, want 0", size>>12))
	case size < connHead+3*addrs || size > len(b):
		return r.fail(broken(ReasonConnSize, r.n, "size %d, want %d to %d", size, connHead+3*addrs, len(b)))
	}
	*c = Conn{
		Protocol: lvs.Protocol(b[1]),
		Flags:    Flags(binary.BigEndian.Uint32(b[4:])),
		State:    binary.BigEndian.Uint16(b[8:]),
		FWMark:   binary.BigEndian.Uint32(b[16:]),
		Timeout:  binary.BigEndian.Uint32(b[20:]),
	}
	cp, vp, dp := binary.BigEndian.Uint16(b[10:]), binary.BigEndian.Uint16(b[12:]), binary.BigEndian.Uint16(b[14:])
	if addrs == 4 {
		c.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[24:28])), cp)
		c.Virtual = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[28:32])), vp)
		c.Dest = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[32:36])), dp)
	} else {
		c.Client = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), cp)
		c.Virtual = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[40:56])), vp)
		c.Dest = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[56:72])), dp)
	}
	if opts := b[connHead+3*addrs : size]; len(opts) > 0 {
		if err := checkOptions(opts, r.n); err != nil {
			return r.fail(err)
		}
		c.Options = opts
	}
	// The padding behind the last connection is left out by senders.
	r.at = min(r.at+(size+3)&^3, len(r.b))
	return true
}

func (r *Reader) next0(c *Conn) bool {
	b := r.b[min(r.at, len(r.b)):]
	if len(b) < connLen0 {
		return r.fail(broken(ReasonCut, r.n, "%d bytes are left, the count says that there is another", len(b)))
	}
	*c = Conn{
		Protocol: lvs.Protocol(b[1]),
		Client:   netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[8:12])), binary.BigEndian.Uint16(b[2:])),
		Virtual:  netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), binary.BigEndian.Uint16(b[4:])),
		Dest:     netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), binary.BigEndian.Uint16(b[6:])),
		Flags:    Flags(binary.BigEndian.Uint16(b[20:])),
		State:    binary.BigEndian.Uint16(b[22:]),
	}
	size := connLen0
	if c.Flags&SeqMask != 0 {
		if len(b) < connLen0+sequenceLen {
			return r.fail(broken(ReasonCut, r.n, "%d bytes are left, want %d for sequence data", len(b)-connLen0, sequenceLen))
		}
		size += sequenceLen
		c.Options = b[connLen0:size]
	}
	r.at += size
	return true
}
