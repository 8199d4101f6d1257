package lab

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// ServerHeader names the host that answered; ClientHeader is the address it
// saw the request come from.
const (
	ServerHeader = "X-Lab-Server"
	ClientHeader = "X-Lab-Client"
)

// ServerSpec says how a Server answers.
type ServerSpec struct {
	Listen      string // "0.0.0.0:80"
	Status      int    // 0 is 200
	NoKeepAlive bool   // close every connection after one answer
}

// Server is a tiny HTTP server in a host. To every request it answers with
// one line that names the host, the client's address as it sees it, and how
// many connections it has taken.
type Server struct {
	host   *Host
	listen string
	http   *http.Server
	status atomic.Int64
	taken  atomic.Int64

	mu   sync.Mutex
	ln   net.Listener
	gone bool
}

// Serve starts a server in the host. It ends with the host, or by Close.
func (h *Host) Serve(spec ServerSpec) (*Server, error) {
	s := &Server{host: h, listen: spec.Listen}
	s.SetStatus(spec.Status)
	s.http = &http.Server{Handler: http.HandlerFunc(s.answer), ConnState: func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			s.taken.Add(1)
		}
	}}
	s.http.SetKeepAlivesEnabled(!spec.NoKeepAlive)
	if err := s.OpenPort(); err != nil {
		return nil, err
	}
	h.onLose(s.Close)
	return s, nil
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(ServerHeader, s.host.Name())
	w.Header().Set(ClientHeader, r.RemoteAddr)
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(int(s.status.Load()))
	fmt.Fprintf(w, "%s saw %s, connection %d\n", s.host.Name(), r.RemoteAddr, s.taken.Load())
}

// SetStatus changes the status code of later answers; 0 is 200.
func (s *Server) SetStatus(code int) {
	if code == 0 {
		code = http.StatusOK
	}
	s.status.Store(int64(code))
}

// Connections is the number of connections taken so far.
func (s *Server) Connections() int { return int(s.taken.Load()) }

// ClosePort stops listening: new connections are refused, those that exist
// go on.
func (s *Server) ClosePort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln != nil {
		s.ln.Close()
		s.ln = nil
	}
}

// OpenPort listens again after ClosePort.
func (s *Server) OpenPort() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln != nil || s.gone {
		return nil
	}
	ln, err := s.host.Listen("tcp4", s.listen)
	if err != nil {
		return err
	}
	s.ln = ln
	// Serve returns when the listener is closed, by us, in ClosePort.
	go func() { _ = s.http.Serve(ln) }()
	return nil
}

// Close ends the server and all its connections at once.
func (s *Server) Close() {
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	s.ClosePort()
	_ = s.http.Close() // the listener is closed already; that is its only error
}
