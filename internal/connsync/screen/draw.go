package screen

import (
	"fmt"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// frameLines are the lines around the rows: title, filter, header; trouble, keys.
const frameLines = 5

const (
	reverse = "\x1b[7m"
	red     = "\x1b[31m"
	plain   = "\x1b[m"
)

// View implements tea.Model.
func (m *Model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// lines draws the whole screen, exactly as high and at most as wide as it is.
func (m *Model) lines() []string {
	if m.width == 0 {
		return nil
	}
	lines := []string{m.titleLine(), m.filterLine()}
	if m.query.Summary {
		lines = append(lines, reverse+m.fit("summary")+plain)
		for _, l := range m.picture.Lines {
			lines = append(lines, m.fit(l))
		}
	} else {
		lines = append(lines, m.tableLines()...)
	}
	for len(lines) < m.height-2 {
		lines = append(lines, "")
	}
	lines = lines[:max(m.height-2, 0)]
	lines = append(lines, red+m.fit(m.picture.Trouble)+plain,
		m.fit("q quit  / filter  1-9 s sort  r reverse  space pause  tab summary  up down pgup pgdn home"))
	return lines[:min(len(lines), m.height)]
}

func (m *Model) titleLine() string {
	p := &m.picture
	text := fmt.Sprintf("kaname watch  %s  %d of %d sessions, directors: %d", m.title, p.Matching, p.Sessions, p.Directors)
	if !p.At.IsZero() {
		text += "  " + p.At.Format("15:04:05")
	}
	if m.paused {
		text += "  [paused]"
	}
	return m.fit(text)
}

func (m *Model) filterLine() string {
	switch {
	case m.editing && m.wrong != "":
		return red + m.fit("/"+m.input+"_   "+m.wrong) + plain
	case m.editing:
		return m.fit("/" + m.input + "_")
	case m.query.Filter.String() != "":
		return m.fit("filter: " + m.query.Filter.String())
	}
	return m.fit("filter: none")
}

// tableLines are the header and the rows. A column is as wide as its widest
// cell that is shown.
func (m *Model) tableLines() []string {
	cells := make([][]string, len(m.picture.Rows)+1)
	for i, c := range columns {
		name := c.name
		if i == m.query.Sort {
			if name += "+"; m.query.Reverse {
				name = c.name + "-"
			}
		}
		cells[0] = append(cells[0], name)
		for n := range m.picture.Rows {
			cells[n+1] = append(cells[n+1], c.text(&m.picture.Rows[n], m.picture.At))
		}
	}
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = c.width
		for _, row := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	lines := make([]string, len(cells))
	for n, row := range cells {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s ", widths[i], cell)
		}
		lines[n] = m.fit(strings.TrimRight(b.String(), " "))
	}
	lines[0] = reverse + m.fill(lines[0]) + plain
	return lines
}

// fit cuts a line to the screen's width, and what a terminal would obey out.
func (m *Model) fit(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > m.width {
		return string(r[:m.width])
	}
	return s
}

// fill makes a line as wide as the screen.
func (m *Model) fill(s string) string {
	return s + strings.Repeat(" ", max(m.width-utf8.RuneCountInString(s), 0))
}
