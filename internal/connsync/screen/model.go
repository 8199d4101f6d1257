package screen

import (
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/kaname-lb/kaname/internal/connsync/session"
)

// Source gives what the screen shows.
type Source interface {
	// Picture fetches what the query asks for. It may take its time.
	Picture(q Query) Picture
}

// Query says what of the sessions is on the screen.
type Query struct {
	Summary bool // the summary instead of the table
	Filter  *session.Filter
	Sort    int // column, from 0
	Reverse bool
	Offset  int // rows above the first one shown
	Rows    int
}

// Picture is what there was to show.
type Picture struct {
	At        time.Time
	Took      time.Duration
	Sessions  int // in the table
	Matching  int // that the filter chooses
	Directors int
	Trouble   string            // a finding or a loss, "" for none
	Rows      []session.Session // from Offset on
	Lines     []string          // of the summary, from Offset on
}

// Model is the screen's state (tea.Model).
type Model struct {
	title         string
	source        Source
	query         Query
	width, height int
	paused        bool
	picture       Picture
	fetching      bool // a fetch is on its way
	again         bool // what it brings is out of date

	editing bool   // of the filter
	input   string // as typed
	wrong   string // what is wrong with it
}

// NewModel returns the screen before its first picture.
func NewModel(title string, source Source, filter *session.Filter) *Model {
	return &Model{title: title, source: source, query: Query{Filter: filter, Sort: columnOf("last"), Rows: 1}, input: filter.String()}
}

const (
	refresh = 500 * time.Millisecond
	// share: fetching takes at most a tenth of the time.
	share = 10
)

type (
	fetched struct{ picture Picture }
	refetch struct{}
)

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd { return m.fetch() }

// fetch fetches now, or as soon as what is on its way has come.
func (m *Model) fetch() tea.Cmd {
	if m.fetching {
		m.again = true
		return nil
	}
	m.fetching, m.again = true, false
	q, source := m.query, m.source
	return func() tea.Msg { return fetched{source.Picture(q)} }
}

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.query.Rows = max(msg.Height-frameLines, 1)
		return m, m.fetch()
	case fetched:
		m.fetching = false
		if m.again {
			return m, m.fetch()
		}
		m.picture = msg.picture
		return m, tea.Tick(max(refresh, share*msg.picture.Took), func(time.Time) tea.Msg { return refetch{} })
	case refetch:
		if m.paused {
			return m, nil
		}
		return m, m.fetch()
	case tea.PasteMsg:
		if m.editing {
			m.input += msg.Content
		}
	case tea.KeyPressMsg:
		if m.editing {
			return m, m.edit(msg)
		}
		return m, m.key(msg.String())
	}
	return m, nil
}

// key does what a key means outside of the filter.
func (m *Model) key(k string) tea.Cmd {
	q := &m.query
	page := max(q.Rows-1, 1)
	switch k {
	case "q", "ctrl+c":
		return tea.Quit
	case "/":
		m.editing, m.wrong = true, ""
		return nil
	case "space":
		if m.paused = !m.paused; m.paused {
			return nil
		}
	case "tab":
		q.Summary, q.Offset = !q.Summary, 0
	case "s":
		q.Sort, q.Reverse = (q.Sort+1)%len(columns), false
	case "r":
		q.Reverse = !q.Reverse
	case "up", "k":
		q.Offset--
	case "down", "j":
		q.Offset++
	case "pgup":
		q.Offset -= page
	case "pgdown":
		q.Offset += page
	case "home", "g":
		q.Offset = 0
	default:
		n, err := strconv.Atoi(k)
		if err != nil || n < 1 || n > len(columns) {
			return nil
		}
		q.Reverse = q.Sort == n-1 && !q.Reverse
		q.Sort = n - 1
	}
	q.Offset = min(max(q.Offset, 0), m.maxOffset())
	return m.fetch()
}

// maxScroll bounds how far down the table can be looked at: everything above
// must be sorted too. A filter goes further.
const maxScroll = 100_000

func (m *Model) maxOffset() int {
	if m.query.Summary {
		return maxScroll
	}
	return min(max(m.picture.Matching-m.query.Rows, 0), maxScroll)
}

// edit does what a key means inside the filter.
func (m *Model) edit(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "ctrl+c":
		return tea.Quit
	case "esc":
		m.editing, m.wrong, m.input = false, "", m.query.Filter.String()
	case "enter":
		f, err := session.ParseFilter(m.input)
		if err != nil {
			m.wrong = err.Error()
			return nil
		}
		m.editing, m.wrong = false, ""
		m.query.Filter, m.query.Offset = f, 0
		return m.fetch()
	case "backspace":
		if r := []rune(m.input); len(r) > 0 {
			m.input = string(r[:len(r)-1])
		}
	case "ctrl+u":
		m.input = ""
	default:
		m.input += k.Text
	}
	return nil
}
