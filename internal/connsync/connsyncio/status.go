package connsyncio

import (
	"net/netip"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// Status is the daemon at this moment.
func (d *Daemon) Status() *snapshot.Sync {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &snapshot.Sync{
		Role: d.role.String(), Since: d.since, Interface: d.spec.Interface, Group: netip.AddrPortFrom(d.spec.Group, d.spec.Port),
		SyncID: d.spec.SyncID, MaxLen: d.spec.MaxLen, TTL: d.spec.TTL, Keyed: d.key != nil, Serving: d.streams.serving,
		Sent: snapshot.SyncSent{
			Datagrams: d.sent.datagrams, Bytes: d.sent.bytes, Connections: d.sent.connections,
			Missed: d.sent.missed, Dropped: d.sent.dropped, Errors: d.sent.errors, Unfit: d.sent.unfit,
			Waiting: d.sent.waiting,
		},
		Received: snapshot.SyncReceived{
			Datagrams: d.backup.Datagrams, Bytes: d.backup.Bytes, Connections: d.backup.Connections,
			Refused: map[string]uint64{}, Placements: map[string]uint64{}, Lost: d.backup.Lost, Overrun: d.overrun,
		},
		Kept: map[string]uint64{}, KeptOverflow: d.kept.Overflow(),
	}
	if t, bad := d.worst(); bad {
		s.Trouble = t.err.Error()
	}
	for r := connsync.ReasonNone + 1; r < connsync.NumReasons; r++ {
		if n := d.backup.Refused[r]; n > 0 {
			s.Received.Refused[r.String()] = n
		}
	}
	for p := range lvs.NumPlacements {
		if n := d.placements[p]; n > 0 {
			s.Received.Placements[p.String()] = n
		}
		if n := d.kept.Count(p); n > 0 {
			s.Kept[p.String()] = n
		}
	}
	if d.catchUp != nil {
		c := *d.catchUp
		s.CatchUp = &c
	}
	s.Peers = d.peers()
	return s
}

func (d *Daemon) peers() []snapshot.SyncPeer {
	out := []snapshot.SyncPeer{}
	for _, p := range d.backup.Peers() {
		if p.First.IsZero() { // refused so far
			continue
		}
		out = append(out, snapshot.SyncPeer{
			Addr: p.Addr, SyncID: p.SyncID, Version: p.Version, Kaname: p.Kaname, Keyed: p.Keyed, First: p.First, Last: p.Last,
			Datagrams: p.Datagrams, Connections: p.Connections, Entries: p.Entries, Lost: p.Lost,
		})
	}
	return out
}

// worst is the trouble that has lasted longest.
func (d *Daemon) worst() (worst lasting, bad bool) {
	for _, t := range d.trouble {
		if !bad || t.since.Before(worst.since) {
			worst, bad = t, true
		}
	}
	return worst, bad
}

// Conditions are the lasting problems of synchronisation.
func (d *Daemon) Conditions(now time.Time) []snapshot.Condition {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := connsync.Facts{
		Now: now, Interface: d.spec.Interface, Group: netip.AddrPortFrom(d.spec.Group, d.spec.Port), SyncID: d.spec.SyncID,
		Keyed: d.key != nil, Master: d.role.master, Backup: d.role.backup, Since: d.since,
		MaxLen: d.spec.MaxLen, Missed: d.sent.missed, MissedAt: d.sent.missedAt, Dropped: d.sent.dropped, DroppedAt: d.sent.droppedAt,
		CatchUp: d.catchUp, Kept: d.kept, Overrun: d.overrun,
	}
	if d.link != nil {
		f.MaxSize = d.link.mtu - d.spec.overhead()
	}
	for what, t := range d.trouble {
		f.Troubles = append(f.Troubles, connsync.Trouble{What: what, Since: t.since, Detail: t.err.Error()})
	}
	return d.backup.Conclude(f)
}
