package pcap

import (
	"errors"
	"fmt"
	"io"
)

const (
	// bufferSize leaves the processor's caches to whom the datagrams go: with
	// 1 MiB a table of sessions took a tenth more time.
	bufferSize = 64 << 10
	// maxItem is the longest packet or block that is taken for real: 16 times
	// what other tools write at most, but for kinds that hold no packets.
	maxItem = 4 << 20
)

// input hands out a file's bytes without copying them once more.
type input struct {
	r       io.Reader
	buf     []byte
	at, end int   // what of buf is read and not handed out
	offset  int64 // of buf[at] in the file
	err     error // from r
}

// take returns the next n bytes, valid until the next call. At the end of the
// file it returns io.EOF, in the middle of the bytes io.ErrUnexpectedEOF.
func (in *input) take(n int) ([]byte, error) {
	if in.end-in.at < n {
		if err := in.fill(n); err != nil {
			return nil, err
		}
	}
	b := in.buf[in.at : in.at+n : in.at+n]
	in.at += n
	in.offset += int64(n)
	return b, nil
}

func (in *input) fill(n int) error {
	if n > len(in.buf) {
		grown := make([]byte, max(n, bufferSize))
		copy(grown, in.buf[in.at:in.end])
		in.buf = grown
	} else {
		copy(in.buf, in.buf[in.at:in.end])
	}
	in.at, in.end = 0, in.end-in.at
	for empty := 0; in.end < n && in.err == nil; {
		var k int
		k, in.err = in.r.Read(in.buf[in.end:])
		in.end += k
		if empty++; k > 0 {
			empty = 0
		} else if empty > 100 {
			in.err = io.ErrNoProgress
		}
	}
	switch {
	case in.end >= n:
		return nil
	case !errors.Is(in.err, io.EOF):
		return in.err
	case in.end == 0:
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

// skip passes over n bytes.
func (in *input) skip(n int64) error {
	for n > 0 {
		b, err := in.take(int(min(n, bufferSize)))
		if err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// broken is an error at the offset.
func broken(offset int64, format string, args ...any) error {
	return fmt.Errorf("capture: byte %d: %w", offset, fmt.Errorf(format, args...))
}

// within makes io.EOF, where it comes too early, what it is.
func within(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
