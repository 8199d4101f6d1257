package vrrpio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// retryEvery is how often an interface that could not be opened is tried again.
const retryEvery = time.Second

// maxPacket is more than any advert has: 255 addresses and all headers.
const maxPacket = 2048

// Sockets is the Transport over raw IPv4 sockets of protocols 112 and 51, in
// the network namespace of the thread that calls its methods.
type Sockets struct {
	ioctl  int // names to indexes
	wakeUp int // eventfd
	ports  map[string]*port
	retry  time.Time // when ports that failed are tried again; zero: none did

	poll  []unix.PollFd // wakeUp first, then the sockets of owner
	owner []*port
	next  int // in poll: the first socket not yet looked at since the last poll
	buf   [maxPacket]byte
}

// Listen checks that raw sockets are permitted and returns a Transport without
// interfaces. The error says what is missing.
func Listen() (*Sockets, error) {
	probe, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("raw socket for VRRP: %w: needs root or CAP_NET_RAW", err)
	}
	if err != nil {
		return nil, fmt.Errorf("raw socket for VRRP: %w", err)
	}
	if err := unix.Close(probe); err != nil {
		return nil, fmt.Errorf("raw socket for VRRP: %w", err)
	}
	ioctl, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	wakeUp, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), unix.Close(ioctl))
	}
	s := &Sockets{ioctl: ioctl, wakeUp: wakeUp, ports: map[string]*port{}}
	s.arrange()
	return s, nil
}

// Open implements Transport.
func (s *Sockets) Open(ifaces []Interface) {
	wanted := map[string]bool{}
	for _, want := range ifaces {
		wanted[want.Name] = true
		if p := s.ports[want.Name]; p == nil || p.ah != want.AH {
			s.drop(want.Name)
			s.ports[want.Name] = &port{name: want.Name, ah: want.AH, err: errNotOpened}
		}
	}
	for name := range maps.All(s.ports) {
		if !wanted[name] {
			s.drop(name)
		}
	}
	s.refresh()
}

func (s *Sockets) drop(name string) {
	if p := s.ports[name]; p != nil {
		p.close()
		delete(s.ports, name)
	}
}

// refresh opens what is not open, or is another interface by now.
func (s *Sockets) refresh() {
	s.retry = time.Time{}
	for _, p := range s.ports {
		if p.refresh(s.ioctl); p.err != nil {
			s.retry = time.Now().Add(retryEvery)
		}
	}
	s.arrange()
}

// arrange lists the sockets for poll.
func (s *Sockets) arrange() {
	s.poll = []unix.PollFd{{Fd: int32(s.wakeUp), Events: unix.POLLIN}}
	s.owner = []*port{nil}
	for _, name := range slices.Sorted(maps.Keys(s.ports)) {
		for _, fd := range s.ports[name].receivers {
			s.poll = append(s.poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
			s.owner = append(s.owner, s.ports[name])
		}
	}
	s.next = len(s.poll)
}

// Send implements Transport.
func (s *Sockets) Send(iface string, packet []byte) error {
	p := s.ports[iface]
	if p == nil {
		return fmt.Errorf("%s: %w", iface, errNotOpened)
	}
	return p.send(packet)
}

// Receive implements Transport. The sockets take turns: one packet of each
// that has some, before they are polled again.
func (s *Sockets) Receive(deadline time.Time) (string, []byte, bool) {
	for {
		if iface, packet, ok := s.take(); ok {
			return iface, packet, true
		}
		if !s.retry.IsZero() && expired(s.retry) {
			s.refresh()
		}
		// The only error is EINTR: the runtime interrupts its threads.
		n, err := unix.Ppoll(s.poll, s.timeout(deadline), nil)
		switch {
		case err == nil && n > 0:
			s.next = 1
			if s.poll[0].Revents != 0 {
				s.awake()
				return "", nil, false
			}
		case expired(deadline):
			return "", nil, false
		}
	}
}

// take reads a packet from the sockets that the last poll found readable.
func (s *Sockets) take() (string, []byte, bool) {
	for s.next < len(s.poll) {
		i := s.next
		s.next++
		if s.poll[i].Revents == 0 {
			continue
		}
		if packet, ok := s.read(i); ok {
			return s.owner[i].name, packet, true
		}
	}
	return "", nil, false
}

func expired(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// timeout returns how long to wait: until the deadline or the next retry.
func (s *Sockets) timeout(deadline time.Time) *unix.Timespec {
	if deadline.IsZero() || (!s.retry.IsZero() && s.retry.Before(deadline)) {
		deadline = s.retry
	}
	if deadline.IsZero() {
		return nil
	}
	ts := unix.NsecToTimespec(max(0, int64(time.Until(deadline))))
	return &ts
}

// read reads one packet from the socket at poll[i].
func (s *Sockets) read(i int) ([]byte, bool) {
	n, _, err := unix.Recvfrom(int(s.poll[i].Fd), s.buf[:], unix.MSG_DONTWAIT)
	switch {
	case err == nil:
		return s.buf[:n], true
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
		// The last one is told once when the link goes; there is nothing to do.
	default:
		p := s.owner[i]
		p.close()
		p.err = fmt.Errorf("receive: %w", err)
		s.retry = time.Now().Add(retryEvery)
		s.arrange()
	}
	return nil, false
}

// Wake implements Transport.
func (s *Sockets) Wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// The only error is a full counter, which wakes as well.
	_, _ = unix.Write(s.wakeUp, one[:])
}

// awake takes the wake-up call back.
func (s *Sockets) awake() {
	var count [8]byte
	_, _ = unix.Read(s.wakeUp, count[:])
}

// Troubles implements Transport.
func (s *Sockets) Troubles() map[string]error {
	var out map[string]error
	for name, p := range s.ports {
		if p.err != nil {
			if out == nil {
				out = map[string]error{}
			}
			out[name] = p.err
		}
	}
	return out
}

// Close implements Transport. Nobody may call Wake any more.
func (s *Sockets) Close() error {
	for name := range maps.All(s.ports) {
		s.drop(name)
	}
	return errors.Join(unix.Close(s.wakeUp), unix.Close(s.ioctl))
}
