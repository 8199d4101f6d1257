package watch

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// sample is one line of a metric: its labels and its value.
type sample struct {
	labels string
	value  float64
}

// metric is a family of samples in the text format of Prometheus 0.0.4.
type metric struct {
	name, kind, help string
	samples          []sample
}

func (m *metric) add(value float64, labels ...string) {
	m.samples = append(m.samples, sample{labelSet(labels), value})
}

// labelSet makes {a="b",c="d"} of names and values in turns.
func labelSet(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(pairs[i] + `="` + escapeLabel.Replace(pairs[i+1]) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (m *metric) write(w io.Writer) {
	if len(m.samples) == 0 {
		return
	}
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
	for _, s := range m.samples {
		fmt.Fprintf(w, "%s%s %s\n", m.name, s.labels, number(s.value))
	}
}

// number prints whole numbers as such.
func number(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprint(int64(v))
	}
	return fmt.Sprintf("%.3f", v)
}

// WriteMetrics writes the counts of x for Prometheus.
func WriteMetrics(w io.Writer, x *Watch) error {
	h := x.Health()
	out := bufio.NewWriter(w)
	for _, m := range slices.Concat(sessionMetrics(x, &h), directorMetrics(&h), ownMetrics(&h)) {
		m.write(out)
	}
	return out.Flush()
}

const (
	gauge   = "gauge"
	counter = "counter"
)

func sessionMetrics(x *Watch, h *Health) []*metric {
	sessions := &metric{name: "kaname_watch_sessions", kind: gauge, help: "Sessions by virtual server, real server and state."}
	active := &metric{name: "kaname_watch_active", kind: gauge, help: "Sessions that count as active connections (ActiveConn)."}
	templates := &metric{name: "kaname_watch_templates", kind: gauge, help: "Persistence templates."}
	created := &metric{name: "kaname_watch_sessions_created_total", kind: counter, help: "Sessions that appeared."}
	created.add(float64(h.Table.Created))
	expired := &metric{name: "kaname_watch_sessions_expired_total", kind: counter, help: "Sessions that ran out."}
	expired.add(float64(h.Table.Expired))
	full := &metric{name: "kaname_watch_sessions_full_total", kind: counter, help: "Sessions for which the table had no room."}
	full.add(float64(h.Table.Full))
	var sum session.Summary
	x.Look(func(t *session.Table, now time.Time) { sum = session.Summarize(t, now, nil, 0) })
	for _, v := range sum.Virtuals {
		for _, d := range v.Servers {
			who := []string{"protocol", v.Protocol.KernelName(), "virtual", v.Virtual.String(), "server", d.Dest.String()}
			for _, state := range slices.Sorted(maps.Keys(d.States)) {
				sessions.add(float64(d.States[state]), append(slices.Clone(who), "state", state)...)
			}
			active.add(float64(d.Active), who...)
			if d.Templates > 0 {
				templates.add(float64(d.Templates), who...)
			}
		}
	}
	return []*metric{sessions, active, templates, created, expired, full}
}

func directorMetrics(h *Health) []*metric {
	datagrams := &metric{name: "kaname_watch_datagrams_total", kind: counter, help: "Sync datagrams by director."}
	announced := &metric{name: "kaname_watch_announcements_total", kind: counter, help: "Connections in sync datagrams that were taken, by director."}
	octets := &metric{name: "kaname_watch_datagram_bytes_total", kind: counter, help: "Bytes of sync datagrams by director."}
	lost := &metric{name: "kaname_watch_datagrams_lost_total", kind: counter, help: "Datagrams of a kaname director that did not arrive here, by its numbering."}
	entries := &metric{name: "kaname_watch_director_entries", kind: gauge, help: "Connections that a kaname director says it has."}
	heard := &metric{name: "kaname_watch_last_heard_timestamp_seconds", kind: gauge, help: "When a director was heard last."}
	for i := range h.Table.Directors {
		d := &h.Table.Directors[i]
		who := []string{"director", directorName(d.Addr), "syncid", fmt.Sprint(d.SyncID)}
		datagrams.add(float64(d.Datagrams), who...)
		announced.add(float64(d.Connections), who...)
		octets.add(float64(d.Bytes), who...)
		heard.add(float64(d.Last.UnixMilli())/1000, who...)
		if d.Kaname {
			lost.add(float64(d.Lost), who...)
			entries.add(float64(d.Entries), who...)
		}
	}
	versions := &metric{name: "kaname_watch_datagrams_by_version_total", kind: counter, help: "Sync datagrams by version of the protocol."}
	for v, n := range h.Table.Versions {
		versions.add(float64(n), "version", fmt.Sprint(v))
	}
	refused := &metric{name: "kaname_watch_refused_total", kind: counter, help: "Datagrams and connections that were not taken, by reason."}
	for r := connsync.ReasonNone + 1; r < connsync.NumReasons; r++ {
		if n := h.Table.Refused[r]; n > 0 {
			refused.add(float64(n), "reason", r.String())
		}
	}
	return []*metric{datagrams, versions, announced, octets, lost, entries, heard, refused}
}

func ownMetrics(h *Health) []*metric {
	overruns := &metric{name: "kaname_watch_overruns_total", kind: counter, help: "Datagrams lost here because they were not read in time."}
	overruns.add(float64(h.Overruns))
	fragmented := &metric{name: "kaname_watch_fragmented_total", kind: counter, help: "Datagrams that came in IP fragments, as far as it can be seen (packet capture)."}
	fragmented.add(float64(h.Fragmented))
	fired := &metric{name: "kaname_watch_trigger_fired_total", kind: counter, help: "Firings of a rule."}
	for _, name := range slices.SortedFunc(maps.Keys(h.Fired), cmp.Compare[string]) {
		fired.add(float64(h.Fired[name]), "rule", name)
	}
	runs := &metric{name: "kaname_watch_trigger_runs_total", kind: counter, help: "Commands and webhooks that ended."}
	failures := &metric{name: "kaname_watch_trigger_failures_total", kind: counter, help: "Commands and webhooks that failed."}
	merged := &metric{name: "kaname_watch_trigger_merged_total", kind: counter, help: "Firings that were merged into a later one before their turn came."}
	dropped := &metric{name: "kaname_watch_trigger_dropped_total", kind: counter, help: "Firings for which the queue had no room."}
	waiting := &metric{name: "kaname_watch_trigger_waiting", kind: gauge, help: "Firings that wait for their turn."}
	for _, k := range []struct {
		action string
		stats  RunnerStats
	}{{"exec", h.Commands}, {"webhook", h.Webhooks}} {
		runs.add(float64(k.stats.Runs), "action", k.action)
		failures.add(float64(k.stats.Failures), "action", k.action)
		merged.add(float64(k.stats.Merged), "action", k.action)
		dropped.add(float64(k.stats.Dropped), "action", k.action)
		waiting.add(float64(k.stats.Waiting), "action", k.action)
	}
	return []*metric{overruns, fragmented, fired, runs, failures, merged, dropped, waiting}
}
