package pcap

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Reader reads the datagrams of a capture.
type Reader struct {
	Decoder
	in    input
	ng    bool
	order binary.ByteOrder

	// pcap
	nano bool
	link LinkType

	// pcapng, of the current section
	interfaces []iface
}

const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicSection  = 0x0a0d0d0a
	fileHeader    = 24
	packetHeader  = 16
	linkTypeMask  = 0xffff // above it: the length of the frame check sequence
	maxNanosecond = 999_999_999
)

// NewReader begins to read a capture, whose kind it finds out. It reads ahead;
// r needs no buffer.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{in: input{r: r}}
	b, err := c.in.take(4)
	if err != nil {
		return nil, broken(0, "neither pcap nor pcapng: %w", within(err))
	}
	c.order = binary.LittleEndian
	if m := binary.BigEndian.Uint32(b); m == magicMicro || m == magicNano {
		c.order = binary.BigEndian
	}
	switch c.order.Uint32(b) {
	case magicMicro:
	case magicNano:
		c.nano = true
	case magicSection: // reads the same in either order
		c.ng = true
		return c, c.section()
	default:
		return nil, broken(0, "neither pcap nor pcapng: it begins with % x", b)
	}
	if b, err = c.in.take(fileHeader - 4); err != nil {
		return nil, broken(4, "header of the file: %w", within(err))
	}
	c.link = LinkType(c.order.Uint32(b[16:]) & linkTypeMask)
	return c, nil
}

// BytesRead is how much of the file has been worked off.
func (r *Reader) BytesRead() int64 { return r.in.offset }

// Next reads up to the next datagram. The error is io.EOF at the end of the
// file; any other says at which byte the file is broken or could not be read.
func (r *Reader) Next(d *Datagram) error {
	for {
		var ok bool
		var err error
		if r.ng {
			ok, err = r.block(d)
		} else {
			ok, err = r.packet(d)
		}
		if ok || err != nil {
			return err
		}
	}
}

// packet reads one packet of a pcap file.
func (r *Reader) packet(d *Datagram) (bool, error) {
	at := r.in.offset
	h, err := r.in.take(packetHeader)
	switch {
	case errors.Is(err, io.EOF):
		return false, io.EOF
	case err != nil:
		return false, broken(at, "header of a packet: %w", err)
	}
	sec, frac := int64(r.order.Uint32(h)), int64(r.order.Uint32(h[4:]))
	captured, wire := r.order.Uint32(h[8:]), r.order.Uint32(h[12:])
	if captured > maxItem {
		return false, broken(at, "a packet of %d bytes: the file is damaged", captured)
	}
	if !r.nano {
		frac *= 1000
	}
	b, err := r.in.take(int(captured))
	if err != nil {
		return false, broken(at, "a packet of %d bytes: %w", captured, within(err))
	}
	return r.Decode(time.Unix(sec, min(frac, maxNanosecond)).UTC(), r.link, b, int(max(captured, wire)), d), nil
}
