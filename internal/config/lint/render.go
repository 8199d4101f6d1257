package lint

import (
	"fmt"
	"strings"

	"github.com/kaname-lb/kaname/internal/config"
)

// String prints the page for a terminal: what it is, the explanation, an
// example that falls into the trap, and one that does not.
func (p *Page) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s)\n%s\n\n", p.ID, p.Rule, p.Severity, sentence(p.Summary))
	if p.Keepalived != "" {
		fmt.Fprintf(&b, "keepalived: %s\n\n", p.Keepalived)
	}
	b.WriteString(p.Text + "\n")
	for _, f := range p.Files {
		switch {
		case strings.HasPrefix(f.Name, "finds"):
			continue
		case strings.HasPrefix(f.Name, "bad"):
			fmt.Fprintf(&b, "\nFound in (%s%s):\n\n", f.Name, p.places(f.Name))
		case strings.HasPrefix(f.Name, "good"):
			fmt.Fprintf(&b, "\nNot found in (%s):\n\n", f.Name)
		default:
			fmt.Fprintf(&b, "\nWith %s:\n\n", f.Name)
		}
		for l := range strings.Lines(f.Text) {
			b.WriteString(strings.TrimRight("    "+l, " \n") + "\n")
		}
	}
	return b.String()
}

// places are the lines of an example that the rule speaks at.
func (p *Page) places(name string) string {
	var lines []string
	for _, f := range p.Files {
		if !strings.HasPrefix(f.Name, "finds") {
			continue
		}
		for at := range strings.FieldsSeq(f.Text) {
			if rest, ok := strings.CutPrefix(at, name+":"); ok {
				line, _, _ := strings.Cut(rest, ":")
				lines = append(lines, line)
			}
		}
	}
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return ", line " + lines[0]
	}
	return ", lines " + strings.Join(lines, ", ")
}

// sentence is s with a capital, unless it begins with a keyword, and a full
// stop.
func sentence(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if s == "" || strings.ContainsAny(first, "_-'\"$~") || config.Lookup("virtual_server", first) != nil || config.Lookup("vrrp_instance", first) != nil {
		return s + "."
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// caption stands above an example in docs/lint.md; "" for what is not there.
func caption(file string) string {
	switch {
	case file == "bad-a.conf":
		return "Found, on one node"
	case file == "bad-b.conf":
		return "On the other"
	case file == "host.txt":
		return "On the host"
	case file == "bad.conf" || strings.HasPrefix(file, "bad-"):
		return "Found in"
	}
	return ""
}

// Markdown prints every page as docs/lint.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(markdownHead)
	b.WriteString("| rule | severity | what |\n|---|---|---|\n")
	for p := range Pages() {
		fmt.Fprintf(&b, "| [%s](#%s) %s | %s | %s |\n", p.ID, strings.ToLower(p.ID), p.Rule, p.Severity, strings.ReplaceAll(p.Summary, "|", `\|`))
	}
	for p := range Pages() {
		fmt.Fprintf(&b, "\n### %s\n\n**%s** (%s). %s\n\n%s\n\n*keepalived:* %s\n", p.ID, p.Rule, p.Severity, sentence(p.Summary), p.Text, p.Keepalived)
		for _, f := range p.Files {
			if caption := caption(f.Name); caption != "" {
				fmt.Fprintf(&b, "\n%s%s:\n\n```\n%s```\n", caption, p.places(f.Name), f.Text)
			}
		}
	}
	return b.String()
}

const markdownHead = `# What check finds

## Name

The rules of ` + "`kaname check`" + `: what each finds, why it matters, and the fix.

## Description

This page is generated from internal/config/lint/pages, whose examples are the tests of the rules. ` + "`kaname check --explain K062`" + `
prints one of them, with an example that is right.

K001 to K113 are traps of keepalived that have been seen or tried; K2xx come from real files; K3xx and K7xx are mistakes
in the language; K4xx need the files of two nodes; K5xx need the host; K6xx are about what only kaname has.

## Rules

`
