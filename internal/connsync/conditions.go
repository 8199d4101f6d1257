package connsync

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

const (
	// evidenceLasts is how long a thing that happened is worth a condition.
	evidenceLasts = 5 * time.Minute
	// A backup that never heard anybody says so after silentFirst; later silence
	// counts after silentKaname of a peer with beacons, silentKernel of others.
	silentFirst  = 30 * time.Second
	silentKaname = 10 * time.Second
	silentKernel = time.Minute
	// twoMasters is for how long two directors must announce at the same time: a
	// failover is shorter.
	twoMasters = 5 * time.Second
	// examples is how many names a condition has at most.
	examples = 3
)

// Facts are what lasting problems are concluded from, besides what a Backup
// has heard.
type Facts struct {
	Now            time.Time
	Interface      string
	Group          netip.AddrPort
	SyncID         uint8
	Keyed          bool
	Master, Backup bool
	Since          time.Time // of the role
	// MaxLen is the greatest datagram to send, MaxSize that which fits the
	// interface (0: unknown), in bytes of UDP payload.
	MaxLen, MaxSize int
	// Missed and Dropped are of what a master was to announce, with the time of
	// the newest; Overrun what the kernel dropped before we read it.
	Missed, Dropped     uint64
	MissedAt, DroppedAt time.Time
	Overrun             uint64
	CatchUp             *snapshot.CatchUp
	Kept                *Kept
	Troubles            []Trouble
}

// Trouble is something of the daemon that does not work.
type Trouble struct {
	What   string // "interface", ...
	Since  time.Time
	Detail string
}

