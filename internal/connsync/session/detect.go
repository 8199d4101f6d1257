package session

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/finding"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// Expect is what the observer knows of the network it listens to.
type Expect struct {
	// Source names where the messages came from: a group and interface, or a
	// file. Findings that are about no director have it as their place.
	Source string
	// Listening is since when.
	Listening time.Time
	// MTU is that of the segment, 0 for 1500.
	MTU int
	// Services are the virtual servers that the configuration names, Servers the
	// real servers. With an empty list sessions are not looked at for it.
	Services []lvs.ServiceKey
	Servers  []netip.AddrPort
}

const (
	// quiet is how long a director without news may be silent: kaname sends a
	// beacon every second, a kernel nothing as long as nothing happens.
	quiet = 30 * time.Second
	// recent is how long ago something counts as going on.
	recent = 10 * time.Minute
	// maxNamed is how many things of a kind are reported one by one.
	maxNamed = 20

	headers4 = 20 + 8
	headers6 = 40 + 8
)

// Detect says what is wrong with what was heard up to now. A table that was
// read from a capture is asked as of the capture's end.
func Detect(t *Table, now time.Time, e Expect) []finding.Finding {
	stats := t.Stats()
	fs := silence(&stats, now, &e)
	for i := range stats.SyncIDs {
		fs = append(fs, contended(&stats.SyncIDs[i], now, &e)...)
		fs = append(fs, mixed(&stats.SyncIDs[i], now, &e)...)
	}
	for i := range stats.Directors {
		fs = append(fs, oversize(&stats.Directors[i], &e)...)
	}
	return append(fs, unknown(t, &e)...)
}

func silence(s *Stats, now time.Time, e *Expect) []finding.Finding {
	since := s.Last
	if s.Datagrams == 0 {
		since = e.Listening
	}
	if since.IsZero() || now.Sub(since) < quiet {
		return nil
	}
	f := finding.Finding{
		Severity: finding.Warning, Rule: "sync-silent", Where: finding.Place{Object: e.Source},
		What: fmt.Sprintf("no sync message for %s", now.Sub(since).Round(time.Second)),
		Fix:  "look whether a director has a master sync daemon (lvs_sync_daemon) with this group, port and interface, and whether switches pass its multicast on (IGMP snooping without a querier does not)",
	}
	if s.Datagrams > 0 {
		f.Severity = finding.Note
		f.Evidence = fmt.Sprintf("%d messages came, the last one at %s; a director of kernel IPVS is silent while no connection changes", s.Datagrams, s.Last.UTC().Format(time.RFC3339))
	}
	return []finding.Finding{f}
}

func syncIDObject(e *Expect, id uint8) finding.Place {
	o := fmt.Sprintf("syncid %d", id)
	if e.Source != "" {
		o = e.Source + " " + o
	}
	return finding.Place{Object: o}
}

func contended(s *SyncID, now time.Time, e *Expect) []finding.Finding {
	if s.Contended.IsZero() || now.Sub(s.Contended) > recent {
		return nil
	}
	return []finding.Finding{{
		Severity: finding.Error, Rule: "sync-two-masters", Where: syncIDObject(e, s.ID),
		What:     fmt.Sprintf("two directors announce connections at the same time, %s and %s: each overwrites on the backups what the other announced", s.Contenders[0], s.Contenders[1]),
		Evidence: fmt.Sprintf("they were heard in turns up to %s, more often than a failover explains", s.Contended.UTC().Format(time.RFC3339)),
		Fix:      "give each pair of directors a syncid of its own (lvs_sync_daemon ... id N); if they are one pair, both are master: look at VRRP between them",
	}}
}

func mixed(s *SyncID, now time.Time, e *Expect) []finding.Finding {
	if s.Version0.IsZero() || s.Version1.IsZero() || now.Sub(s.Version0) > recent || now.Sub(s.Version1) > recent {
		return nil
	}
	return []finding.Finding{{
		Severity: finding.Warning, Rule: "sync-mixed-versions", Where: syncIDObject(e, s.ID),
		What:     "messages of version 0 and of version 1 come: version 0 leaves out IPv6, timeouts, firewall marks and persistence engine data, so after a failover these differ",
		Evidence: fmt.Sprintf("version 0 last at %s, version 1 last at %s", s.Version0.UTC().Format(time.RFC3339), s.Version1.UTC().Format(time.RFC3339)),
		Fix:      "set net.ipv4.vs.sync_version=1 on every director",
	}}
}

func oversize(d *Director, e *Expect) []finding.Finding {
	mtu, headers := cmp.Or(e.MTU, 1500), headers4
	if d.Addr.Is6() {
		headers = headers6
	}
	if d.Largest+headers <= mtu {
		return nil
	}
	return []finding.Finding{{
		Severity: finding.Warning, Rule: "sync-above-mtu", Where: finding.Place{Object: "director " + d.Addr.String()},
		What:     fmt.Sprintf("messages of up to %d bytes exceed the MTU of %d: they go out in fragments, of which the loss of one loses up to %d connections", d.Largest, mtu, d.Largest/36),
		Evidence: fmt.Sprintf("longest message of %d: %d bytes and %d of headers", d.Datagrams, d.Largest, headers),
		Fix:      fmt.Sprintf("set sync_maxlen (lvs_sync_daemon ... maxlen N) to %d", mtu-headers),
	}}
}

