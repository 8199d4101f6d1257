package keepalived

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Identities are what keepalived's processes call themselves in syslog.
const (
	IdentParent = "Keepalived"
	IdentVRRP   = "Keepalived_vrrp"
	IdentChecks = "Keepalived_healthcheckers"
)

// Line is one line of the log. A Detail is for -D alone.
type Line struct {
	Ident  string
	Level  slog.Level
	Text   string
	Detail bool
}

// Handler is a slog.Handler that writes what a director logs in the words of
// keepalived, as far as it has some for it, and else as it is.
type Handler struct {
	// Out writes one line. It may be called by many goroutines.
	Out func(Line)
	// Detail is -D.
	Detail bool
	// Ident is for lines that belong to no subsystem.
	Ident string

	attrs []slog.Attr
	group string
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || h.Detail
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	f := fields{}
	var order []string
	add := func(key string, v slog.Value) {
		if _, twice := f[key]; !twice {
			order = append(order, key)
		}
		f[key] = v.Resolve()
	}
	for _, a := range h.attrs {
		add(a.Key, a.Value)
	}
	r.Attrs(func(a slog.Attr) bool {
		add(h.group+a.Key, a.Value)
		return true
	})
	lines, known := translate(r.Message, f)
	if !known {
		lines = []Line{{Ident: h.Ident, Text: plain(r.Message, f, order), Detail: r.Level < slog.LevelInfo}}
	}
	for _, l := range lines {
		if l.Detail && !h.Detail {
			continue
		}
		l.Level = max(r.Level, slog.LevelInfo)
		if l.Ident == "" {
			l.Ident = h.Ident
		}
		h.Out(l)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(as []slog.Attr) slog.Handler {
	n := *h
	n.attrs = slices.Clone(h.attrs)
	for _, a := range as {
		n.attrs = append(n.attrs, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	return &n
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	n := *h
	n.group += name + "."
	return &n
}

// fields are a record's attributes by name.
type fields map[string]slog.Value

func (f fields) str(name string) string {
	v, ok := f[name]
	if !ok {
		return ""
	}
	return v.String()
}

// plain is "message (key value, key value)".
func plain(message string, f fields, order []string) string {
	if len(order) == 0 {
		return message
	}
	parts := make([]string, len(order))
	for i, k := range order {
		parts[i] = k + " " + f.str(k)
	}
	return message + " (" + strings.Join(parts, ", ") + ")"
}

// Console writes lines as keepalived -l does.
func Console(w io.Writer, now func() time.Time) func(Line) {
	return func(l Line) {
		fmt.Fprintf(w, "%s: %s\n", now().Format(time.ANSIC), l.Text)
	}
}