// Conclude returns the lasting problems, by code.
func (b *Backup) Conclude(f Facts) []snapshot.Condition {
	var out []snapshot.Condition
	for _, t := range f.Troubles {
		out = append(out, trouble(f, t))
	}
	for _, conclude := range []func(Facts) (snapshot.Condition, bool){
		b.silent, b.twoMasters, b.versions, b.oversizeHeard, oversizeSent, b.refusedHeard, b.lost, behind, keptHere, catchUpFailed,
	} {
		if c, holds := conclude(f); holds {
			c.Object = f.Interface
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(x, y snapshot.Condition) int { return cmp.Compare(x.Code, y.Code) })
	return out
}

func trouble(f Facts, t Trouble) snapshot.Condition {
	c := snapshot.Condition{
		Code: "sync-trouble", Object: f.Interface, Since: t.Since,
		What:  "connections are not synchronised: " + t.Detail,
		Cause: "the sync daemon cannot do its work; it tries again each second",
	}
	switch t.What {
	case "interface", "socket":
		c.Fix = fmt.Sprintf("give the director the interface that lvs_sync_daemon names: ip link show %s; ip addr show %[1]s", f.Interface)
	case "listen":
		c.What = "backups cannot fetch the connection table: " + t.Detail
		c.Fix = "free the TCP port, or set another one"
	}
	return c
}

// silent is a backup that hears nobody.
func (b *Backup) silent(f Facts) (snapshot.Condition, bool) {
	if !f.Backup || len(f.Troubles) > 0 {
		return snapshot.Condition{}, false
	}
	var last *Peer
	for _, p := range b.Peers() {
		if last == nil || p.Last.After(last.Last) {
			last = p
		}
	}
	c := snapshot.Condition{
		Code: "sync-silent",
		Fix: fmt.Sprintf("on the master look whether it sends: tcpdump -ni INTERFACE udp port %d; on the way allow UDP to %s, and IGMP or MLD in the switch",
			f.Group.Port(), f.Group),
	}
	if last == nil || last.First.IsZero() {
		c.Since = f.Since
		c.What = fmt.Sprintf("no director has announced connections on %s since this one became a backup", f.Interface)
		c.Cause = "no master runs a sync daemon there, another group, port or syncid is configured, or multicast does not get through; a master that is kernel IPVS is silent also when it has no traffic"
		return c, f.Now.Sub(f.Since) >= silentFirst
	}
	c.Since = last.Last
	c.What = fmt.Sprintf("%s has announced nothing since %s", last.Addr, last.Last.Format(time.TimeOnly))
	if last.Kaname {
		c.Cause = "it sends something each second while it is master: it is down, is no master any more, or multicast does not get through"
		return c, f.Now.Sub(last.Last) >= silentKaname
	}
	c.Cause = "it is kernel IPVS, which is silent also when no connection changes; else it is down, or multicast does not get through"
	return c, f.Now.Sub(last.Last) >= silentKernel
}

// twoMasters is that two directors announce with one syncid. With both roles
// everywhere that is how it is meant.
func (b *Backup) twoMasters(f Facts) (snapshot.Condition, bool) {
	if f.Master && f.Backup {
		return snapshot.Condition{}, false
	}
	var names []string
	var since time.Time
	peers := b.Peers()
	for i, p := range peers {
		var other *Peer
		if f.Master && (f.SyncID == 0 || p.SyncID == f.SyncID) {
			other = &Peer{Active: f.Since, Last: f.Now}
		}
		for j, q := range peers {
			if i != j && p.SyncID == q.SyncID && (other == nil || overlap(p, q) > overlap(p, other)) {
				other = q
			}
		}
		if other == nil || f.Now.Sub(p.Last) > 2*twoMasters || f.Now.Sub(other.Last) > 2*twoMasters || overlap(p, other) < twoMasters {
			continue
		}
		names, since = append(names, p.Addr.String()), later(p.Active, other.Active)
	}
	who := strings.Join(names, " and ")
	if f.Master {
		who = "this director and " + who
	}
	return snapshot.Condition{
		Code: "sync-two-masters", Since: since,
		What:  who + " announce connections with the same syncid at the same time",
		Cause: "two clusters share a segment and a syncid, or two directors of one cluster are master at once",
		Fix:   "give each cluster its own syncid in lvs_sync_daemon; if they are one cluster, look at its VRRP instance: see the other conditions",
	}, len(names) > 0
}

// overlap is for how long both have announced at the same time.
func overlap(p, q *Peer) time.Duration {
	end := p.Last
	if q.Last.Before(end) {
		end = q.Last
	}
	return end.Sub(later(p.Active, q.Active))
}

func (b *Backup) versions(f Facts) (snapshot.Condition, bool) {
	var by [2][]string
	var since time.Time
	for _, p := range b.Peers() {
		if f.Now.Sub(p.Last) < evidenceLasts {
			by[p.Version] = append(by[p.Version], p.Addr.String())
			since = later(since, p.Active)
		}
	}
	return snapshot.Condition{
		Code: "sync-versions", Since: since,
		What:  fmt.Sprintf("%s announces in version 0 of the protocol, %s in version 1", strings.Join(by[0], ", "), strings.Join(by[1], ", ")),
		Cause: "net.ipv4.vs.sync_version differs between directors; version 0 has neither IPv6 nor timeouts",
		Fix:   "on the directors with version 0: sysctl -w net.ipv4.vs.sync_version=1",
	}, len(by[0]) > 0 && len(by[1]) > 0
}

func (b *Backup) oversizeHeard(f Facts) (snapshot.Condition, bool) {
	o := b.oversized
	return snapshot.Condition{
		Code: "sync-oversize", Since: o.Last,
		What:  fmt.Sprintf("%s sends sync messages of %d bytes; %s carries %d in one packet", o.From, o.Size, f.Interface, f.MaxSize),
		Cause: "its sync maxlen is above what the interface's MTU carries: the messages come in fragments, and all of one is lost with any of them",
		Fix:   fmt.Sprintf("on %s: lvs_sync_daemon ... maxlen %d", o.From, f.MaxSize),
	}, !o.Last.IsZero() && f.Now.Sub(o.Last) < evidenceLasts
}

func oversizeSent(f Facts) (snapshot.Condition, bool) {
	return snapshot.Condition{
		Code: "sync-oversize", Since: f.Since,
		What:  fmt.Sprintf("this director sends sync messages of up to %d bytes; %s carries %d in one packet", f.MaxLen, f.Interface, f.MaxSize),
		Cause: "maxlen is above what the interface's MTU carries: the messages leave in fragments, and all of one is lost with any of them",
		Fix:   fmt.Sprintf("lvs_sync_daemon ... maxlen %d, or a larger MTU", f.MaxSize),
	}, f.Master && f.MaxSize > 0 && f.MaxLen > f.MaxSize
}

func (b *Backup) refusedHeard(f Facts) (snapshot.Condition, bool) {
	var recent []*Refusal
	var since time.Time
	for _, r := range b.refusals {
		if f.Now.Sub(r.Last) < evidenceLasts && r.Reason != ReasonOwn {
			recent = append(recent, r)
			if since.IsZero() || r.First.Before(since) {
				since = r.First
			}
		}
	}
	slices.SortFunc(recent, func(x, y *Refusal) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), x.Addr.Compare(y.Addr), cmp.Compare(x.Reason, y.Reason))
	})
	var what, cause []string
	for _, r := range recent[:min(len(recent), examples)] {
		what = append(what, fmt.Sprintf("%d of %s (%s)", r.Count, r.Addr, r.Reason))
		if text := refusalCause(f, r); !slices.Contains(cause, text) {
			cause = append(cause, text)
		}
	}
	return snapshot.Condition{
		Code: "sync-refused", Since: since,
		What:  "sync messages are refused: " + strings.Join(what, ", "),
		Cause: strings.Join(cause, "; "),
		Fix:   "give all directors of the cluster the same syncid and the same sync_key; if the sender is none of yours, keep it off this segment",
	}, len(recent) > 0
}

