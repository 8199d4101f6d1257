package watch

import (
	"time"

	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/finding"
)

// Report is what the summary shows: the sessions in numbers, who announced
// them, and what is wrong.
type Report struct {
	Time time.Time `json:"time"`
	session.Summary
	DirectorList []DirectorFields  `json:"director_list"`
	Findings     []finding.Finding `json:"findings"`
}

// DirectorFields are a director with one syncid as JSON has it.
type DirectorFields struct {
	Director      string    `json:"director"`
	SyncID        uint8     `json:"syncid"`
	Version       int       `json:"version"`
	FirstHeard    time.Time `json:"first_heard"`
	LastHeard     time.Time `json:"last_heard"`
	Datagrams     uint64    `json:"datagrams"`
	Announcements uint64    `json:"announcements"` // connections in them
	Bytes         uint64    `json:"bytes"`
	Refused       uint64    `json:"refused"`
	Sessions      int       `json:"sessions"` // that it announced last
	// The rest is known of a kaname director.
	Kaname  bool   `json:"kaname"`
	Keyed   bool   `json:"keyed,omitempty"`
	Entries uint32 `json:"entries,omitempty"` // connections that it has
	Lost    uint64 `json:"lost,omitempty"`    // of its datagrams did not arrive here
}

// Report summarizes the sessions that the filter chooses, with the clients that
// have the most.
func (w *Watch) Report(filter *session.Filter, clients int, e session.Expect) Report {
	var r Report
	w.Look(func(t *session.Table, now time.Time) {
		r.Time = now
		r.Summary = session.Summarize(t, now, filter, clients)
		r.Findings = session.Detect(t, now, e)
		stats := t.Stats()
		r.DirectorList = make([]DirectorFields, 0, len(stats.Directors))
		for i := range stats.Directors {
			r.DirectorList = append(r.DirectorList, newDirectorFields(&stats.Directors[i]))
		}
	})
	if r.Findings == nil {
		r.Findings = []finding.Finding{}
	}
	return r
}

func newDirectorFields(d *session.Director) DirectorFields {
	return DirectorFields{
		Director: directorName(d.Addr), SyncID: d.SyncID, Version: d.Version, FirstHeard: d.First, LastHeard: d.Last,
		Datagrams: d.Datagrams, Announcements: d.Connections, Bytes: d.Bytes, Refused: d.Refused, Sessions: d.Sessions,
		Kaname: d.Kaname, Keyed: d.Keyed, Entries: d.Entries, Lost: d.Lost,
	}
}

// Findings says what is wrong with what has been heard.
func (w *Watch) Findings(e session.Expect) []finding.Finding {
	var fs []finding.Finding
	w.Look(func(t *session.Table, now time.Time) { fs = session.Detect(t, now, e) })
	return fs
}
