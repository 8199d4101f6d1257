package connsync

import "encoding/binary"

// Plain steps over the next connection and returns its bytes if it is of
// version 1, of IPv4 and without options, as nearly all are; else it returns
// nil and Next has to read it. It spares those who go through millions the
// forming of a Conn.
func (r *Reader) Plain() []byte {
	if r.left == 0 || r.Version != 1 || len(r.b)-r.at < connLen4 {
		return nil
	}
	b := r.b[r.at : r.at+connLen4 : r.at+connLen4]
	// Type 0 and version 0 with the size of addresses alone.
	if b[0] != 0 || binary.BigEndian.Uint16(b[2:]) != connLen4 {
		return nil
	}
	r.at += connLen4
	r.left--
	r.n++
	return b
}
