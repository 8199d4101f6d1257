package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// NotRunningError says that no director answers on the socket.
type NotRunningError struct {
	Socket string
	// Stale is set when the socket is there and nobody listens on it.
	Stale bool
}

// Error says so and how to start one.
func (e *NotRunningError) Error() string {
	why := ""
	if e.Stale {
		why = ", left behind by one that died"
	}
	return fmt.Sprintf("no kaname runs here (socket %s%s): start it with `kaname run -f FILE`, "+
		"or name a running one with --instance and --run-dir", e.Socket, why)
}

// PermissionError says that the caller may not use the socket.
type PermissionError struct{ Socket string }

// Error says so and what to do.
func (e *PermissionError) Error() string {
	return "no permission for the control socket " + e.Socket + ": it is root's alone; run this as root"
}

// Error is what the director answered instead of what was asked for.
type Error struct {
	Status int // HTTP status
	What   string
}

// Error returns the director's words.
func (e *Error) Error() string { return e.What }

// Client asks a running director. It is safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client
}

// answerTimeout is how long a director may take to begin its answer; the
// longest is a reload of a large configuration, which takes seconds.
const answerTimeout = 30 * time.Second

// NewClient returns a client for the socket at path. It connects when asked.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{
		DialContext:           dial,
		ResponseHeaderTimeout: answerTimeout,
	}}}
}

// Status returns the director's current snapshot.
func (c *Client) Status(ctx context.Context) (*snapshot.Snapshot, error) {
	snap := &snapshot.Snapshot{}
	return snap, c.get(ctx, "/v1/status", snap)
}

// Services returns the services in the dataplane with live counts.
func (c *Client) Services(ctx context.Context) ([]lvs.ServiceStatus, error) {
	var services []lvs.ServiceStatus
	return services, c.get(ctx, "/v1/services", &services)
}

// Reload asks for a reload and waits for its outcome. A refused configuration
// is a ReloadResult with OK false and no error.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	var res ReloadResult
	resp, err := c.do(ctx, http.MethodPost, "/v1/reload")
	if err != nil {
		return res, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnprocessableEntity {
		return res, c.refusal(resp)
	}
	return res, c.decode(resp, &res)
}

// Connections streams the connection table. The last pair holds the error
// that ended the stream early, if any.
func (c *Client) Connections(ctx context.Context) iter.Seq2[lvs.Connection, error] {
	return func(yield func(lvs.Connection, error) bool) {
		if err := c.stream(ctx, yield); err != nil {
			yield(lvs.Connection{}, err)
		}
	}
}

// stream yields entries. It returns nil once yield said stop or the table is
// through.
func (c *Client) stream(ctx context.Context, yield func(lvs.Connection, error) bool) error {
	resp, err := c.do(ctx, http.MethodGet, "/v1/connections")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	dec := json.NewDecoder(bufio.NewReaderSize(resp.Body, 1<<16))
	for {
		var line connectionLine
		if err := dec.Decode(&line); err != nil {
			return fmt.Errorf("connections from %s ended early: %w", c.socket, err)
		}
		switch {
		case line.Error != "":
			return &Error{Status: http.StatusInternalServerError, What: "connections: " + line.Error}
		case line.End:
			return nil
		case line.Connection == nil:
			continue // a kind of line that a later version added
		}
		if !yield(line.Connection.Connection, nil) {
			return nil
		}
	}
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	resp, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp)
	}
	return c.decode(resp, v)
}

func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	// The host name is not looked at; it keeps the request well formed.
	req, err := http.NewRequestWithContext(ctx, method, "http://kaname"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return resp, nil
}

func (c *Client) decode(resp *http.Response, v any) error {
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		return fmt.Errorf("answer from %s: %w", c.socket, err)
	}
	return nil
}

// refusal turns an answer that is not 200 into an error.
func (c *Client) refusal(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	var body errorBody
	if json.Unmarshal(b, &body) != nil || body.Error == "" {
		body.Error = fmt.Sprintf("%s answered %s", c.socket, resp.Status)
	}
	return &Error{Status: resp.StatusCode, What: body.Error}
}

// explain says what a failed connect means to somebody at a shell.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &NotRunningError{Socket: c.socket}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &NotRunningError{Socket: c.socket, Stale: true}
	case errors.Is(err, fs.ErrPermission):
		return &PermissionError{Socket: c.socket}
	}
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return fmt.Errorf("the director on %s does not answer: it hangs or is stopped; its log says more: %w", c.socket, err)
	}
	return fmt.Errorf("control socket %s: %w", c.socket, err)
}
