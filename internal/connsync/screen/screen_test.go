package screen_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/connsync/screen"
	"github.com/kaname-lb/kaname/internal/connsync/session"
	"github.com/kaname-lb/kaname/internal/lvs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fake gives n sessions, as many of them as are asked for, and remembers what
// was asked.
type fake struct {
	n       int
	trouble string
	asked   screen.Query
}

func (f *fake) Picture(q screen.Query) screen.Picture {
	f.asked = q
	p := screen.Picture{At: noon, Took: time.Second, Sessions: f.n, Directors: 2, Trouble: f.trouble}
	if q.Summary {
		p.Matching = f.n
		p.Lines = []string{"virtual server   active", "TCP 198.51.100.1:80   7", "bad\x1b[2Jline"}
		return p
	}
	for i := range f.n {
		s := session.Session{
			Protocol: lvs.TCP, State: lvs.StateEstablished, SyncID: 51, Director: netip.MustParseAddr("192.0.2.11"),
			Client:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 7)}), uint16(40000+i)),
			Virtual: netip.MustParseAddrPort("198.51.100.1:80"), Dest: netip.MustParseAddrPort("192.0.2.21:80"),
			First: noon.Add(-time.Duration(i) * time.Minute), Last: noon.Add(-time.Duration(i) * time.Second), Timeout: 15 * time.Minute,
		}
		if i%3 == 2 {
			s.Dest = netip.MustParseAddrPort("[2001:db8::21]:80")
		}
		if !q.Filter.Match(&s, noon) {
			continue
		}
		p.Matching++
		if i >= q.Offset && len(p.Rows) < q.Rows {
			p.Rows = append(p.Rows, s)
		}
	}
	return p
}

// play gives the model messages, and runs what they ask for but timers, which
// a refetch stands for.
func play(t *testing.T, m tea.Model, msgs ...tea.Msg) (tea.Model, bool) {
	t.Helper()
	quit := false
	for len(msgs) > 0 {
		var cmd tea.Cmd
		m, cmd = m.Update(msgs[0])
		msgs = msgs[1:]
		if cmd == nil {
			continue
		}
		done := make(chan tea.Msg, 1)
		go func() { done <- cmd() }()
		select {
		case msg := <-done:
			if _, ok := msg.(tea.QuitMsg); ok {
				quit = true
				continue
			}
			msgs = append([]tea.Msg{msg}, msgs...)
		case <-time.After(50 * time.Millisecond): // the timer until the next picture
		}
	}
	return m, quit
}

