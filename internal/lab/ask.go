package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Answer is one HTTP answer, of our Server or of any other.
type Answer struct {
	Server string         // ServerHeader; empty when it was another server
	Saw    string         // ClientHeader: the client's address as the server sees it
	Status int            // HTTP status code
	Local  netip.AddrPort // our end of the connection
	Body   string
}

// Outcome classifies a request.
type Outcome string

// Outcomes of a request. All but OK are failures.
const (
	OK       Outcome = "ok"
	Refused  Outcome = "refused"   // connection refused
	Reset    Outcome = "reset"     // connection reset, or closed before the answer was complete
	TimedOut Outcome = "timed out" // no connection or no answer in time
	Status   Outcome = "status"    // an answer that is not 2xx
	Other    Outcome = "other"
)

func classify(err error) Outcome {
	var wrong statusError
	var network net.Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &wrong):
		return Status
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, unix.ETIMEDOUT), errors.As(err, &network) && network.Timeout():
		return TimedOut
	}
	return Other
}

type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// client is an HTTP/1.1 connection with at most one request under way.
type client struct {
	conn  net.Conn
	local netip.AddrPort
	buf   *bufio.Reader
}

func newClient(c net.Conn) *client {
	local, _ := netip.ParseAddrPort(c.LocalAddr().String())
	return &client{conn: c, local: local, buf: bufio.NewReaderSize(c, 2048)}
}

// ask sends one request and reads the answer. last asks the server to close
// the connection after it.
func (c *client) ask(path, host string, last bool, deadline time.Time) (Answer, error) {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return Answer{}, err
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if last {
		request += "Connection: close\r\n"
	}
	if _, err := io.WriteString(c.conn, request+"\r\n"); err != nil {
		return Answer{}, err
	}
	resp, err := http.ReadResponse(c.buf, nil)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := Answer{Server: resp.Header.Get(ServerHeader), Saw: resp.Header.Get(ClientHeader), Status: resp.StatusCode, Local: c.local, Body: string(body)}
	if err != nil {
		return a, err
	}
	if a.Status/100 != 2 {
		return a, statusError(a.Status)
	}
	return a, nil
}

// Get makes one request on a connection of its own.
func (h *Host) Get(ctx context.Context, to netip.AddrPort) (Answer, error) {
	return h.get(ctx, netip.AddrPort{}, to, "/", to.Addr().String())
}

func (h *Host) get(ctx context.Context, from, to netip.AddrPort, path, name string) (Answer, error) {
	conn, err := dialFrom(ctx, h, from, to)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	deadline, _ := ctx.Deadline()
	return newClient(conn).ask(path, name, true, deadline)
}

// Held is a connection that was used once and is now kept open, as a browser
// does.
type Held struct {
	c    *client
	host string
	// First is the answer to the one request made.
	First Answer
}

// Hold opens a connection, makes one request and keeps the connection open
// and idle until Close.
func (h *Host) Hold(ctx context.Context, to netip.AddrPort) (*Held, error) {
	conn, err := h.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	held := &Held{c: newClient(conn), host: to.Addr().String()}
	if held.First, err = held.Ask(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return held, nil
}

// Ask makes another request on the same connection.
func (d *Held) Ask(ctx context.Context) (Answer, error) {
	deadline, _ := ctx.Deadline()
	return d.c.ask("/", d.host, false, deadline)
}

// Local is the client's end of the connection.
func (d *Held) Local() netip.AddrPort { return d.c.local }

// Close closes the connection.
func (d *Held) Close() { d.c.conn.Close() }
