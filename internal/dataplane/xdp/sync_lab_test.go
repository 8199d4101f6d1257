package xdp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/kaname-lb/kaname/internal/dataplane/xdp"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// push is a connection from the client to real server "one", whose end there the
// test holds: the server may speak first.
func (s *site) push(t *testing.T, port string) (client, server net.Conn) {
	t.Helper()
	var l net.Listener
	must(t, s.s1.do(func() (err error) {
		l, err = net.Listen("tcp4", "10.1.0.11:"+port)
		return err
	}))
	defer func() { _ = l.Close() }()
	c, err := s.client.dial("tcp4", vip+":"+port)
	must(t, err)
	server, err = l.Accept()
	must(t, err)
	t.Cleanup(func() {
		_ = c.Close()
		_ = server.Close()
	})
	return c, server
}

// A new director that has the connection by synchronisation alone carries what
// the server sends before the client has said anything: by the kernel's routes
// where those can be asked, else by our own.
func TestServerSpeaksFirst(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name    string
		mode    xdp.Mode
		forward string
		dropped bool // the first segments, while user space looks for the way
	}{
		{"tc", xdp.TC, "1", false},
		{"tc without ip_forward", xdp.TC, "0", true},
		{"native", xdp.Native, "1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, lvs.NAT)
			spec := xdp.Spec{Mode: tt.mode, CompleteChecksums: true}
			if tt.mode == xdp.Native {
				s.natively()
			}
			svc := service(lvs.TCP, lvs.RR, lvs.NAT, 1)
			svc.Port = 81
			svc.Destinations[0].Port = 81
			begin := func() (*xdp.Dataplane, func()) {
				d := s.director.open(spec)
				stop := run(t, d)
				must(t, d.SetInterfaces(s.ifaces))
				must(t, d.Set([]lvs.ServiceSet{svc}))
				s.ready(d)
				return d, stop
			}
			d, stop := begin()
			client, server := s.push(t, "81")
			var cs []lvs.Connection
			eventually(t, "the established connection", func() error {
				if cs = slices.Collect(d.Connections); len(cs) != 1 || cs[0].State != lvs.StateEstablished {
					return fmt.Errorf("%+v", cs)
				}
				return nil
			})
			stop()
			must(t, d.Remove())
			s.director.sysctl("net.ipv4.ip_forward", tt.forward)
			d, _ = begin()
			out := make([]lvs.Placement, 1)
			if err := d.Inject(cs, out, 0); err != nil || out[0] != lvs.Placed {
				t.Fatalf("%s, %v", out[0], err)
			}

			_, err := server.Write([]byte("first\n"))
			must(t, err)
			must(t, client.SetDeadline(time.Now().Add(10*time.Second)))
			if line, err := bufio.NewReader(client).ReadString('\n'); err != nil || line != "first\n" {
				t.Fatalf("the client reads %q, %v; reasons %v", line, err, d.Status().Reasons)
			}
			if n := d.Status().Reasons["client-unresolved"]; (n > 0) != tt.dropped {
				t.Errorf("%d replies were dropped for want of a way", n)
			}
			_, err = client.Write([]byte("second\n"))
			must(t, err)
			must(t, server.SetDeadline(time.Now().Add(10*time.Second)))
			if line, err := bufio.NewReader(server).ReadString('\n'); err != nil || line != "second\n" {
				t.Errorf("the server reads %q, %v", line, err)
			}
		})
	}
}

// What is announced while nobody is there waits for the next process, and so
// does the count of what was missed.
func TestAnnouncementsSurvive(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t, lvs.DR)
	spec := xdp.Spec{PinDir: pinDir(t)}
	d := s.director.open(spec)
	stop := run(t, d)
	must(t, d.SetInterfaces(s.ifaces))
	must(t, d.Set([]lvs.ServiceSet{service(lvs.UDP, lvs.RR, lvs.DR, 1, 1)}))
	s.ready(d)
	must(t, d.SetSync(&lvs.SyncRules{AtOnce: true}))
	if got := fetchNews(t, d, s, "udp4"); got != 1 {
		t.Errorf("%d announced of one flow", got)
	}
	stop()
	must(t, d.Close())
	for range 3 {
		_, err := s.client.fetch("udp4", vip+":80")
		must(t, err)
	}
	d = s.director.open(spec)
	run(t, d)
	must(t, d.Set([]lvs.ServiceSet{service(lvs.UDP, lvs.RR, lvs.DR, 1, 1)}))
	must(t, d.SetSync(&lvs.SyncRules{AtOnce: true}))
	n := 0
	eventually(t, "what the earlier process left", func() error {
		cs, missed, err := d.Announcements(t.Context(), make([]lvs.Connection, 0, 8))
		if n += len(cs); err != nil || missed != 0 || n != 3 {
			return errors.Join(err, fmt.Errorf("%d announced, %d missed", n, missed))
		}
		return nil
	})
	var cs []lvs.Connection
	cs, next, err := d.Walk(0, make([]lvs.Connection, 0, 64))
	if err != nil || next != 0 || len(cs) != 4 {
		t.Errorf("walk: %d connections, cursor %d, %v", len(cs), next, err)
	}
}

// fetchNews makes one flow and returns how many announcements it brings.
func fetchNews(t *testing.T, d *xdp.Dataplane, s *site, network string) int {
	t.Helper()
	_, err := s.client.fetch(network, vip+":80")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cs, _, err := d.Announcements(ctx, make([]lvs.Connection, 0, 8))
	must(t, err)
	return len(cs)
}

// The maps of before synchronisation are not misread.
func TestSchemaOneIsReplaced(t *testing.T) {
	needRoot(t)
	t.Parallel()
	h := newHost(t)
	dir := pinDir(t)
	d := h.open(xdp.Spec{PinDir: dir})
	d.SetSchema(1)
	must(t, d.Close())
	if d = h.open(xdp.Spec{PinDir: dir}); d.Adopted() {
		t.Error("maps of schema 1 were adopted")
	}
	must(t, d.Close())
	d = h.open(xdp.Spec{PinDir: dir})
	if !d.Adopted() {
		t.Error("maps of this schema were not adopted")
	}
	// A process that adopts finds lb_inject where the last one left it.
	for range 2 {
		if err := d.Inject(make([]lvs.Connection, 1), make([]lvs.Placement, 1), 0); err != nil {
			t.Error(err)
		}
		must(t, d.Close())
		if err := d.Inject(make([]lvs.Connection, 1), make([]lvs.Placement, 1), 0); err == nil {
			t.Error("Inject into a closed dataplane")
		}
		if _, _, err := d.Announcements(t.Context(), make([]lvs.Connection, 0, 1)); err == nil {
			t.Error("Announcements of a closed dataplane")
		}
		d = h.open(xdp.Spec{PinDir: dir})
	}
}