// keys are what somebody types.
func keys(words ...string) []tea.Msg {
	special := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "space": tea.KeySpace, "backspace": tea.KeyBackspace,
		"down": tea.KeyDown, "up": tea.KeyUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome,
	}
	var out []tea.Msg
	for _, w := range words {
		if code, ok := special[w]; ok {
			k := tea.KeyPressMsg{Code: code}
			if w == "space" {
				k.Text = " "
			}
			out = append(out, k)
			continue
		}
		for _, r := range w {
			out = append(out, tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
	return out
}

func content(m tea.Model) string {
	c := m.View().Content
	return strings.NewReplacer("\x1b[7m", "<", "\x1b[31m", "!", "\x1b[m", ">").Replace(c) + "\n"
}

func TestScreens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		width, height int
		source        fake
		keys          []tea.Msg
	}{
		{"table", 120, 12, fake{n: 5, trouble: "feed: warning: no sync message for 31s"}, nil},
		{"narrow", 40, 8, fake{n: 100}, nil},
		{"tiny", 10, 3, fake{n: 100}, nil},
		{"scrolled", 120, 10, fake{n: 1000}, keys("pgdown", "pgdown", "down")},
		{"past-the-end", 120, 10, fake{n: 7}, keys("pgdown", "pgdown", "pgdown")},
		{"sorted", 120, 8, fake{n: 2}, keys("4", "4")},
		{"filtering", 120, 8, fake{n: 5}, keys("/", "sport=40001")},
		{"filtered", 120, 8, fake{n: 5}, keys("/", "sport=40001", "enter")},
		{"filter-wrong", 120, 8, fake{n: 5}, keys("/", "spor=1", "enter")},
		{"filter-given-up", 120, 8, fake{n: 5}, keys("/", "spor=1", "enter", "esc")},
		{"filter-corrected", 120, 8, fake{n: 5}, keys("/", "sport=x", "enter", "backspace", "40003", "space", "and", "space", "vport=80", "enter")},
		{"paused", 120, 8, fake{n: 1}, keys("space")},
		{"summary", 60, 9, fake{n: 5}, keys("tab")},
		{"back-from-summary", 120, 8, fake{n: 1}, keys("tab", "tab")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var m tea.Model = screen.NewModel("224.0.0.81:8848 on eth0", &c.source, nil)
			m, quit := play(t, m, append([]tea.Msg{tea.WindowSizeMsg{Width: c.width, Height: c.height}}, c.keys...)...)
			if quit {
				t.Error("it quits")
			}
			got := content(m)
			if n := strings.Count(got, "\n"); n > c.height {
				t.Errorf("%d lines on a screen of %d", n, c.height)
			}
			file := filepath.Join("testdata", c.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestResize(t *testing.T) {
	t.Parallel()
	f := &fake{n: 1000}
	m, _ := play(t, screen.NewModel("x", f, nil), tea.WindowSizeMsg{Width: 100, Height: 30}, tea.WindowSizeMsg{Width: 80, Height: 14})
	if got := strings.Count(content(m), "\n"); got != 14 || f.asked.Rows != 14-5 {
		t.Errorf("%d lines, %d rows asked for; want 14 and 9", got, f.asked.Rows)
	}
}

func TestQuit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		keys []tea.Msg
		quit bool
	}{
		{keys("q"), true},
		{[]tea.Msg{tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}}, true},
		{keys("/", "q"), false}, // a letter of the filter
		{append(keys("/"), tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}), true},
	} {
		if _, quit := play(t, screen.NewModel("x", &fake{}, nil), c.keys...); quit != c.quit {
			t.Errorf("%v: quits %t, want %t", c.keys, quit, c.quit)
		}
	}
}

// TestOneFetchAtATime: a slow source is not asked again while it is busy, and
// however many pictures were asked for by keys, one timer asks for the next.
func TestOneFetchAtATime(t *testing.T) {
	t.Parallel()
	m := screen.NewModel("x", &fake{n: 3}, nil)
	first := m.Init()
	if first == nil {
		t.Fatal("nothing is fetched at the start")
	}
	if _, cmd := m.Update(tea.WindowSizeMsg{Width: 80, Height: 20}); cmd != nil {
		t.Error("a second fetch beside the first")
	}
	if _, cmd := m.Update(first()); cmd == nil {
		t.Error("what came was out of date, and nothing is fetched for it")
	}
}

func TestOneTimer(t *testing.T) {
	t.Parallel()
	f := &fake{n: 1}
	m := screen.NewModel("x", timed{f}, nil)
	_, timer := m.Update(m.Init()())
	_, again := m.Update(keys("s")[0])
	_, later := m.Update(again())
	if _, cmd := m.Update(timer()); cmd != nil {
		t.Error("the timer of an older picture fetches too")
	}
	last := later()
	_, cmd := m.Update(last)
	if cmd == nil {
		t.Fatal("the timer of the last picture fetches nothing")
	}
	m.Update(keys("space")[0])
	if _, cmd := m.Update(last); cmd != nil {
		t.Error("a paused screen fetches")
	}
}

// timed is a source that takes no time at all.
type timed struct{ *fake }

func (s timed) Picture(q screen.Query) screen.Picture {
	p := s.fake.Picture(q)
	p.Took = 0
	return p
}

func ExampleNewModel() {
	m := screen.NewModel("capture.pcap", &fake{}, nil)
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 6})
	fmt.Println(strings.Split(m.View().Content, "\n")[0])
	// Output: kaname watch  capture.pcap  0 of 0 sessions, directors: 0
}
