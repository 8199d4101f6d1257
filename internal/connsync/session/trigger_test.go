package session_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/lvs"
)

// drill is a table with a machine of rules behind it, and what they did.
type drill struct {
	tb    testing.TB
	tab   *session.Table
	m     *session.Machine
	now   float64
	lines []string
}

func newDrill(tb testing.TB, rules string) *drill {
	tb.Helper()
	rs, bad := session.ParseRules("rules", rules)
	if len(bad) > 0 {
		tb.Fatal(bad)
	}
	d := &drill{tb: tb, tab: session.New(session.Options{}), m: session.NewMachine(rs)}
	d.listen()
	return d
}

func (d *drill) listen() {
	d.tab.Listen(func(e *session.Event) { d.note(d.m.Step(at(d.now), e)) }, d.m.Kinds())
}

func (d *drill) note(fs []session.Firing) {
	for _, f := range fs {
		l := fmt.Sprintf("%g %s", d.now, f.Rule.Name)
		if f.Rule.Threshold != nil {
			l += fmt.Sprintf(" %d of %s since %g", f.Count, f.Of, f.Since.Sub(at(0)).Seconds())
		} else {
			l += fmt.Sprintf(" %d:", f.Total)
			for _, e := range f.Events {
				l += fmt.Sprintf(" %s %s", e.Session.Client, e.Kind())
			}
		}
		d.lines = append(d.lines, l)
	}
}

// say announces connections of clients 10.0.0.1:PORT at a time.
func (d *drill) say(now float64, server int, state lvs.ConnState, ports ...int) {
	d.tb.Helper()
	d.now = now
	var cs []connsync.Conn
	for _, p := range ports {
		cs = append(cs, tcp(fmt.Sprintf("10.0.0.1:%d", p), server, state))
	}
	apply(d.tb, d.tab, now, lb1, cs...)
}

func (d *drill) tick(now float64) {
	d.now = now
	d.tab.Expire(at(now))
	d.note(d.m.Tick(at(now)))
}

func (d *drill) want(lines ...string) {
	d.tb.Helper()
	if diff := cmp.Diff(lines, d.lines); diff != "" {
		d.tb.Errorf("firings (-want +got):\n%s", diff)
	}
}

func TestTriggerOnBeginningToMatch(t *testing.T) {
	d := newDrill(t, `trigger up { on "state=ESTABLISHED and dst=192.168.10.1"; exec "x" }`)
	d.say(1, 1, lvs.StateSynRecv, 1)
	d.say(2, 1, lvs.StateEstablished, 1)    // begins
	d.say(3, 1, lvs.StateEstablished, 1, 2) // 2 is new
	d.say(4, 1, lvs.StateFinWait, 2)
	d.say(5, 1, lvs.StateEstablished, 2) // again
	d.say(6, 2, lvs.StateEstablished, 3) // another server
	d.say(7, 1, lvs.StateEstablished, 3) // moved to this one
	d.tick(5000)                         // the end of a session is none of its beginning
	d.want("2 up 1: 10.0.0.1:1 changed", "3 up 1: 10.0.0.1:2 created", "5 up 1: 10.0.0.1:2 changed", "7 up 1: 10.0.0.1:3 moved")
}

func TestTriggerOnNamedEvents(t *testing.T) {
	d := newDrill(t, `trigger gone { on "vport=80"; events expired, refreshed; exec "x" }`)
	d.say(1, 1, lvs.StateEstablished, 1)
	d.say(2, 1, lvs.StateEstablished, 1)
	d.say(3, 1, lvs.StateClose, 1)
	d.tick(12.5)
	d.tick(13)
	d.want("2 gone 1: 10.0.0.1:1 refreshed", "13 gone 1: 10.0.0.1:1 expired")
}

func TestTriggerGathersAndWaits(t *testing.T) {
	d := newDrill(t, `
		trigger gather { on "state=ESTABLISHED"; coalesce 5s; exec "x" }
		trigger seldom { on "state=ESTABLISHED"; every 1m; exec "x" }`)
	d.say(0, 1, lvs.StateEstablished, 1)
	d.say(2, 1, lvs.StateEstablished, 2)
	d.tick(4)
	d.tick(5)
	d.tick(30)
	d.say(59, 1, lvs.StateEstablished, 3)
	d.tick(60)
	d.tick(64)
	d.want(
		"0 seldom 1: 10.0.0.1:1 created", "5 gather 2: 10.0.0.1:1 created 10.0.0.1:2 created",
		"60 seldom 2: 10.0.0.1:2 created 10.0.0.1:3 created", "64 gather 1: 10.0.0.1:3 created",
	)
}

