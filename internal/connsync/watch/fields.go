package watch

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// SessionFields are a session as JSON has it. The names are documented
// (docs/watch.md) and stay.
type SessionFields struct {
	Protocol    string         `json:"protocol"` // TCP, UDP, SCTP; IP for a firewall mark; else IP_n
	Expire      int            `json:"expire"`   // seconds until it runs out
	State       string         `json:"state"`
	Source      netip.AddrPort `json:"source"`
	Virtual     netip.AddrPort `json:"virtual"`
	Destination netip.AddrPort `json:"destination"`
	SyncID      uint8          `json:"syncid"`
	Director    string         `json:"director"`
	FirstSeen   time.Time      `json:"first_seen"`
	LastSeen    time.Time      `json:"last_seen"`
	Timeout     int            `json:"timeout"` // seconds, the whole of it
	Method      string         `json:"method"`
	Active      bool           `json:"active"`
	Flags       []string       `json:"flags,omitempty"`
	FWMark      uint32         `json:"fwmark,omitempty"`
	Version     uint8          `json:"version"`
}

// NewSessionFields describes s as it is at now.
func NewSessionFields(s *session.Session, now time.Time) SessionFields {
	return SessionFields{
		Protocol: s.Protocol.KernelName(), Expire: int(s.Expires(now) / time.Second), State: s.StateName(),
		Source: s.Client, Virtual: s.Virtual, Destination: s.Dest, SyncID: s.SyncID, Director: directorName(s.Director),
		FirstSeen: s.First, LastSeen: s.Last, Timeout: int(s.Timeout / time.Second),
		Method: methodName(s.Flags), Active: s.Active(), Flags: flagNames(s.Flags), FWMark: s.FWMark, Version: s.Version,
	}
}

func directorName(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}

func methodName(f connsync.Flags) string {
	switch f & connsync.MethodMask {
	case connsync.MethodNAT:
		return "NAT"
	case connsync.MethodLocal:
		return "local"
	case connsync.MethodTUN:
		return "TUN"
	case connsync.MethodDR:
		return "DR"
	case connsync.MethodBypass:
		return "bypass"
	default:
		return "unknown"
	}
}

var flagWords = []struct {
	flag connsync.Flags
	word string
}{
	{connsync.Template, "template"},
	{connsync.Synced, "synced"},
	{connsync.NoOutput, "no-output"},
	{connsync.Inactive, "inactive"},
	{connsync.InSeq, "in-seq"},
	{connsync.OutSeq, "out-seq"},
	{connsync.NoClientPort, "no-client-port"},
	{connsync.ConntrackInUse, "conntrack"},
}

func flagNames(f connsync.Flags) []string {
	var names []string
	for _, w := range flagWords {
		if f&w.flag != 0 {
			names = append(names, w.word)
		}
	}
	return names
}

// Fields are what a follower or a trigger is told: an event of a session, or
// that a threshold holds.
type Fields struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"` // created, changed, moved, refreshed, expired; threshold
	Rule  string    `json:"rule,omitempty"`
	// Merged is how many events this stands for, where triggers gather them or
	// could not keep up. The fields are those of the last one.
	Merged int `json:"merged,omitempty"`
	// Of a threshold: how many sessions there are, of whom, and since when it
	// holds.
	Count int        `json:"count,omitempty"`
	Group string     `json:"group,omitempty"`
	Since *time.Time `json:"since,omitempty"`
	// What was before, where it was different.
	OldState       string `json:"old_state,omitempty"`
	OldDestination string `json:"old_destination,omitempty"`
	OldDirector    string `json:"old_director,omitempty"`

	*SessionFields
}

// NewFields describes an event.
func NewFields(e *session.Event) Fields {
	s := NewSessionFields(&e.Session, e.Time)
	f := Fields{Time: e.Time, Event: e.Kind().String(), SessionFields: &s}
	if e.Kinds&(session.Changed|session.Moved) == 0 {
		return f
	}
	if old := oldState(e); old != s.State {
		f.OldState = old
	}
	if e.Before.Dest != e.Session.Dest {
		f.OldDestination = e.Before.Dest.String()
	}
	if e.Before.Director != e.Session.Director {
		f.OldDirector = directorName(e.Before.Director)
	}
	return f
}

