package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/cli/ipvsadm"
	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/connsync/watch"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// print prints the view once.
func (w *watchCall) print() error {
	switch {
	case w.summary && w.json:
		return json.NewEncoder(w.out).Encode(w.x.Report(w.chosen, w.top, w.expect))
	case w.summary:
		return w.printSummary(w.x.Report(w.chosen, w.top, w.expect))
	case w.json:
		return watch.WriteSessions(w.out, w.x, w.chosen, 0)
	case w.wide:
		return w.printWide()
	}
	return ipvsadm.WriteConnections(w.out, w.connections(), ipvsadm.Numeric)
}

// connections are the sessions as the dataplane's own listing has them.
func (w *watchCall) connections() iter.Seq2[lvs.Connection, error] {
	return func(yield func(lvs.Connection, error) bool) {
		w.x.Walk(w.chosen, func(s *session.Session, now time.Time) bool {
			return yield(lvs.Connection{
				Protocol: s.Protocol, Client: s.Client, Virtual: s.Virtual, Destination: s.Dest, State: s.State,
				Expires: s.Expires(now), Timeout: s.Timeout, Template: s.IsTemplate(), FWMark: s.FWMark,
				Synced: true, NoOutput: s.Flags&connsync.NoOutput != 0,
			}, nil)
		})
	}
}

const wideTime = "2006-01-02 15:04:05"

func (w *watchCall) printWide() error {
	out := bufio.NewWriterSize(w.out, 1<<16)
	fmt.Fprintf(out, "IPVS connection entries\npro expire state       source             virtual            %-18s syncid %-15s %-19s last seen\n",
		"destination", "director", "first seen")
	w.x.Walk(w.chosen, func(s *session.Session, now time.Time) bool {
		secs := int(s.Expires(now) / time.Second)
		_, err := fmt.Fprintf(out, "%-3s %02d:%02d  %-11s %-18s %-18s %-18s %-6d %-15s %s %s\n", s.Protocol.KernelName(), secs/60, secs%60,
			s.StateName(), s.Client, s.Virtual, s.Dest, s.SyncID, directorText(s), s.First.Local().Format(wideTime), s.Last.Local().Format(wideTime))
		return err == nil
	})
	return out.Flush()
}

func directorText(s *session.Session) string {
	if !s.Director.IsValid() {
		return "unknown"
	}
	return s.Director.String()
}

func (w *watchCall) printSummary(r watch.Report) error {
	out := bufio.NewWriter(w.out)
	t := table{}
	t.row("VIRTUAL SERVER", "ACTIVE", "INACTIVE", "TEMPLATES", "STATES", "DIRECTORS")
	for _, v := range r.Virtuals {
		t.row(summaryRow(v.Protocol.KernelName()+" "+v.Virtual.String(), v.Counts)...)
		for _, d := range v.Servers {
			t.row(summaryRow("  -> "+d.Dest.String(), d.Counts)...)
		}
	}
	t.row(summaryRow("all", r.Counts)...)
	t.write(out)
	fmt.Fprintln(out)
	t = table{}
	t.row("DIRECTOR", "SYNCID", "VERSION", "DATAGRAMS", "ANNOUNCED", "REFUSED", "LAST HEARD", "SESSIONS")
	for _, d := range r.DirectorList {
		t.row(d.Director, strconv.Itoa(int(d.SyncID)), strconv.Itoa(d.Version), grouped(d.Datagrams), grouped(d.Announcements), grouped(d.Refused),
			lasted(r.Time.Sub(d.LastHeard))+" ago", knows(d))
	}
	t.write(out)
	if len(r.Clients) > 0 {
		fmt.Fprintln(out)
		t = table{}
		t.row("CLIENT", "SESSIONS")
		for _, c := range r.Clients {
			t.row(c.Client.String(), grouped(uint64(c.Sessions)))
		}
		t.write(out)
	}
	return out.Flush()
}

