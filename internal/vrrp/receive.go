package vrrp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

var noAddr netip.Addr

// stepPacket takes a packet to the instance it is for.
//
// Compat: keepalived 2.2.7 starts its Adver_Timer anew with each packet it
// reads, also with those it drops, and so falls silent beside a router it
// disagrees with; here a packet that is dropped changes nothing.
func (m *Machine) stepPacket(now time.Time, in PacketReceived) {
	p := &m.heard
	err := p.Decode(in.Packet)
	i := m.byKey[key{in.Interface, p.Advert.VRID}]
	reason, detail := i.admit(p, err)
	if reason == 0 {
		reason, detail = i.authenticate(p, in.Packet)
	}
	if reason == 0 {
		reason, detail = m.listens(now, i)
	}
	if reason == 0 {
		reason, detail = i.agree(p)
	}
	if reason != 0 {
		m.ignore(i, p.Src, reason, detail)
		return
	}
	i.received++
	if p.Advert.Priority == priorityRelease {
		i.releases++
	}
	if i.state == Active {
		m.stepActive(now, i, p)
	} else {
		m.stepBackup(now, i, p)
	}
}

func (m *Machine) ignore(i *instance, from netip.Addr, reason IgnoreReason, detail string) {
	a := Ignored{From: from, Reason: reason, Detail: detail}
	if i != nil {
		a.Instance = i.spec.Name
	}
	m.do(a)
}

// admit makes the checks that need no secret, in keepalived's order: form,
// VRID, TTL, version (RFC 3768 §7.1). i is nil when there is no such VRID. A
// reason of 0 means: go on.
func (i *instance) admit(p *Packet, err error) (IgnoreReason, string) {
	var bad *DecodeError
	switch {
	case errors.As(err, &bad):
		return bad.Reason, bad.Detail
	case i == nil:
		return IgnoreVRID, fmt.Sprintf("VRID %d", p.Advert.VRID)
	case p.Src == i.source:
		return IgnoreOwn, ""
	case p.TTL != advertTTL:
		return IgnoreTTL, fmt.Sprintf("TTL %d, want %d", p.TTL, advertTTL)
	case p.Advert.Version != 2:
		return IgnoreVersion, fmt.Sprintf("VRRP version %d, ours is 2", p.Advert.Version)
	}
	return 0, ""
}

// authenticate checks type and proof (RFC 2338 §5.3.6, §10). The AH sequence
// number is common to the virtual router: whoever is Active goes on from the
// last one heard, and older ones are refused.
func (i *instance) authenticate(p *Packet, packet []byte) (IgnoreReason, string) {
	mine := i.spec.Auth
	if p.Advert.Auth != mine || p.AH != (mine == AuthAH) {
		return IgnoreAuthType, fmt.Sprintf("authentication type %v, ours is %v", p.Advert.Auth, mine)
	}
	switch mine {
	case AuthPass:
		if p.Advert.AuthData != authData(i.spec.Password) {
			return IgnorePassword, ""
		}
	case AuthAH:
		if p.SPI != spiOf(p.Src) {
			return IgnoreICV, fmt.Sprintf("SPI %#08x is not the sender's address", p.SPI)
		}
		if !VerifyICV(packet, i.spec.Password) {
			return IgnoreICV, ""
		}
		// Two that became Active at once may count in step for ever: a number
		// that we have only sent ourselves is nobody's replay.
		if p.Sequence < i.sequence || p.Sequence == i.sequence && !i.sequenceSent {
			return IgnoreReplay, fmt.Sprintf("sequence number %d after %d", p.Sequence, i.sequence)
		}
		i.sequence, i.sequenceSent = p.Sequence, false
	case AuthNone:
	}
	return 0, ""
}

// listens tells whether i takes part in the election now. It is asked after
// authenticate, so that also an instance at fault knows the sequence number to
// go on from.
func (m *Machine) listens(now time.Time, i *instance) (IgnoreReason, string) {
	switch {
	case i.state != Active && i.state != Backup:
		return IgnoreNotUp, i.state.String()
	case i.state == Backup && now.Before(m.startAt):
		return IgnoreStartup, ""
	}
	return 0, ""
}

