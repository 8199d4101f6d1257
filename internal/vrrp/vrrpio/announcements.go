package vrrpio

import (
	"slices"

	"github.com/kaname-lb/kaname/internal/vrrp"
)

// maxFrames is how many ARP packets are sent in one go. A burst for thousands
// of addresses takes a tenth of a second and more, in which adverts would be
// late; in parts it takes its turn with them.
const maxFrames = 64

// announcements are bursts under way, the first of them being sent.
type announcements struct {
	jobs []vrrp.Announce
	next int // of the first job's addresses, in this round
}

func (q *announcements) push(a vrrp.Announce) {
	if len(a.Addrs) > 0 && a.Repeat > 0 {
		q.jobs = append(q.jobs, a)
	}
}

// drop forgets the bursts of an instance: its addresses are not here any more.
func (q *announcements) drop(instance string) {
	q.forget(func(a vrrp.Announce) bool { return a.Instance == instance })
}

// dropOn forgets those on an interface that cannot be used.
func (q *announcements) dropOn(iface string) {
	q.forget(func(a vrrp.Announce) bool { return a.Interface == iface })
}

func (q *announcements) forget(which func(vrrp.Announce) bool) {
	first := len(q.jobs) > 0 && which(q.jobs[0])
	q.jobs = slices.DeleteFunc(q.jobs, which)
	if first {
		q.next = 0
	}
}

// pop takes the next part: some addresses once, or, when they are few, all of
// them several times. ok is false when there is nothing to send.
func (q *announcements) pop() (part vrrp.Announce, ok bool) {
	if len(q.jobs) == 0 {
		return vrrp.Announce{}, false
	}
	job := &q.jobs[0]
	part = *job
	if len(job.Addrs) <= maxFrames {
		part.Repeat = min(job.Repeat, maxFrames/len(job.Addrs))
		job.Repeat -= part.Repeat
	} else {
		end := min(q.next+maxFrames, len(job.Addrs))
		part.Addrs, part.Repeat = job.Addrs[q.next:end], 1
		if q.next = end; end == len(job.Addrs) {
			q.next = 0
			job.Repeat--
		}
	}
	if job.Repeat == 0 {
		q.jobs = q.jobs[1:]
	}
	return part, true
}