func summaryRow(name string, c session.Counts) []string {
	var states, directors []string
	for _, s := range slices.Sorted(maps.Keys(c.States)) {
		states = append(states, s+" "+grouped(uint64(c.States[s])))
	}
	for d, n := range c.Directors {
		directors = append(directors, fmt.Sprintf("%s %s", d, grouped(uint64(n))))
	}
	slices.Sort(directors)
	return []string{
		name, grouped(uint64(c.Active)), grouped(uint64(c.Inactive)), grouped(uint64(c.Templates)),
		dash(strings.Join(states, ", ")), dash(strings.Join(directors, ", ")),
	}
}

// knows says how many sessions of a director are known here: of a kaname
// director also of how many, and what was lost on the way.
func knows(d watch.DirectorFields) string {
	text := grouped(uint64(d.Sessions))
	if !d.Kaname {
		return text
	}
	text = fmt.Sprintf("%s of %s (kaname", text, grouped(uint64(d.Entries)))
	if d.Keyed {
		text += ", signed"
	}
	if d.Lost > 0 {
		text += fmt.Sprintf(", %s datagrams lost", grouped(d.Lost))
	}
	return text + ")"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// grouped prints 1234567 as 1,234,567.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// lastLine says at the end what was heard.
func (w *watchCall) lastLine(took time.Duration) string {
	h := w.x.Health()
	var refused uint64
	var why []string
	for r := connsync.ReasonNone + 1; r < connsync.NumReasons; r++ {
		if n := h.Table.Refused[r]; n > 0 {
			refused += n
			why = append(why, fmt.Sprintf("%s %s", r, grouped(n)))
		}
	}
	text := fmt.Sprintf("heard %s from %s: %s of connections in %s; %s now, %s created, %s expired",
		plural(h.Table.Datagrams, "datagram"), plural(uint64(len(h.Table.Directors)), "director"),
		plural(h.Table.Connections, "announcement"), took.Round(10*time.Millisecond),
		plural(uint64(h.Sessions), "session"), grouped(h.Table.Created), grouped(h.Table.Expired))
	if refused > 0 {
		text += fmt.Sprintf("; refused %s (%s)", grouped(refused), strings.Join(why, ", "))
	}
	if w.live && h.Table.Datagrams == 0 {
		text += "; a kernel director is silent while no connection changes: listen longer (--for 1m), and look whether one is master of a sync daemon with this group and port"
	}
	if h.Overruns > 0 {
		text += fmt.Sprintf("; %s lost here, not read in time (raise net.core.rmem_max)", plural(h.Overruns, "datagram"))
	}
	if h.Table.Full > 0 {
		text += fmt.Sprintf("; no room for %s (raise --max-sessions)", plural(h.Table.Full, "session"))
	}
	if w.follower != nil && w.follower.Missed() > 0 {
		text += fmt.Sprintf("; %s not shown, the output is too slow", plural(w.follower.Missed(), "event"))
	}
	if w.recorded != nil && w.recorded.Other() > 0 {
		text += fmt.Sprintf("; %s to other ports (--port)", plural(w.recorded.Other(), "UDP datagram"))
	}
	return text + actions("commands", h.Commands) + actions("webhooks", h.Webhooks)
}

// actions says what became of commands or webhooks.
func actions(what string, s watch.RunnerStats) string {
	if s.Runs+s.Dropped == 0 {
		return ""
	}
	parts := []string{fmt.Sprintf("; %s: %s run", what, grouped(s.Runs))}
	for _, n := range []struct {
		count uint64
		what  string
	}{{s.Failures, "failed"}, {s.Merged, "merged"}, {s.Dropped, "dropped"}} {
		if n.count > 0 {
			parts = append(parts, grouped(n.count)+" "+n.what)
		}
	}
	text := strings.Join(parts, ", ")
	if s.LastError != "" {
		text += " (" + printable(s.LastError) + ")"
	}
	return text
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// progress returns a watch.Capture's Progress that tells on the terminal.
func (w *watchCall) progress(size int64) func(int64) {
	last := time.Now()
	return func(read int64) {
		if time.Since(last) < 200*time.Millisecond {
			return
		}
		last = time.Now()
		fmt.Fprintf(w.env.Stderr, "\r%s: %d%%\x1b[K", printable(w.read), 100*read/max(size, 1))
	}
}