func TestFiringCarriesABoundedNumberOfEvents(t *testing.T) {
	rs, _ := session.ParseRules("r", `trigger all { events created; coalesce 1s; exec "x" }`)
	m := session.NewMachine(rs)
	for range 5000 {
		if fs := m.Step(at(0), &session.Event{Kinds: session.Created, Session: sample()}); len(fs) > 0 {
			t.Fatal("fired before its time")
		}
	}
	if fs := m.Tick(at(1)); len(fs) != 1 || fs[0].Total != 5000 || len(fs[0].Events) != 100 {
		t.Errorf("%d firings", len(fs))
	}
}

func TestThresholdPerServer(t *testing.T) {
	d := newDrill(t, `trigger flood { on "state=SYN_RECV"; count > 2 per server for 10s; every 60s; exec "x" }`)
	d.say(0, 1, lvs.StateSynRecv, 1, 2)
	d.say(1, 2, lvs.StateSynRecv, 11, 12, 13) // holds for .2 from here
	d.say(3, 1, lvs.StateSynRecv, 3)          // for .1
	d.tick(5)
	d.say(6, 1, lvs.StateEstablished, 3) // no more
	d.say(7, 1, lvs.StateSynRecv, 3)     // again from here
	d.tick(10)
	d.tick(11)
	d.tick(16)
	d.tick(17)
	d.say(50, 2, lvs.StateSynRecv, 11, 12, 13, 14) // refreshed, and one more
	d.tick(70)                                     // those of .1 have run out
	d.tick(71)
	d.want(
		"11 flood 3 of 192.168.10.2:80 since 1", "17 flood 3 of 192.168.10.1:80 since 7",
		"71 flood 4 of 192.168.10.2:80 since 1",
	)
}

func TestThresholdFollowsMovedSessions(t *testing.T) {
	d := newDrill(t, `trigger busy { on "active"; count >= 3 per server; exec "x" }`)
	d.say(0, 1, lvs.StateEstablished, 1, 2)
	d.say(1, 2, lvs.StateEstablished, 3)
	d.say(2, 1, lvs.StateEstablished, 3) // .1 has 3: fires at once
	d.say(3, 1, lvs.StateEstablished, 4) // still: not again
	d.say(4, 2, lvs.StateEstablished, 4, 3)
	d.say(5, 1, lvs.StateEstablished, 3) // once more
	d.want("2 busy 3 of 192.168.10.1:80 since 2", "5 busy 3 of 192.168.10.1:80 since 5")
}

func TestThresholdsOfOtherGroups(t *testing.T) {
	d := newDrill(t, `
		trigger few { count < 2 for 10s; exec "x" }
		trigger client { count > 2 per client; exec "x" }
		trigger virtual { on "proto=tcp"; count >= 3 per virtual; exec "x" }`)
	d.tick(0)
	d.tick(10)
	d.say(11, 1, lvs.StateEstablished, 1, 2, 3)
	d.tick(30)
	d.tick(911) // all have run out
	d.tick(921)
	d.want(
		"10 few 0 of invalid AddrPort since 0",
		"11 client 3 of 10.0.0.1:0 since 11", "11 virtual 3 of 192.168.10.100:80 since 11",
		"921 few 0 of invalid AddrPort since 911",
	)
}

func TestMachineComesToATableThatHasSessions(t *testing.T) {
	d := newDrill(t, `trigger busy { count > 2 per server; exec "x" }`)
	d.tab.Listen(nil, 0)
	d.say(0, 1, lvs.StateEstablished, 1, 2)
	d.m.Load(d.tab)
	d.listen()
	d.say(1, 1, lvs.StateEstablished, 3)
	d.want("1 busy 3 of 192.168.10.1:80 since 1")
}

const exampleRules = `# two triggers
trigger syn-flood {
	on "state=SYN_RECV"          # half open
	count > 1000 per server for 10s
	every 60s
	exec "/usr/local/bin/alarm \"now\""
}

trigger "one two"
{
	on "state=ESTABLISHED and dst=192.168.10.1"; events created, changed
	coalesce 5s; webhook https://alarm.example.com/kaname?a=b
}
`