// unknown looks for sessions of virtual servers and real servers that nobody
// named.
func unknown(t *Table, e *Expect) []finding.Finding {
	if len(e.Services) == 0 && len(e.Servers) == 0 {
		return nil
	}
	virtuals, servers := tally[virtualKey]{}, tally[netip.AddrPort]{}
	known := e.known()
	for s := range t.All() {
		if len(e.Services) > 0 && !known.service(s) {
			virtuals.add(virtualKey{s.Protocol, s.Virtual}, s.Client)
		}
		if len(e.Servers) > 0 && !known.server(s) {
			servers.add(s.Dest, s.Client)
		}
	}
	fs := report(virtuals, virtualKey.compare, func(k virtualKey, n *tallied) finding.Finding {
		return finding.Finding{
			Severity: finding.Warning, Rule: "sync-unknown-service",
			Where: finding.Place{Object: fmt.Sprintf("virtual server %s %s", k.protocol, k.virtual)},
			What:  fmt.Sprintf("%d sessions of a virtual server that the configuration does not name", n.count),
			Fix:   "if it exists elsewhere, give its directors another syncid; else it was removed, or somebody on the segment invents sessions (authentication: sync_key)",
		}
	})
	return append(fs, report(servers, netip.AddrPort.Compare, func(k netip.AddrPort, n *tallied) finding.Finding {
		return finding.Finding{
			Severity: finding.Warning, Rule: "sync-unknown-server", Where: finding.Place{Object: "real server " + k.String()},
			What: fmt.Sprintf("%d sessions to a real server that the configuration does not name", n.count),
			Fix:  "compare the configurations of the directors; a backup that has no such real server drops these connections on a failover",
		}
	})...)
}

func (k virtualKey) compare(o virtualKey) int {
	return cmp.Or(cmp.Compare(k.protocol, o.protocol), k.virtual.Compare(o.virtual))
}

// knowledge is Expect's lists, to look things up.
type knowledge struct {
	services map[virtualKey]bool
	marks    map[uint32]bool
	servers  map[netip.AddrPort]bool
}

func (e *Expect) known() knowledge {
	k := knowledge{map[virtualKey]bool{}, map[uint32]bool{}, map[netip.AddrPort]bool{}}
	for _, s := range e.Services {
		if s.FWMark != 0 {
			k.marks[s.FWMark] = true
		} else {
			k.services[virtualKey{s.Protocol, netip.AddrPortFrom(s.Addr, s.Port)}] = true
		}
	}
	for _, s := range e.Servers {
		k.servers[s] = true
	}
	return k
}

// service reports whether the session's virtual server is named: by its mark,
// its address and port, or its address for all ports. The template of a service
// for all ports, and that of FTP, has port 0.
func (k *knowledge) service(s *Session) bool {
	if k.marks[s.FWMark] || k.services[virtualKey{s.Protocol, s.Virtual}] ||
		k.services[virtualKey{s.Protocol, netip.AddrPortFrom(s.Virtual.Addr(), 0)}] {
		return true
	}
	if s.Virtual.Port() != 0 || !s.IsTemplate() {
		return false
	}
	for v := range k.services {
		if v.protocol == s.Protocol && v.virtual.Addr() == s.Virtual.Addr() {
			return true
		}
	}
	return false
}

// server is service's like. The real server of a service for all ports, or of a
// firewall mark, is named without a port.
func (k *knowledge) server(s *Session) bool {
	if k.servers[s.Dest] || k.servers[netip.AddrPortFrom(s.Dest.Addr(), 0)] {
		return true
	}
	if s.Dest.Port() != 0 {
		return false
	}
	for d := range k.servers {
		if d.Addr() == s.Dest.Addr() {
			return true
		}
	}
	return false
}

// tallied is how often a thing came, and for which clients at first.
type tallied struct {
	count   int
	clients []string
}

type tally[K comparable] map[K]*tallied

func (y tally[K]) add(k K, client netip.AddrPort) {
	n := y[k]
	if n == nil {
		n = &tallied{}
		y[k] = n
	}
	if n.count++; len(n.clients) < 3 {
		n.clients = append(n.clients, client.String())
	}
}

// report makes findings of those that came most often.
func report[K comparable](y tally[K], compare func(a, b K) int, make func(K, *tallied) finding.Finding) []finding.Finding {
	var keys []K
	for k := range y {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return cmp.Or(cmp.Compare(y[b].count, y[a].count), compare(a, b)) })
	var fs []finding.Finding
	for i, k := range keys {
		f := make(k, y[k])
		f.Evidence = "clients " + strings.Join(y[k].clients, ", ")
		if i == maxNamed-1 && len(keys) > maxNamed {
			f.Evidence += fmt.Sprintf("; %d more of the kind are not listed", len(keys)-maxNamed)
		}
		if fs = append(fs, f); i == maxNamed-1 {
			break
		}
	}
	return fs
}
