package hostnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// monitorBuffer is the room for notifications not yet read: thousands of
// addresses may change at once. An overrun costs a dump, not a change.
const monitorBuffer = 4 << 20

// monitor is one Monitor call.
type monitor struct {
	n       *Network
	socket  *nl.NetlinkSocket
	table   *table
	recheck chan struct{} // the set of virtual addresses was replaced
	batches chan []syscall.NetlinkMessage
	out     chan Change
	pending []Change
	// overruns counts the times that notifications were lost; run's own.
	overruns int
}

// Monitor streams changes until ctx ends; then the channel is closed. It
// starts with the present state: a LinkChange of every interface, its
// PrimaryChange when it has one, and an AddressChange for each address; then
// Synced.
// A slow receiver loses nothing: what is pending is kept.
func (n *Network) Monitor(ctx context.Context) (<-chan Change, error) {
	m, err := n.newMonitor(monitorBuffer)
	if err != nil {
		return nil, fmt.Errorf("monitor: %w", err)
	}
	m.start(ctx)
	return m.out, nil
}

// newMonitor subscribes and reads the present state, in this order: nothing
// can happen in between unseen.
func (n *Network) newMonitor(buffer int) (*monitor, error) {
	s, err := n.subscribe()
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", permitted(err))
	}
	if s.SetReceiveBufferSize(buffer, true) != nil { // without CAP_NET_ADMIN
		_ = s.SetReceiveBufferSize(buffer, false) // an overrun is survived
	}
	m := &monitor{
		n: n, socket: s, table: newTable(),
		recheck: make(chan struct{}, 1),
		batches: make(chan []syscall.NetlinkMessage),
		out:     make(chan Change),
	}
	m.table.virtual = n.virtuals()
	if err := m.resync(); err != nil {
		s.Close()
		return nil, err
	}
	m.push([]Change{Synced{}})
	return m, nil
}

func (m *monitor) start(ctx context.Context) {
	m.n.mu.Lock()
	m.n.monitors[m] = true
	m.n.mu.Unlock()
	go m.read(ctx)
	go m.run(ctx)
}

// subscribe opens a socket for notifications in the network's namespace. Only
// a thread that is elsewhere has to go there, which takes CAP_SYS_ADMIN.
func (n *Network) subscribe() (*nl.NetlinkSocket, error) {
	groups := []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ours, err := n.ns.Stat()
	if err != nil {
		return nil, err
	}
	here, err := os.Stat(threadNamespace)
	if err != nil {
		return nil, err
	}
	if os.SameFile(ours, here) {
		return nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	}
	return nl.SubscribeAt(netns.NsHandle(n.ns.Fd()), netns.None(), unix.NETLINK_ROUTE, groups...)
}

// read hands on what the socket receives until the socket is closed. A nil
// batch stands for lost notifications.
func (m *monitor) read(ctx context.Context) {
	for {
		msgs, from, err := m.socket.Receive()
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			msgs = nil
			if !errors.Is(err, unix.ENOBUFS) {
				time.Sleep(time.Second) // a broken socket: look once a second instead
			}
		} else if from.Pid != nl.PidKernel {
			continue
		}
		select {
		case m.batches <- msgs:
		case <-ctx.Done():
			return
		}
	}
}

// run applies batches to the table and hands out the changes.
func (m *monitor) run(ctx context.Context) {
	defer close(m.out)
	defer m.end()
	for {
		var out chan Change
		var next Change
		if len(m.pending) > 0 {
			out, next = m.out, m.pending[0]
		}
		select {
		case out <- next:
			m.pending = m.pending[1:]
		case msgs := <-m.batches:
			m.apply(msgs)
		case <-m.recheck:
			m.push(m.table.setVirtual(m.n.virtuals()))
		case <-ctx.Done():
			return
		}
	}
}

func (m *monitor) end() {
	m.n.mu.Lock()
	delete(m.n.monitors, m)
	m.n.mu.Unlock()
	m.socket.Close()
}

// apply takes one batch. When some were lost (ENOBUFS) the whole state is
// read again; should that fail too, the next notification finds it as it is.
func (m *monitor) apply(msgs []syscall.NetlinkMessage) {
	if msgs == nil {
		m.overruns++
		_ = m.resync()
		return
	}
	for _, msg := range msgs {
		switch msg.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			if l, ok := parseLink(msg.Data); ok {
				m.push(m.applyLink(l, msg.Header.Type == unix.RTM_DELLINK))
			}
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			if a, ok := parseAddr(msg.Data); ok {
				m.push(m.applyAddr(a, msg.Header.Type == unix.RTM_DELADDR))
			}
		}
	}
}

func (m *monitor) applyLink(l Link, gone bool) []Change {
	if gone {
		return m.table.removeLink(l.Index)
	}
	return m.table.setLink(l)
}

func (m *monitor) applyAddr(a ifaddr, gone bool) []Change {
	if gone {
		return m.table.removeAddr(a)
	}
	return m.table.setAddr(a)
}

func (m *monitor) resync() error {
	links, addrs, err := m.n.dump()
	if err != nil {
		return err
	}
	m.push(m.table.replace(links, addrs))
	return nil
}

func (m *monitor) push(changes []Change) { m.pending = append(m.pending, changes...) }