func TestParseRules(t *testing.T) {
	rs, bad := session.ParseRules("rules", exampleRules)
	if len(bad) > 0 || len(rs) != 2 {
		t.Fatal(rs, bad)
	}
	var got []string
	for _, r := range rs {
		got = append(got, fmt.Sprintf("%s|%s|%d|%+v|%s|%s|%s|%s", r.Name, r.When, r.On, r.Threshold, r.Coalesce, r.Repeat, r.Exec, r.Webhook))
	}
	want := []string{
		fmt.Sprintf(`syn-flood|state=SYN_RECV|0|%+v|0s|1m0s|/usr/local/bin/alarm "now"|`, rs[0].Threshold),
		`one two|state=ESTABLISHED and dst=192.168.10.1|3|<nil>|5s|0s||https://alarm.example.com/kaname?a=b`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if h := rs[0].Threshold; h.Op != ">" || h.Count != 1000 || h.Per != session.PerServer || h.For.Seconds() != 10 || h.Per.String() != "server" {
		t.Errorf("%+v", h)
	}
}

func TestRulesMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not a trigger", "on x", `r:1:1: error: want trigger NAME {, not "on"`},
		{"no name", "trigger {\n}", `r:1:9: error: after trigger want its name, not "{"`},
		{"no body", "trigger x exec", `r:1:11: error: after trigger x want {, not "exec"`},
		{"no end", "trigger x {\n exec y\n", "r:1:1: error: the trigger x has no }"},
		{"statement", "trigger x {\n  onn \"vport=1\"\n exec y\n}", `r:2:3: error: no statement "onn": there are on, events, count`},
		{"filter", "trigger x {\n  on \"vport=1 and state=OPEN\"\n exec y\n}", `r:2:25: error: filter: no state "OPEN"`},
		{"time in a filter", "trigger x { on \"idle>5\"; exec y }", "r:1:16: error: filter: age, idle and expire change without a message"},
		{"string", "trigger x { exec \"y\n}", "r:1:18: error: want a command, not a string without its closing quote"},
		{"twice", "trigger x { exec y; exec z; events created }", "r:1:21: error: exec stands here twice"},
		{"kind", "trigger x { events born; exec y }", `r:1:20: error: want created, changed, moved, refreshed or expired, not "born"`},
		{"operator", "trigger x { count 5; exec y }", `r:1:19: error: after count want >, >=, < or <=, not "5"`},
		{"number", "trigger x { count > many; exec y }", `r:1:21: error: want a number of sessions, not "many"`},
		{"group", "trigger x { count > 5 per day; exec y }", `r:1:27: error: after per want server, virtual, client or all, not "day"`},
		{"for", "trigger x { count > 5 for ever; exec y }", `r:1:27: error: want a time such as 10s or 5m, not "ever"`},
		{"too much", "trigger x { every 5s 6s; exec y; events created }", `r:1:22: error: every ends here, not with "6s"`},
		{"missing", "trigger x { every\n}", "r:1:18: error: want a time such as 10s or 5m, not the end of the line"},
		{"nothing to do", "trigger x { events created }", "r:1:1: error: the trigger x does nothing: give it exec or webhook"},
		{"no condition", "trigger x { exec y }", "r:1:1: error: the trigger x does not say when: give it on, events or count"},
		{"both", "trigger x { exec y; events created; count > 5 }", "r:1:1: error: the trigger x has both events and count"},
		{"coalesced count", "trigger x { exec y; coalesce 5s; count > 5 }", "r:1:1: error: the trigger x has both coalesce and count"},
		{"same name", "trigger x { exec y; events created }\ntrigger x { exec y; events created }", `r:2:9: error: there is a trigger "x" already`},
		{"stray brace", "}\n", `r:1:1: error: want trigger NAME {, not "}"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, bad := session.ParseRules("r", c.text)
			if len(bad) == 0 || !strings.HasPrefix(bad[0].String(), c.want) {
				t.Fatalf("got  %v\nwant %s", bad, c.want)
			}
			if lines := strings.Split(c.text, "\n"); bad[0].Source != lines[bad[0].Where.Line-1] {
				t.Errorf("source line %q", bad[0].Source)
			}
		})
	}
	if _, bad := session.ParseRules("r", "trigger x {\n evry 5s\n evnts created\n}\ntrigger y { exec }\n"); len(bad) != 3 {
		t.Errorf("%d mistakes, want all 3: %v", len(bad), bad)
	}
}

// FuzzRules: any text is rules, or has mistakes with a place; rules can be used.
func FuzzRules(f *testing.F) {
	f.Add(exampleRules)
	f.Add("trigger x { count <= 5 per virtual for 1m; every 5; exec \"\\\"\" }")
	f.Add("}{;,<>=\"\n#\\")
	f.Fuzz(func(t *testing.T, text string) {
		rs, bad := session.ParseRules("r", text)
		for _, b := range bad {
			if b.Where.Line < 1 || b.Where.Line > strings.Count(text, "\n")+1 || b.Where.Col < 1 || b.What == "" {
				t.Errorf("%+v", b)
			}
		}
		if len(bad) > 0 {
			return
		}
		m := session.NewMachine(rs)
		s := sample()
		m.Step(at(0), &session.Event{Kinds: session.Created, Session: s})
		m.Tick(at(1e6))
		m.Step(at(1e6), &session.Event{Kinds: session.Expired, Session: s})
		for _, r := range rs {
			if r.Name == "" || r.Exec == "" && r.Webhook == "" {
				t.Errorf("%+v", r)
			}
		}
	})
}
