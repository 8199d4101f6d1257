package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kaname-lb/kaname/internal/lvs"
	"github.com/kaname-lb/kaname/internal/snapshot"
)

// sync shows the synchronisation of connections.
func (v statusView) sync() {
	s := v.s.Sync
	if s == nil {
		return
	}
	v.title("Synchronisation of connections")
	signed := ""
	if s.Keyed {
		signed = ", signed"
	}
	fmt.Fprintf(v.out, "  %s on %s, for %s, group %s, syncid %d, maxlen %d%s\n",
		syncRole(s.Role), printable(s.Interface), v.since(s.Since), s.Group, s.SyncID, s.MaxLen, signed)
	t := table{indent: "  "}
	if s.Trouble != "" {
		t.row("trouble: " + s.Trouble)
	}
	syncSent(&t, s)
	syncReceived(&t, s)
	if kept := keptLine(s.Kept) + whatIsNot0(tallied{s.KeptOverflow, "forgotten, as too many are kept"}); kept != "" {
		t.row("kept: " + strings.TrimPrefix(kept, ", "))
	}
	if s.CatchUp != nil {
		t.row("synced: " + v.catchUp(s.CatchUp))
	}
	if s.Serving > 0 {
		t.row("giving the whole table to" + count(s.Serving, " %d director"))
	}
	v.syncPeers(&t, s.Peers)
	t.write(v.out)
}

func syncRole(role string) string {
	if role == "none" {
		return "neither master nor backup"
	}
	return role
}

// tallied is a counter that is worth a word when it is not 0.
type tallied struct {
	count uint64
	what  string
}

func whatIsNot0(all ...tallied) string {
	var text strings.Builder
	for _, n := range all {
		if n.count > 0 {
			fmt.Fprintf(&text, ", %s %s", thousands(n.count), n.what)
		}
	}
	return text.String()
}

func syncSent(t *table, s *snapshot.Sync) {
	n := s.Sent
	if !strings.Contains(s.Role, "master") && n.Datagrams == 0 {
		return
	}
	t.row(fmt.Sprintf("sent: %s connections in %s datagrams", thousands(n.Connections), thousands(n.Datagrams)) +
		whatIsNot0(tallied{n.Missed, "missed"}, tallied{n.Dropped, "dropped from a full queue"}, tallied{n.Errors, "not taken by the kernel"},
			tallied{n.Unfit, "of two address families left out"}) + count(n.Waiting, ", waiting: %d datagram"))
}

func syncReceived(t *table, s *snapshot.Sync) {
	n := s.Received
	if !strings.Contains(s.Role, "backup") && n.Datagrams == 0 {
		return
	}
	t.row(fmt.Sprintf("received: %s connections in %s datagrams", thousands(n.Connections), thousands(n.Datagrams)) +
		whatIsNot0(tallied{n.Lost, "lost on the way"}, tallied{n.Overrun, "dropped unread"}))
	for _, m := range []struct {
		what   string
		counts map[string]uint64
	}{{"what became of them", n.Placements}, {"refused", n.Refused}} {
		if text := counts(m.counts); text != "" {
			t.line(m.what + ": " + text)
		}
	}
}

// keptLine says what waits for what.
func keptLine(kept map[string]uint64) string {
	var all []string
	for _, why := range slices.Sorted(maps.Keys(kept)) {
		switch n := kept[why]; {
		case n == 0:
		case why == lvs.Unsupported.String():
			all = append(all, fmt.Sprintf("%s %s (IPv6, SCTP and templates are not carried yet; they are passed on)", thousands(n), why))
		default:
			all = append(all, thousands(n)+" "+why)
		}
	}
	return strings.Join(all, ", ")
}

// catchUp is "998,212 of 1,000,000 from 192.0.2.2:8848, running for 2s".
func (v statusView) catchUp(c *snapshot.CatchUp) string {
	text := fmt.Sprintf("%s of %s from %s, ", thousands(c.Have), thousands(c.Want), c.From)
	switch c.State {
	case "complete":
		return text + fmt.Sprintf("complete after %s, %s ago", lasted(c.Until.Sub(c.Since)), v.since(c.Until))
	case "failed":
		return text + fmt.Sprintf("failed %s ago: %s", v.since(c.Until), c.Error)
	}
	return text + c.State + " for " + v.since(c.Since)
}

func (v statusView) syncPeers(t *table, peers []snapshot.SyncPeer) {
	if len(peers) == 0 {
		return
	}
	t.row("PEER", "KIND", "SYNCID", "FIRST HEARD", "LAST HEARD", "DATAGRAMS", "CONNECTIONS", "LOST", "ITS TABLE")
	for _, p := range peers {
		entries := "-"
		if p.Entries > 0 {
			entries = thousands(p.Entries)
		}
		t.row(p.Addr.String(), peerKind(p), strconv.Itoa(int(p.SyncID)), v.since(p.First)+" ago", v.since(p.Last)+" ago",
			thousands(p.Datagrams), thousands(p.Connections), thousands(p.Lost), entries)
	}
}

func peerKind(p snapshot.SyncPeer) string {
	switch {
	case p.Kaname && p.Keyed:
		return "kaname, signed"
	case p.Kaname:
		return "kaname"
	}
	return fmt.Sprintf("kernel IPVS, version %d", p.Version)
}

// thousands prints n with a comma before every third digit from the end.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