// agree checks that the sender runs the same virtual router as we do
// (RFC 3768 §7.1). Each disagreement leaves both routers Active, since neither
// takes the other's adverts for adverts.
//
// Compat: keepalived 2.2.7 drops an advert with other addresses; later ones
// accept it and log.
func (i *instance) agree(p *Packet) (IgnoreReason, string) {
	a := &p.Advert
	if mine := wireInterval(i.spec.AdvertInterval); a.Interval != mine {
		return IgnoreInterval, fmt.Sprintf("advert interval %v, ours is %v", a.Interval, mine)
	}
	if a.Type != typeAdvertisement {
		return IgnoreType, fmt.Sprintf("packet type %d", a.Type)
	}
	if !a.ChecksumOK {
		return IgnoreChecksum, ""
	}
	if p.Dst != Group {
		return IgnoreDestination, "sent to " + p.Dst.String()
	}
	if i.spec.SkipCheckAddresses && i.state == Backup && p.Src == i.master {
		return 0, ""
	}
	if len(a.Addresses) != len(i.addrs) {
		return IgnoreAddresses, fmt.Sprintf("%d addresses, ours are %d", len(a.Addresses), len(i.addrs))
	}
	if !slices.Equal(a.Addresses, i.addrs) {
		for _, addr := range i.addrs {
			if !slices.Contains(a.Addresses, addr) {
				return IgnoreAddresses, "without " + addr.String()
			}
		}
	}
	return 0, ""
}

// wireInterval is what an interval becomes in version 2's one byte of seconds.
func wireInterval(d time.Duration) time.Duration {
	return time.Duration(uint8(d/time.Second)) * time.Second
}

// stepBackup is RFC 3768 §6.4.2.
func (m *Machine) stepBackup(now time.Time, i *instance, p *Packet) {
	priority := p.Advert.Priority
	switch {
	case priority == priorityRelease:
		i.hear(now, p)
		i.master = noAddr
		m.set(i, activeDownTimer, now.Add(i.skewTime()))
	case priority >= i.priority:
		i.preemptAt = time.Time{}
		m.follow(now, i, p)
	case !i.preempts(now):
		m.follow(now, i, p)
	default: // the timer runs on, and we take over when it ends
		i.hear(now, p)
		m.ignore(i, p.Src, IgnoreLowerPriority, fmt.Sprintf("priority %d, ours is %d", priority, i.priority))
	}
}

// follow accepts the sender as the Active router.
func (m *Machine) follow(now time.Time, i *instance, p *Packet) {
	i.hear(now, p)
	i.wants = false
	m.set(i, activeDownTimer, now.Add(i.activeDownInterval()))
}

// stepActive is RFC 3768 §6.4.3.
//
// Compat: of two address owners the one with the lower address yields, as
// among any equals; keepalived's other one would lower itself to 254 if it
// did not.
func (m *Machine) stepActive(now time.Time, i *instance, p *Packet) {
	priority := p.Advert.Priority
	switch {
	case priority == priorityRelease:
		m.assert(now, i)
	case i.outrankedBy(priority, p.Src):
		m.yield(now, i, p)
	default:
		m.contend(now, i, p)
	}
}

// assert sends an advert out of turn.
func (m *Machine) assert(now time.Time, i *instance) {
	m.sendAdvert(i, i.priority)
	m.set(i, adverTimer, now.Add(i.spec.AdvertInterval))
}

// yield gives way, without priority 0: the other is Active already. The rest
// of the sync group follows, as quietly: the other's group is Active too.
func (m *Machine) yield(now time.Time, i *instance, p *Packet) {
	if i.spec.HigherPrioSendAdvert {
		m.sendAdvert(i, i.priority)
	}
	reason := fmt.Sprintf("%v has higher priority %d", p.Src, p.Advert.Priority)
	if p.Advert.Priority == i.priority {
		reason = fmt.Sprintf("%v has the same priority %d and the higher address", p.Src, p.Advert.Priority)
	}
	m.becomeBackup(now, i, i.activeDownInterval(), reason)
	i.hear(now, p)
	m.follows(now, i, reason, func(other *instance, reason string) {
		m.becomeBackup(now, other, other.activeDownInterval(), reason)
	})
}

// contend answers another Active router of lower rank: an advert to make it
// yield, and announcements to take back the neighbours it has won.
func (m *Machine) contend(now time.Time, i *instance, p *Packet) {
	i.lastAdvert = now
	m.do(Contended{Instance: i.spec.Name, From: p.Src, Priority: p.Advert.Priority})
	if !i.spec.LowerPrioNoAdvert {
		m.assert(now, i)
	}
	for _, other := range i.group.members {
		garp := &other.spec.GARP
		if other.state != Active || !other.ready || garp.LowerPrioRepeat <= 0 {
			continue
		}
		m.announce(other, garp.LowerPrioRepeat)
		if garp.LowerPrioDelay > 0 {
			m.set(other, contendedTimer, now.Add(garp.LowerPrioDelay))
		}
	}
}
