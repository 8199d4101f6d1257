package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Server answers on the control socket.
type Server struct {
	src  Source
	log  *slog.Logger
	mux  *http.ServeMux
	http *http.Server
}

// NewServer returns a server of src. A nil log discards.
func NewServer(src Source, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{src: src, log: log, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /v1/status", s.status)
	s.mux.HandleFunc("GET /v1/services", s.services)
	s.mux.HandleFunc("GET /v1/connections", s.connections)
	s.mux.HandleFunc("POST /v1/reload", s.reload)
	s.mux.HandleFunc("/", s.unknown)
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    1 << 16,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers on ln until ctx ends, then lets running requests finish for a
// moment, closes ln and returns nil. Of a Listener it closes the socket alone:
// the lock stays with its owner, who may still have much to release. A Server
// serves once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if l, ok := ln.(*Listener); ok {
		ln = l.UnixListener
	}
	// A request ends with the daemon: a reload that waits for the loop must
	// not keep the process.
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(ln) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.http.Shutdown(grace) != nil {
			s.Close()
		}
		err = <-served
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends Serve and every running request at once.
func (s *Server) Close() {
	// The error is that of closing the listener, and of a second Close.
	_ = s.http.Close()
}

// ServeHTTP answers one request, for tests and for other listeners.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	snap := s.src.Snapshot()
	if snap == nil {
		s.fail(w, http.StatusServiceUnavailable, "the director is starting: ask again in a moment")
		return
	}
	s.answer(w, http.StatusOK, snap)
}

func (s *Server) services(w http.ResponseWriter, _ *http.Request) {
	services, err := s.src.Services()
	if err != nil {
		s.fail(w, http.StatusInternalServerError, "services: "+err.Error())
		return
	}
	if services == nil {
		services = []lvs.ServiceStatus{}
	}
	s.answer(w, http.StatusOK, services)
}

// connections streams: a table may hold millions of entries, and neither side
// should hold them all.
func (s *Server) connections(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	var broken error
	err := s.src.Connections(func(c lvs.Connection) bool {
		if broken = r.Context().Err(); broken != nil {
			return false
		}
		broken = enc.Encode(Connection{Connection: c, StateName: c.StateName()})
		return broken == nil
	})
	if broken != nil {
		return // nobody reads any more
	}
	last := connectionLine{End: true}
	if err != nil {
		last = connectionLine{Error: err.Error()}
	}
	if enc.Encode(last) == nil {
		_ = out.Flush()
	}
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	res, err := s.src.Reload(r.Context())
	if err != nil {
		s.fail(w, http.StatusInternalServerError, "reload: "+err.Error())
		return
	}
	if res.Findings == nil {
		res.Findings = []finding.Finding{}
	}
	code := http.StatusOK
	if !res.OK {
		code = http.StatusUnprocessableEntity
	}
	s.answer(w, code, res)
}

// unknown answers paths that nothing above takes, and known ones asked with
// another method.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); m != r.Method && len(pattern) > len(m) && pattern[:len(m)] == m {
			w.Header().Set("Allow", m)
			s.fail(w, http.StatusMethodNotAllowed, r.URL.Path+" is asked with "+m+", not "+r.Method)
			return
		}
	}
	s.fail(w, http.StatusNotFound, r.URL.Path+" is not known here; this kaname speaks version 1: "+
		"GET /v1/status, /v1/services, /v1/connections, POST /v1/reload")
}

func (s *Server) answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Debug("control socket: answer not sent", "reason", err)
	}
}

func (s *Server) fail(w http.ResponseWriter, code int, msg string) {
	s.answer(w, code, errorBody{Error: msg})
}
