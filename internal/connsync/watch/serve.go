package watch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// Server shows a Watch by HTTP: /metrics, /sessions, /summary.
type Server struct {
	Watch  *Watch
	Expect session.Expect
}

// defaultLimit is how many sessions /sessions gives unless asked for more.
const defaultLimit = 1000

// Handler returns the pages. It changes nothing, whoever asks.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /sessions", s.sessions)
	mux.HandleFunc("GET /summary", s.summary)
	return mux
}

// Serve answers on ln until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14,
	}
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}

const indexPage = `<!doctype html>
<title>kaname watch</title>
<h1>kaname watch</h1>
<ul>
<li><a href="metrics">metrics</a> for Prometheus
<li><a href="summary">summary</a>: sessions by virtual server and real server, directors, findings; ?filter=EXPR&amp;top=N
<li><a href="sessions">sessions</a>, one JSON object a line; ?filter=EXPR&amp;limit=N (1000; 0 for all)
</ul>
`

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(indexPage)) // a client that went away
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = WriteMetrics(w, s.Watch) // a client that went away
}

func (s *Server) sessions(w http.ResponseWriter, r *http.Request) {
	filter, limit, err := query(r, "limit", defaultLimit)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	_ = WriteSessions(w, s.Watch, filter, limit) // a client that went away
}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	filter, top, err := query(r, "top", 10)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.Watch.Report(filter, top, s.Expect)) // a client that went away
}

// query reads ?filter= and a number.
func query(r *http.Request, name string, def int) (*session.Filter, int, error) {
	q := r.URL.Query()
	filter, err := session.ParseFilter(q.Get("filter"))
	if err != nil {
		return nil, 0, err
	}
	if text := q.Get(name); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: want a number, not %q", name, text)
		}
		def = int(n)
	}
	return filter, def, nil
}

// WriteSessions writes the sessions that the filter chooses, a JSON object a
// line, at most limit, 0 for all.
func WriteSessions(w io.Writer, x *Watch, filter *session.Filter, limit int) error {
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	var err error
	n := 0
	x.Walk(filter, func(s *session.Session, now time.Time) bool {
		err = enc.Encode(NewSessionFields(s, now))
		n++
		return err == nil && n != limit
	})
	return errors.Join(err, out.Flush())
}
