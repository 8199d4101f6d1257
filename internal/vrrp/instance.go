package vrrp

import (
	"net/netip"
	"time"
)

// instance is one vrrp_instance: this director's part in one virtual router.
type instance struct {
	spec  InstanceSpec
	addrs []netip.Addr // those of spec.Addresses that a version 2 advert can carry
	group *group
	order int // place in the Spec

	state    State
	since    time.Time
	reason   string
	priority uint8 // effective
	source   netip.Addr
	fault    string // why it cannot run by itself; empty when it can

	// wants tells that the Active_Down_Timer ran out and the instance waits for
	// the rest of its sync group to want the same.
	wants bool
	// ready tells that the host has the addresses: they may be announced.
	ready bool
	// preemptAt is the end of preempt_delay, zero before a lower priority
	// advert was heard. Until holdUntil (a failover) nothing is preempted.
	preemptAt, holdUntil time.Time

	master         netip.Addr
	masterPriority uint8
	lastAdvert     time.Time
	received       uint64
	releases       uint64 // of received: priority 0
	sequence       uint32 // the last one sent or heard
	sequenceSent   bool   // it was sent
	ipid           uint16

	timers [numTimers]time.Time // zero: not running
	due    time.Time            // the earliest of them
	place  int                  // in Machine.schedule, -1 when not there
}

// priorityOwner is the priority of the address owner (RFC 3768 §5.3.4);
// priorityRelease says that the Active router stops.
const (
	priorityOwner   = 255
	priorityRelease = 0
)

// skewTime is RFC 3768 §6.1: it lets the highest priority time out first.
func (i *instance) skewTime() time.Duration {
	return time.Duration(256-int(i.priority)) * time.Second / 256
}

// activeDownInterval is RFC 3768 §6.1 Master_Down_Interval, with
// down_timer_adverts in place of 3.
func (i *instance) activeDownInterval() time.Duration {
	return time.Duration(i.spec.DownTimerAdverts)*i.spec.AdvertInterval + i.skewTime()
}

// firstWait is how long a fresh Backup waits. The address owner does not wait
// (RFC 3768 §6.4.1: priority 255 goes straight to Master).
func (i *instance) firstWait() time.Duration {
	if i.priority == priorityOwner {
		return 0
	}
	return i.activeDownInterval()
}

// preempts tells whether an advert of lower priority is to be disregarded.
// The first one starts preempt_delay.
func (i *instance) preempts(now time.Time) bool {
	switch {
	case now.Before(i.holdUntil):
		return false
	case i.priority == priorityOwner: // RFC 3768 §5.3.4: whatever Preempt_Mode says
		return true
	case !i.spec.Preempt:
		return false
	case i.spec.PreemptDelay <= 0:
		return true
	}
	if i.preemptAt.IsZero() {
		i.preemptAt = now.Add(i.spec.PreemptDelay)
	}
	return !now.Before(i.preemptAt)
}

// outrankedBy tells whether the sender of an advert beats this Active router:
// higher priority, or the same and a higher address (RFC 3768 §6.4.3).
func (i *instance) outrankedBy(priority uint8, from netip.Addr) bool {
	return priority > i.priority || priority == i.priority && from.Compare(i.source) > 0
}

// hear notes who is active.
func (i *instance) hear(now time.Time, p *Packet) {
	i.master, i.masterPriority, i.lastAdvert = p.Src, p.Advert.Priority, now
}

// setSpec takes a spec over, with the defaults that keep the timers going
// whatever it says.
func (i *instance) setSpec(spec InstanceSpec) {
	if spec.AdvertInterval <= 0 {
		spec.AdvertInterval = time.Second // RFC 3768 §6.1 default
	}
	if spec.DownTimerAdverts <= 0 {
		spec.DownTimerAdverts = 3
	}
	if spec.Priority == 0 {
		spec.Priority = 100 // RFC 3768 §6.1 default; 0 means release
	}
	i.spec = spec
	i.addrs = i.addrs[:0]
	for _, a := range spec.Addresses {
		if a = a.Unmap(); a.Is4() {
			i.addrs = append(i.addrs, a)
		}
	}
}

// advert is the packet to send now; it uses up a sequence number and an IP
// identification.
func (i *instance) advert(priority uint8) []byte {
	i.ipid++
	if i.ipid == 0 { // 0 would have the kernel choose one
		i.ipid = 1
	}
	p := Packet{
		Src: i.source, Dst: Group, TTL: advertTTL, TOS: advertTOS, ID: i.ipid,
		Advert: Advert{
			Version: 2, Type: typeAdvertisement, VRID: i.spec.VRID, Priority: priority,
			Auth: i.spec.Auth, Interval: i.spec.AdvertInterval, Addresses: i.addrs,
		},
	}
	switch i.spec.Auth {
	case AuthPass:
		p.Advert.AuthData = authData(i.spec.Password)
	case AuthAH:
		i.sequence++
		i.sequenceSent = true
		p.AH, p.Sequence = true, i.sequence
		p.SPI = spiOf(i.source)
	case AuthNone:
	}
	size := ipHeaderLen + ahLen + messageHeaderLen + 4*len(i.addrs) + authDataLen
	return p.AppendTo(make([]byte, 0, size), i.spec.Password)
}

func authData(password string) (d [authDataLen]byte) {
	copy(d[:], password)
	return d
}
