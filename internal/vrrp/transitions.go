package vrrp

import (
	"fmt"
	"time"
)

// legal says which state may follow which.
var legal = map[State][]State{
	Initialize: {Backup, Active, Fault, Stopped},
	Backup:     {Active, Fault, Stopped},
	Active:     {Backup, Fault, Stopped},
	Fault:      {Backup, Stopped},
	Stopped:    nil,
}

// enter changes the state and tells. An illegal change is a bug in this
// package, whatever the input was.
func (m *Machine) enter(now time.Time, i *instance, to State, reason string) {
	ok := false
	for _, s := range legal[i.state] {
		ok = ok || s == to
	}
	if !ok {
		panic(fmt.Sprintf("vrrp: illegal transition of %s from %v to %v", i.spec.Name, i.state, to))
	}
	m.do(Transition{Instance: i.spec.Name, From: i.state, To: to, Priority: i.priority, Reason: reason})
	i.state, i.since, i.reason = to, now, reason
	i.wants, i.ready = false, false
	i.preemptAt, i.holdUntil = time.Time{}, time.Time{}
	m.disarm(i)
}

// becomeBackup waits for adverts, down long at first (RFC 3768 §6.4.1 (125),
// §6.4.3 (340)). Whether priority 0 is sent before is the caller's to know.
//
// Compat: keepalived passes through Backup even when the configuration says
// `state MASTER`, and waits as long there.
func (m *Machine) becomeBackup(now time.Time, i *instance, down time.Duration, reason string) {
	m.enter(now, i, Backup, reason)
	i.master, i.masterPriority = noAddr, 0
	from := now
	if m.startAt.After(now) {
		from = m.startAt
	}
	m.set(i, activeDownTimer, from.Add(down))
}

// becomeActive sends an advert first and tells then, so that a second router
// that times out in the same moment hears of us before the addresses are up
// (RFC 3768 §6.4.2, "If the Master_Down_Timer fires"). Gratuitous ARP waits for
// AddressesReady.
func (m *Machine) becomeActive(now time.Time, i *instance, reason string) {
	m.sendAdvert(i, i.priority)
	m.enter(now, i, Active, reason)
	i.master, i.masterPriority = i.source, i.priority
	m.set(i, adverTimer, now.Add(i.spec.AdvertInterval))
}

// becomeFault is keepalived's state for an instance that cannot run; it is
// Initialize in the RFC's eyes.
func (m *Machine) becomeFault(now time.Time, i *instance, reason string) {
	m.release(i)
	m.enter(now, i, Fault, reason)
	i.master, i.masterPriority = noAddr, 0
}

// becomeStopped is the end (RFC 3768 §6.4.2 and §6.4.3, Shutdown event).
func (m *Machine) becomeStopped(now time.Time, i *instance, reason string) {
	m.release(i)
	m.enter(now, i, Stopped, reason)
	i.master, i.masterPriority = noAddr, 0
}

// release sends priority 0 when i is Active and there is a way to send it.
func (m *Machine) release(i *instance) {
	if i.state == Active && i.source.IsValid() && (m.links[i.spec.Interface] || i.spec.DontTrackPrimary) {
		m.sendAdvert(i, priorityRelease)
	}
}

func (m *Machine) sendAdvert(i *instance, priority uint8) {
	m.do(SendPacket{Instance: i.spec.Name, Interface: i.spec.Interface, Packet: i.advert(priority), Priority: priority})
}

func (m *Machine) announce(i *instance, repeat int) {
	if repeat <= 0 {
		return
	}
	if len(i.spec.Announce) > 0 {
		m.do(Announce{Instance: i.spec.Name, Interface: i.spec.Interface, Addrs: i.spec.Announce, Repeat: repeat})
	}
	for _, a := range i.spec.AnnounceOn {
		m.do(Announce{Instance: i.spec.Name, Interface: a.Interface, Addrs: a.Addrs, Repeat: repeat})
	}
}
