package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Bounds of one answer. Each read may take the connect time-out, as with
// keepalived, but the answer as a whole, from the begin of connecting, no more
// than answerFactor times that (20 s with the default).
//
// Compat: keepalived has no bound for the whole and waits for ever on a server
// that drips one byte at a time; it has none for the size either.
const (
	answerFactor = 4
	maxHead      = 64 << 10
	maxBody      = 64 << 20
)

// ProbeHTTP is HTTP_GET: good when the answers to all urls, asked in order,
// are complete, have a wanted status and the wanted digest.
//
// Compat: keepalived asks one url per period; we ask all of them in one check.
func ProbeHTTP(ctx context.Context, t Target) Outcome {
	if len(t.HTTP.URLs) == 0 {
		return failed("no url configured")
	}
	var last string
	for _, u := range t.HTTP.URLs {
		a, err := Fetch(ctx, t.Connect, t.HTTP.version(), u)
		why := "" // empty while good
		if err != nil {
			why = reason(ctx, err, t.Connect.timeout())
		} else {
			why, last = u.judge(a)
		}
		if why == "" {
			continue
		}
		if len(t.HTTP.URLs) > 1 {
			why = u.Path + ": " + why
		}
		return Outcome{Undecided: shortage(err), Reason: why}
	}
	return Outcome{OK: true, Reason: last}
}

// judge returns why a is not a good answer, empty when it is, and what to say
// of a good one.
func (u URL) judge(a Answer) (why, good string) {
	if !wanted(u.Statuses, a.Status) {
		return fmt.Sprintf("status %d, want %s", a.Status, formatStatuses(u.Statuses)), ""
	}
	good = fmt.Sprintf("status %d", a.Status)
	if u.Digest == "" {
		return "", good
	}
	if !strings.EqualFold(u.Digest, a.Digest) {
		return fmt.Sprintf("digest differs: got %s, want %s", a.Digest, strings.ToLower(u.Digest)), ""
	}
	return "", good + ", digest as wanted"
}

func wanted(ranges []StatusRange, status int) bool {
	for _, r := range orDefault(ranges) {
		if r.From <= status && status <= r.To {
			return true
		}
	}
	return false
}

func orDefault(ranges []StatusRange) []StatusRange {
	if len(ranges) == 0 {
		return []StatusRange{{200, 299}}
	}
	return ranges
}

func (s HTTPSpec) version() string {
	if s.Version == "" {
		return "1.0"
	}
	return s.Version
}

// Fetch asks for one url and reads the answer until the server closes, as
// keepalived does: no redirects, no decoding of chunks, Content-Length is not
// looked at. Its Digest is what a url's digest has to be.
func Fetch(ctx context.Context, c Connect, version string, u URL) (Answer, error) {
	req, err := request(c, version, u)
	if err != nil {
		return Answer{}, err
	}
	overall := answerFactor * c.timeout()
	end := time.Now().Add(overall)
	conn, err := c.dial(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	if err := conn.SetWriteDeadline(time.Now().Add(c.timeout())); err != nil {
		return Answer{}, err
	}
	if _, err := conn.Write(req); err != nil {
		return Answer{}, err
	}
	p := newParser()
	if err := readAnswer(conn, p, c.timeout(), end); err != nil {
		if errors.Is(err, errTooLong) {
			return Answer{}, fmt.Errorf("answer not complete after %s", overall)
		}
		return Answer{}, err
	}
	return p.finish()
}

var errTooLong = errors.New("overall time-out")

// readAnswer feeds p until the server closes. Each read ends after each, all
// of them at end.
func readAnswer(conn net.Conn, p *parser, each time.Duration, end time.Time) error {
	buf := make([]byte, 8<<10)
	for {
		deadline, last := time.Now().Add(each), false
		if !deadline.Before(end) {
			deadline, last = end, true
		}
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		if perr := p.feed(buf[:n]); perr != nil {
			return perr
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && last && isTimeout(err):
			return errTooLong
		case err != nil:
			return err
		}
	}
}

// request returns the request that keepalived sends for u.
func request(c Connect, version string, u URL) ([]byte, error) {
	host := u.Host
	if host == "" {
		host = c.To.String() // IPv6 in brackets
	}
	if bad := strings.IndexFunc(u.Path+host, isControl); bad >= 0 || u.Path == "" {
		return nil, fmt.Errorf("path %q or host %q cannot be sent", u.Path, host)
	}
	number, connection := "1.0", ""
	switch version {
	case "1.1":
		number, connection = "1.1", "Connection: close\r\n"
	case "1.0C", "1.0c":
		connection = "Connection: close\r\n"
	}
	return fmt.Appendf(nil, "GET %s HTTP/%s\r\nUser-Agent: KeepAliveClient\r\n%sHost: %s\r\n\r\n",
		u.Path, number, connection, host), nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
