package parity

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

const usesFile = "uses.tsv"

// hangs is the code of files over which keepalived never ends; it is not asked
// again.
const hangs = "124"

// use is one way to write one keyword.
type use struct {
	block, keyword, args string
	expect               string // exit code of keepalived 2.2.7, or ?
}

func (u use) name() string { return u.block + " " + u.keyword + " " + u.args }

// readUses returns the uses in the file's order.
func readUses(t *testing.T) []use {
	t.Helper()
	b, err := os.ReadFile(usesFile)
	if err != nil {
		t.Fatal(err)
	}
	var us []use
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("%s: not four columns: %s", usesFile, line)
		}
		for args := range strings.SplitSeq(f[3], " | ") {
			us = append(us, use{block: f[0], keyword: f[1], expect: f[2], args: args})
		}
	}
	return us
}

// writeUses sorts the uses of each keyword by what keepalived says of them.
func writeUses(t *testing.T, us []use) {
	t.Helper()
	old, err := os.ReadFile(usesFile)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(old)) {
		if strings.HasPrefix(line, "#") {
			out.WriteString(line)
		}
	}
	for len(us) > 0 {
		n := 1
		for n < len(us) && us[n].block == us[0].block && us[n].keyword == us[0].keyword {
			n++
		}
		for _, code := range []string{"0", "2", "4", "5", "6", "124", "139", "143"} {
			var args []string
			for _, u := range us[:n] {
				if u.expect == code {
					args = append(args, u.args)
				}
			}
			if args != nil {
				fmt.Fprintf(&out, "%s\t%s\t%s\t%s\n", us[0].block, us[0].keyword, code, strings.Join(args, " | "))
			}
		}
		us = us[n:]
	}
	if err := os.WriteFile(usesFile, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
