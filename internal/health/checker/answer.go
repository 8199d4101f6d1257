package checker

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// Answer is a complete HTTP answer.
type Answer struct {
	Status int
	Digest string // lower-case hexadecimal MD5 of the body
	Length int64  // of the body, in bytes
}

// Errors of an answer that is no good HTTP.
var (
	errNoAnswer   = errors.New("connection closed without an answer")
	errIncomplete = errors.New("connection closed within the head of the answer")
	errHeadTooBig = fmt.Errorf("head of the answer is longer than %d KiB", maxHead>>10)
	errBodyTooBig = fmt.Errorf("answer is longer than %d MiB", maxBody>>20)
)

// parser takes an answer in pieces as they come; memory is bounded by maxHead.
type parser struct {
	head   []byte // until its end was found
	inBody bool
	status int
	body   hash.Hash
	length int64
}

func newParser() *parser { return &parser{body: md5.New()} }

// feed takes the next piece.
func (p *parser) feed(b []byte) error {
	if p.inBody {
		return p.feedBody(b)
	}
	from := max(0, len(p.head)-3) // the end may lie across two pieces
	p.head = append(p.head, b...)
	end := headEnd(p.head, from)
	if end < 0 {
		if len(p.head) > maxHead {
			return errHeadTooBig
		}
		return nil
	}
	if end > maxHead {
		return errHeadTooBig
	}
	status, err := parseStatus(p.head[:end])
	if err != nil {
		return err
	}
	rest := p.head[end:]
	p.status, p.inBody, p.head = status, true, nil
	return p.feedBody(rest)
}

func (p *parser) feedBody(b []byte) error {
	p.length += int64(len(b))
	if p.length > maxBody {
		return errBodyTooBig
	}
	p.body.Write(b) // never fails
	return nil
}

// finish returns the answer once the server has closed.
func (p *parser) finish() (Answer, error) {
	switch {
	case p.inBody:
		return Answer{Status: p.status, Digest: hex.EncodeToString(p.body.Sum(nil)), Length: p.length}, nil
	case len(p.head) == 0:
		return Answer{}, errNoAnswer
	}
	return Answer{}, errIncomplete
}

// headEnd returns where the body begins, -1 when that has not come yet: after
// an empty line, whose CR may be missing (RFC 9112 §2.2).
func headEnd(b []byte, from int) int {
	for i := from; i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		rest := b[i+1:]
		switch {
		case bytes.HasPrefix(rest, []byte("\n")):
			return i + 2
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 3
		}
	}
	return -1
}

// parseStatus reads the status line (RFC 9112 §4) at the begin of head.
func parseStatus(head []byte) (int, error) {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	proto, rest, _ := bytes.Cut(line, []byte(" "))
	rest = bytes.TrimLeft(rest, " ")
	if !bytes.HasPrefix(proto, []byte("HTTP/")) || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0, fmt.Errorf("no HTTP status line: %.40q", line)
	}
	status := 0
	for _, d := range rest[:3] {
		if d < '0' || d > '9' {
			return 0, fmt.Errorf("no HTTP status line: %.40q", line)
		}
		status = status*10 + int(d-'0')
	}
	return status, nil
}