func refusalCause(f Facts, r *Refusal) string {
	switch r.Reason {
	case ReasonSyncID:
		return fmt.Sprintf("%s has syncid %d, this director %d", r.Addr, r.SyncID, f.SyncID)
	case ReasonAuth:
		return fmt.Sprintf("%s does not sign with our sync_key: it has none or another one, or is kernel IPVS, or forged", r.Addr)
	case ReasonReplay:
		return fmt.Sprintf("messages of %s came again: somebody replays them, or its clock was put back", r.Addr)
	default:
		return fmt.Sprintf("messages of %s are broken or have what this director does not know", r.Addr)
	}
}

func (b *Backup) lost(f Facts) (snapshot.Condition, bool) {
	var names []string
	var since time.Time
	for _, p := range b.Peers() {
		if !p.LostAt.IsZero() && f.Now.Sub(p.LostAt) < evidenceLasts {
			names = append(names, fmt.Sprintf("%d of %s", p.Lost, p.Addr))
			since = later(since, p.LostAt)
		}
	}
	c := snapshot.Condition{
		Code: "sync-lost", Since: since,
		What:  "sync messages were lost: " + strings.Join(names, ", "),
		Cause: "the network drops multicast",
		Fix:   "look at the switch, and at ip -s link show " + f.Interface,
	}
	if b.spec.CatchUp {
		c.Cause += "; the whole table is fetched after it, at most every 10 s"
	}
	if f.Overrun > 0 {
		c.Cause += fmt.Sprintf("; this director was too slow for %d since it started", f.Overrun)
	}
	return c, len(names) > 0
}

// behind is a master that could not announce everything in time.
func behind(f Facts) (snapshot.Condition, bool) {
	recent := func(t time.Time) bool { return !t.IsZero() && f.Now.Sub(t) < evidenceLasts }
	c := snapshot.Condition{
		Code:  "sync-missed",
		Since: later(f.MissedAt, f.DroppedAt),
		Fix:   "the whole table is announced when the load falls; raise sync_qlen_max, or announce less often (sync_threshold, sync_refresh_period)",
	}
	switch {
	case recent(f.DroppedAt):
		c.What = fmt.Sprintf("%d announcements found the queue full and were dropped", f.Dropped)
		c.Cause = "connections change faster than they may be announced"
	default:
		c.What = fmt.Sprintf("%d changes of connections were not announced", f.Missed)
		c.Cause = "they came faster than this director could take them from the dataplane"
	}
	return c, recent(f.MissedAt) || recent(f.DroppedAt)
}

// keptHere names what is missing here for connections that others have.
func keptHere(f Facts) (snapshot.Condition, bool) {
	if f.Kept == nil || f.Kept.Count(lvs.NoService)+f.Kept.Count(lvs.NoServer) == 0 {
		return snapshot.Condition{}, false
	}
	n := f.Kept.Count(lvs.NoService) + f.Kept.Count(lvs.NoServer)
	return snapshot.Condition{
		Code: "sync-kept", Since: f.Since,
		What:  fmt.Sprintf("%d announced connections are to servers that this director does not have: %s", n, strings.Join(f.Kept.missing(f.Now, examples), ", ")),
		Cause: "the configurations of the directors differ",
		Fix:   "bring the configurations together; the connections are kept and placed as soon as their servers are known here",
	}, true
}

func catchUpFailed(f Facts) (snapshot.Condition, bool) {
	c := f.CatchUp
	if c == nil || c.State != "failed" || !f.Backup {
		return snapshot.Condition{}, false
	}
	return snapshot.Condition{
		Code: "sync-catch-up", Since: c.Until,
		What:  fmt.Sprintf("this backup could not fetch the connection table of %s: %s (%d of %d connections came)", c.From, c.Error, c.Have, c.Want),
		Cause: "connections from before this backup came are known only as far as they change",
		Fix:   fmt.Sprintf("allow TCP port %d from this director to %s; it is tried again", c.From.Port(), c.From.Addr()),
	}, true
}

// missing names what kept connections lack here, a few of them.
func (k *Kept) missing(now time.Time, n int) []string {
	var out []string
	some, _, _ := k.Retry(now, 0, make([]lvs.Connection, 0, 64), func(p lvs.Placement) bool { return p == lvs.NoService || p == lvs.NoServer })
	for _, c := range some {
		name := fmt.Sprintf("server %s of service %s", c.Destination, c.Virtual)
		if !slices.Contains(out, name) && len(out) < n {
			out = append(out, name)
		}
	}
	return out
}