// newJob is what a firing asks to be done. Firings of one rule for one session,
// of one rule that gathers, and of one group that is counted belong together.
func newJob(f *session.Firing) Job {
	j := Job{Rule: f.Rule, Key: f.Rule.Name, Merged: f.Total}
	if f.Rule.Threshold != nil {
		since := f.Since
		j.Fields = Fields{Time: f.Time, Event: "threshold", Count: f.Count, Group: groupName(f), Since: &since}
		j.Key += " " + j.Fields.Group
	} else {
		last := &f.Events[len(f.Events)-1]
		j.Fields = NewFields(last)
		if f.Rule.Coalesce == 0 && f.Rule.Repeat == 0 {
			s := &last.Session
			j.Key += fmt.Sprint(" ", uint8(s.Protocol), " ", s.Client, " ", s.Virtual, " ", s.IsTemplate())
		}
	}
	j.Fields.Rule = f.Rule.Name
	return j
}

// groupName says whose sessions a threshold counts: "all", "server
// 192.0.2.1:80", "virtual TCP 192.0.2.1:80", "client 192.0.2.1".
func groupName(f *session.Firing) string {
	switch per := f.Rule.Threshold.Per; per {
	case session.PerServer:
		return "server " + f.Of.String()
	case session.PerVirtual:
		return "virtual " + f.Protocol.KernelName() + " " + f.Of.String()
	case session.PerClient:
		return "client " + f.Of.Addr().String()
	case session.PerAll:
	}
	return "all"
}

func oldState(e *session.Event) string {
	before := e.Session
	before.State = e.Before.State
	return before.StateName()
}

// JSON returns the fields as one object with a newline behind it.
func (f Fields) JSON(merged int) ([]byte, error) {
	f.Merged = merged
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("event as JSON: %w", err)
	}
	return append(b, '\n'), nil
}

// Environment returns the fields as variables of a command: each name of the
// JSON in capitals with KANAME_ before it, and addresses and ports apart too.
func (f Fields) Environment(merged int) []string {
	var env []string
	add := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" {
			env = append(env, "KANAME_"+name+"="+text)
		}
	}
	add("TIME", f.Time.Format(time.RFC3339Nano))
	add("EVENT", f.Event)
	add("RULE", f.Rule)
	add("MERGED", merged)
	if f.Since != nil {
		add("COUNT", f.Count)
		add("GROUP", f.Group)
		add("SINCE", f.Since.Format(time.RFC3339Nano))
	}
	add("OLD_STATE", f.OldState)
	add("OLD_DESTINATION", f.OldDestination)
	add("OLD_DIRECTOR", f.OldDirector)
	if s := f.SessionFields; s != nil {
		s.environment(add)
	}
	return env
}

func (s *SessionFields) environment(add func(name string, value any)) {
	add("PROTOCOL", s.Protocol)
	add("EXPIRE", s.Expire)
	add("STATE", s.State)
	for _, a := range []struct {
		name string
		at   netip.AddrPort
	}{{"SOURCE", s.Source}, {"VIRTUAL", s.Virtual}, {"DESTINATION", s.Destination}} {
		add(a.name, a.at)
		add(a.name+"_ADDRESS", a.at.Addr())
		add(a.name+"_PORT", a.at.Port())
	}
	add("SYNCID", s.SyncID)
	add("DIRECTOR", s.Director)
	add("FIRST_SEEN", s.FirstSeen.Format(time.RFC3339Nano))
	add("LAST_SEEN", s.LastSeen.Format(time.RFC3339Nano))
	add("TIMEOUT", s.Timeout)
	add("METHOD", s.Method)
	add("ACTIVE", s.Active)
	add("FLAGS", strings.Join(s.Flags, ","))
	add("FWMARK", s.FWMark)
}
