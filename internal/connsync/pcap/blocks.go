package pcap

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
	"time"
)

// Blocks of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockInterface = 1
	blockPacket    = 2 // the obsolete one
	blockSimple    = 3
	blockEnhanced  = 6

	blockFrame = 12 // type and length before the body, length behind it

	optionEnd    = 0
	optionTSRes  = 9
	optionTSOff  = 14
	byteOrderBig = 0x1a2b3c4d

	maxInterfaces = 1 << 16
)

// iface is an interface of a section: how its packets are to be read.
type iface struct {
	link    LinkType
	snapLen uint32
	perSec  uint64 // ticks
	offset  int64  // seconds
}

// section reads the rest of a section header block, of which the type has been
// read.
func (r *Reader) section() error {
	at := r.in.offset - 4
	b, err := r.in.take(8)
	if err != nil {
		return broken(at, "section header: %w", within(err))
	}
	switch {
	case binary.BigEndian.Uint32(b[4:]) == byteOrderBig:
		r.order = binary.BigEndian
	case binary.LittleEndian.Uint32(b[4:]) == byteOrderBig:
		r.order = binary.LittleEndian
	default:
		return broken(at, "section header: byte order mark % x", b[4:8])
	}
	n := r.order.Uint32(b)
	if n < blockFrame+16 || n&3 != 0 {
		return broken(at, "section header: %d bytes long", n)
	}
	r.interfaces = r.interfaces[:0]
	if err := r.in.skip(int64(n) - blockFrame); err != nil {
		return broken(at, "section header: %w", within(err))
	}
	return nil
}

// block reads one block, and the datagram if it ends in it.
func (r *Reader) block(d *Datagram) (bool, error) {
	at := r.in.offset
	b, err := r.in.take(4)
	switch {
	case errors.Is(err, io.EOF):
		return false, io.EOF
	case err != nil:
		return false, broken(at, "a block: %w", err)
	}
	typ := r.order.Uint32(b)
	if typ == magicSection {
		return false, r.section()
	}
	if b, err = r.in.take(4); err != nil {
		return false, broken(at, "a block: %w", within(err))
	}
	n := r.order.Uint32(b)
	if n < blockFrame || n&3 != 0 {
		return false, broken(at, "block of type %d: %d bytes long", typ, n)
	}
	switch typ {
	case blockInterface, blockPacket, blockSimple, blockEnhanced:
	default:
		if err := r.in.skip(int64(n) - 8); err != nil {
			return false, broken(at, "block of type %d: %w", typ, within(err))
		}
		return false, nil
	}
	if n > maxItem {
		return false, broken(at, "block of type %d: %d bytes long: the file is damaged", typ, n)
	}
	if b, err = r.in.take(int(n) - 8); err != nil {
		return false, broken(at, "block of type %d: %w", typ, within(err))
	}
	if m := r.order.Uint32(b[len(b)-4:]); m != n {
		return false, broken(at, "block of type %d: %d bytes long at its start, %d at its end", typ, n, m)
	}
	return r.body(at, typ, b[:len(b)-4], d)
}

func (r *Reader) body(at int64, typ uint32, b []byte, d *Datagram) (bool, error) {
	switch typ {
	case blockInterface:
		return false, r.addInterface(at, b)
	case blockSimple:
		if len(b) < 4 || len(r.interfaces) == 0 {
			return false, broken(at, "simple packet block: too short, or before any interface")
		}
		wire, i := r.order.Uint32(b), r.interfaces[0]
		captured := min(uint64(wire), uint64(len(b)-4))
		if i.snapLen > 0 {
			captured = min(captured, uint64(i.snapLen))
		}
		// It has no time.
		return r.Decode(time.Unix(0, 0).UTC(), i.link, b[4:4+captured], clampInt(wire), d), nil
	}
	if len(b) < 20 {
		return false, broken(at, "packet block: %d bytes long", len(b)+blockFrame)
	}
	id := r.order.Uint32(b)
	if typ == blockPacket {
		id = uint32(r.order.Uint16(b))
	}
	if uint64(id) >= uint64(len(r.interfaces)) {
		return false, broken(at, "packet block: interface %d of %d", id, len(r.interfaces))
	}
	i := r.interfaces[id]
	ticks := uint64(r.order.Uint32(b[4:]))<<32 | uint64(r.order.Uint32(b[8:]))
	captured, wire := r.order.Uint32(b[12:]), r.order.Uint32(b[16:])
	if uint64(captured) > uint64(len(b)-20) {
		return false, broken(at, "packet block: a packet of %d bytes in a block of %d", captured, len(b)+blockFrame)
	}
	return r.Decode(i.time(ticks), i.link, b[20:20+captured], clampInt(max(captured, wire)), d), nil
}

func clampInt(n uint32) int { return int(min(n, math.MaxInt32)) }

func (r *Reader) addInterface(at int64, b []byte) error {
	if len(b) < 8 || len(r.interfaces) >= maxInterfaces {
		return broken(at, "interface block: too short, or one too many")
	}
	i := iface{link: LinkType(r.order.Uint16(b)), snapLen: r.order.Uint32(b[4:]), perSec: 1_000_000}
	for o := b[8:]; len(o) >= 4; {
		typ, n := r.order.Uint16(o), int(r.order.Uint16(o[2:]))
		if typ == optionEnd {
			break
		}
		end := 4 + (n+3)&^3
		if end > len(o) {
			return broken(at, "interface block: option %d is %d bytes long", typ, n)
		}
		v := o[4 : 4+n]
		switch {
		case typ == optionTSRes && n == 1:
			if i.perSec = resolution(v[0]); i.perSec == 0 {
				return broken(at, "interface block: resolution %#x of time", v[0])
			}
		case typ == optionTSOff && n == 8:
			i.offset = int64(r.order.Uint64(v))
		}
		o = o[end:]
	}
	r.interfaces = append(r.interfaces, i)
	return nil
}

// resolution is if_tsresol in ticks per second, 0 if they do not fit 64 bits.
func resolution(v byte) uint64 {
	e := v & 0x7f
	if v&0x80 != 0 {
		return 1 << e // 0 from 64 on
	}
	if e > 19 {
		return 0
	}
	t := uint64(1)
	for range e {
		t *= 10
	}
	return t
}

func (i *iface) time(ticks uint64) time.Time {
	hi, lo := bits.Mul64(ticks%i.perSec, 1_000_000_000)
	nsec, _ := bits.Div64(hi, lo, i.perSec)
	const far = 1 << 40 // some 35,000 years
	sec := int64(min(ticks/i.perSec, far)) + min(max(i.offset, -far), far)
	return time.Unix(sec, int64(nsec)).UTC()
}
