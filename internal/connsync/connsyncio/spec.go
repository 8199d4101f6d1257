package connsyncio

import (
	"fmt"
	"net/netip"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Spec is how a director synchronises its connections. The zero value of every
// field but Interface is what lvs_sync_daemon has unless told otherwise.
type Spec struct {
	// Interface carries announcements and catch-up streams. It need not exist
	// yet.
	Interface string
	// SyncID names the set of directors. A backup with 0 hears every set.
	SyncID uint8
	// MaxLen is the greatest datagram to send, in bytes of UDP payload; 0: what
	// fits an Ethernet frame.
	MaxLen int
	// Group and Port are where announcements go: 224.0.0.81 and 8848 by default.
	// The group may be an IPv6 one.
	Group netip.Addr
	Port  uint16
	// TTL of announcements, 1 by default.
	TTL int
	// Secret signs what is sent and what is accepted; "" does neither.
	Secret string
	// Rules say which changes a master announces.
	Rules lvs.SyncRules
	// QueueLen is how many datagrams wait at most when changes come faster than
	// Rate; 8192 by default.
	QueueLen int
	// Rate is how many connections a second are announced at most; 500,000 by
	// default.
	Rate int
	// CatchUp lets a backup that comes late fetch the whole table, over TCP port
	// CatchUpPort of the master (Port by default).
	CatchUp     bool
	CatchUpPort uint16
}

// Defaults of a Spec.
const (
	defaultPort     = 8848
	defaultQueueLen = 8192
	defaultRate     = 500_000
)

var defaultGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81})

// complete fills in the defaults, and says what cannot be.
func (s Spec) complete() (Spec, error) {
	if s.Interface == "" {
		return s, fmt.Errorf("sync daemon: no interface is given")
	}
	if !s.Group.IsValid() {
		s.Group = defaultGroup
	}
	if s.Group = s.Group.Unmap(); !s.Group.IsMulticast() {
		return s, fmt.Errorf("sync daemon: group %s: not a multicast address", s.Group)
	}
	if s.MaxLen == 0 {
		s.MaxLen = connsync.DefaultLen4
		if s.Group.Is6() {
			s.MaxLen = connsync.DefaultLen6
		}
	}
	if s.Port == 0 {
		s.Port = defaultPort
	}
	if s.CatchUpPort == 0 {
		s.CatchUpPort = s.Port
	}
	if s.TTL == 0 {
		s.TTL = 1
	}
	if s.QueueLen <= 0 {
		s.QueueLen = defaultQueueLen
	}
	if s.Rate <= 0 {
		s.Rate = defaultRate
	}
	return s, nil
}

// overhead is the size of the headers before a datagram's payload.
func (s Spec) overhead() int {
	if s.Group.Is6() {
		return 48
	}
	return 28
}
