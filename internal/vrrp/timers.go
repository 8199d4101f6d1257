package vrrp

import "time"

// timer is one of the timers of an instance.
type timer uint8

const (
	activeDownTimer timer = iota // Backup: RFC 3768 §6.2 Master_Down_Timer
	adverTimer                   // Active: RFC 3768 §6.2 Adver_Timer
	announceTimer                // Active: garp_master_delay
	refreshTimer                 // Active: garp_master_refresh
	contendedTimer               // Active: garp_lower_prio_delay
)

const numTimers = int(contendedTimer) + 1

// set arms a timer; the zero time disarms it.
func (m *Machine) set(i *instance, t timer, at time.Time) {
	i.timers[t] = at
	m.reschedule(i)
}

func (m *Machine) disarm(i *instance) {
	i.timers = [numTimers]time.Time{}
	m.reschedule(i)
}

func (m *Machine) reschedule(i *instance) {
	i.due = time.Time{}
	for _, at := range i.timers {
		if !at.IsZero() && (i.due.IsZero() || at.Before(i.due)) {
			i.due = at
		}
	}
	m.schedule.update(i)
}

// stepTimers runs what is due, the earliest first.
func (m *Machine) stepTimers(now time.Time) {
	for len(m.schedule) > 0 && !m.schedule[0].due.After(now) {
		m.fire(now, m.schedule[0])
	}
}

// fire runs one timer of i, the first of those that are due.
func (m *Machine) fire(now time.Time, i *instance) {
	for t, at := range i.timers {
		if at.IsZero() || at.After(now) {
			continue
		}
		m.set(i, timer(t), time.Time{})
		switch timer(t) {
		case activeDownTimer:
			m.timeOut(now, i)
		case adverTimer:
			m.sendAdvert(i, i.priority)
			m.set(i, adverTimer, nextTick(now, at, i.spec.AdvertInterval))
		case announceTimer:
			m.announce(i, i.spec.GARP.Repeat)
		case refreshTimer:
			m.announce(i, i.spec.GARP.RefreshRepeat)
			m.set(i, refreshTimer, nextTick(now, at, i.spec.GARP.Refresh))
		case contendedTimer:
			m.announce(i, i.spec.GARP.LowerPrioRepeat)
		}
		return
	}
}

// nextTick is the tick after at. It keeps the rhythm when the driver is a
// little late, so that the interval does not drift, and does not make up for
// ticks that were missed altogether.
func nextTick(now, at time.Time, period time.Duration) time.Time {
	if next := at.Add(period); next.After(now) {
		return next
	}
	return now.Add(period)
}

// schedule is a binary heap of the instances with a timer running, by time,
// then by their order in the Spec.
type schedule []*instance

func (s schedule) before(a, b int) bool {
	if s[a].due.Equal(s[b].due) {
		return s[a].order < s[b].order
	}
	return s[a].due.Before(s[b].due)
}

func (s schedule) swap(a, b int) {
	s[a], s[b] = s[b], s[a]
	s[a].place, s[b].place = a, b
}

// update puts i where its due time belongs, in, out or elsewhere.
func (s *schedule) update(i *instance) {
	if i.due.IsZero() {
		s.remove(i)
		return
	}
	if i.place < 0 {
		i.place = len(*s)
		*s = append(*s, i)
	}
	s.down(s.up(i.place))
}

func (s *schedule) remove(i *instance) {
	at := i.place
	if at < 0 {
		return
	}
	last := len(*s) - 1
	s.swap(at, last)
	*s = (*s)[:last]
	i.place = -1
	if at < last {
		s.down(s.up(at))
	}
}

func (s schedule) up(n int) int {
	for n > 0 {
		parent := (n - 1) / 2
		if !s.before(n, parent) {
			break
		}
		s.swap(n, parent)
		n = parent
	}
	return n
}

func (s schedule) down(n int) {
	for {
		child := 2*n + 1
		if child >= len(s) {
			return
		}
		if child+1 < len(s) && s.before(child+1, child) {
			child++
		}
		if !s.before(child, n) {
			return
		}
		s.swap(n, child)
		n = child
	}
}
