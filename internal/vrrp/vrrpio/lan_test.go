package vrrpio_test

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/kaname-lb/kaname/internal/vrrp/vrrpio"
)

// lan is a segment in memory: what one station sends all others receive at
// the same moment. Channels and timers only, so that it works in a bubble.
type lan struct {
	mu       sync.Mutex
	stations []*station
	sent     []string // "TIME PRIORITY" of each advert, in order
	start    time.Time
}

func newLAN() *lan { return &lan{start: time.Now()} }

// station is a router's Transport.
type station struct {
	lan  *lan
	in   chan frame
	wake chan struct{}

	mu       sync.Mutex
	opened   []vrrpio.Interface
	troubles map[string]error
	sendErr  error
	busy     int // so many more sends find the queue full
}

type frame struct {
	iface  string
	packet []byte
}

func (l *lan) join() *station {
	s := &station{lan: l, in: make(chan frame, 4096), wake: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stations = append(l.stations, s)
	return s
}

// take returns the adverts sent since the last call.
func (l *lan) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := l.sent
	l.sent = nil
	return sent
}

func (s *station) set(f func(s *station)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *station) Open(ifaces []vrrpio.Interface) { s.set(func(s *station) { s.opened = ifaces }) }

func (s *station) Send(iface string, packet []byte) error {
	s.mu.Lock()
	if s.busy > 0 {
		s.busy--
		s.mu.Unlock()
		return vrrpio.ErrBusy
	}
	err := s.sendErr
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	priority := -1
	if len(packet) > 22 {
		priority = int(packet[22]) // behind an IPv4 header of 20 bytes
	}
	s.lan.sent = append(s.lan.sent, fmt.Sprintf("%v %d", time.Since(s.lan.start), priority))
	for _, other := range s.lan.stations {
		if other != s {
			select {
			case other.in <- frame{iface, packet}:
			default: // its buffer is full, as a socket's may be
			}
		}
	}
	return nil
}

func (s *station) Receive(deadline time.Time) (string, []byte, bool) {
	select {
	case f := <-s.in:
		return f.iface, f.packet, true
	default:
	}
	var timer <-chan time.Time
	if !deadline.IsZero() {
		d := time.Until(deadline)
		if d <= 0 {
			return "", nil, false
		}
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case f := <-s.in:
		return f.iface, f.packet, true
	case <-s.wake:
	case <-timer:
	}
	return "", nil, false
}

func (s *station) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *station) Troubles() map[string]error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.troubles
}

func (s *station) Close() error { return nil }

// Announce makes a station an Announcer as well: it shows up among the adverts.
func (s *station) Announce(iface string, addrs []netip.Addr, repeat int) error {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	s.lan.sent = append(s.lan.sent, fmt.Sprintf("%v announce %v on %s x%d", time.Since(s.lan.start), addrs, iface, repeat))
	return nil
}
